import * as assert from 'uvu/assert'
import { isJsonObject, type JsonObject } from '../../src/cni/json.ts'
import { writeKubeconfig } from '../rig/kubeconfig.ts'
import { runCli } from '../rig/plexus.ts'
import { spec } from '../spec.ts'
import { type ClusterScene, clusterScene, refusal } from './scene.ts'

const objects = (value: unknown): JsonObject[] => {
  assert.ok(Array.isArray(value))
  return value.filter(isJsonObject)
}

spec('plexus map of a cluster', (it) => {
  let scene: ClusterScene
  let kubeconfig = ''

  const map = (...args: string[]) => runCli(['map', '--kubeconfig', kubeconfig, ...args])

  it.before(async () => {
    scene = await clusterScene()
    const { server } = scene.proxy
    kubeconfig = writeKubeconfig({ server, ca: scene.api.authority.ca, token: 'node-token' })
    await scene.createNad({ name: 'data', config: { cniVersion: '1.0.0', type: 'macvlan', master: 'eth1' } })
    await scene.createNad({
      name: 'unused',
      config: { cniVersion: '1.0.0', type: 'vlan', master: 'eth1', vlanId: 7 },
    })
    await scene.createNad({ name: 'broken', config: '{' })
    const status = [
      { name: 'cbr0', interface: 'eth0', ips: ['10.1.0.7'], default: true, dns: {}, gateway: ['10.1.0.1'] },
      {
        name: `${scene.namespace}/data`,
        interface: 'fast0',
        ips: ['192.168.7.9', 'fd00::9'],
        mac: '02:00:00:00:00:09',
        dns: {},
        'device-info': { type: 'pci', version: '1.1.0', pci: { 'pci-address': '0000:3b:02.1' } },
      },
    ]
    const annotation = { 'k8s.v1.cni.cncf.io/network-status': JSON.stringify(status) }
    await scene.createPod({ name: 'upf', networks: 'data@fast0', annotations: annotation })
    await scene.createPod({ name: 'waiting', networks: 'data' })
    await scene.createPod({ name: 'odd', annotations: { 'k8s.v1.cni.cncf.io/network-status': '{' } })
    await scene.createPod({ name: 'plain' })
  })
  it.after(() => scene.close())
  it.after.each(() => {
    scene.proxy.fault = () => undefined
  })

  it('has what each pod was given, what the others ask for, and the networks of nobody', async () => {
    const { status, stdout, stderr, json } = await map('-o', 'json')
    assert.equal([status, stderr], [0, ''], stdout)
    const pods = objects(json?.pods)
    assert.equal(pods.map(({ name }) => name).sort(), ['odd', 'upf', 'waiting'])
    const of = (wanted: string): JsonObject => pods.find(({ name }) => name === wanted) ?? {}
    assert.equal(objects(of('upf').interfaces), [
      {
        ...{ network: 'cbr0', ifName: 'eth0', addresses: ['10.1.0.7'], mac: null, device: null },
        ...{ hasDefaultRoute: true, state: 'attached' },
      },
      {
        ...{ network: `${scene.namespace}/data`, ifName: 'fast0', addresses: ['192.168.7.9', 'fd00::9'] },
        ...{
          mac: '02:00:00:00:00:09',
          device: 'pci 0000:3b:02.1',
          hasDefaultRoute: false,
          state: 'attached',
        },
      },
    ])
    assert.equal(
      objects(of('waiting').interfaces).map(({ ifName, state }) => [ifName, state]),
      [
        ['eth0', 'planned'],
        ['net1', 'planned'],
      ],
    )
    assert.is(of('odd').remark, 'network-status not readable')
    const networks = objects(json?.networks)
    const network = (name: string): JsonObject =>
      networks.find((each) => each.name === `${scene.namespace}/${name}`) ?? {}
    assert.equal([network('data').plugins, network('data').facts], [['macvlan'], ['on eth1']])
    assert.equal(network('unused').facts, ['on eth1', 'VLAN 7'])
    assert.match(String(network('broken').problem), /spec\.config of NAD .*\/broken/)
    assert.is(networks.find(({ name }) => name === 'cbr0')?.isDefault, true)
  })

  it('draws it, and one pod of it', async () => {
    const { status, stdout } = await map()
    assert.is(status, 0)
    for (const text of [
      'Networks of the cluster',
      'upf',
      '192.168.7.9',
      'pci 0000:3b:02.1',
      'planned, not running',
    ])
      assert.ok(stdout.includes(`>${text}</text>`), `no ${text}`)
    const one = await map('--pod', `${scene.namespace}/upf`)
    assert.is(one.status, 0, one.stderr)
    for (const text of ['fast0', 'macvlan', 'on eth1']) assert.ok(one.stdout.includes(`>${text}</text>`))
    const none = await map('--pod', `${scene.namespace}/none`)
    assert.is(none.status, 1)
    assert.match(none.stderr, /pod .*\/none is not in the cluster/)
  })

  it('a cluster that refuses is an error with what to do, and no picture', async () => {
    scene.proxy.fault = ({ path }) => (path.includes('/pods') ? refusal(403, 'rights') : undefined)
    const { status, stdout, stderr } = await map()
    assert.equal([status, stdout], [1, ''])
    assert.match(stderr, /all pods: .* status 403/)
    assert.match(stderr, /What to do: grant the user of the kubeconfig/)
  })
})
