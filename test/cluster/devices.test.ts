import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { type DeviceNode, deviceNode, devicesOf, VF } from '../plugin/device-node.ts'
import { assertAdded, assertDone, assertRefused } from '../plugin/stub-node.ts'
import { eventually, type Installation, type TestDaemon } from '../rig/daemon.ts'
import { stopKubelets } from '../rig/kubelet.ts'
import { filesBelow } from '../rig/state-files.ts'
import { spec } from '../spec.ts'
import {
  askedForPods,
  type ClusterNode,
  type ClusterScene,
  clusterNode,
  clusterScene,
  isFollowed,
} from './scene.ts'

const ANNOTATIONS = 'k8s.v1.cni.cncf.io'
const DEVICES = ['0000:03:02.1', '0000:03:02.2', '0000:03:02.3']

spec('devices of pods in the cluster', (it) => {
  let scene: ClusterScene
  let devices: DeviceNode
  let node: ClusterNode
  let installation: Installation
  let daemon: TestDaemon

  it.before(async () => {
    scene = await clusterScene()
    const annotations = { [`${ANNOTATIONS}/resourceName`]: VF }
    for (const type of ['alpha', 'beta']) {
      const config = { cniVersion: '1.0.0', type, capabilities: { deviceID: true } }
      await scene.createNad({ name: `vf-${type}`, config, annotations })
    }
    await scene.createNad({ name: 'plain', config: { cniVersion: '1.0.0', type: 'beta' } })
    devices = await deviceNode()
    node = await clusterNode(scene, devices)
    installation = node.install()
    daemon = await node.start(installation)
  })
  it.after(async () => {
    stopKubelets()
    assert.is(await daemon?.stop(), 0)
    await scene.close()
  })

  it('the kubelet and the caches together give each network its device, and nobody else is asked', async () => {
    const { namespace, proxy } = scene
    for (const id of DEVICES)
      devices.writeDevice(id, `{"type":"pci","version":"1.1.0","pci":{"pci-address":"${id}"}}`)
    devices.kubelet.setPods({ name: 'upf', namespace, containers: [{ [VF]: DEVICES }] })
    await devices.kubelet.start()
    const pod = await node.podOf(installation, { name: 'upf', networks: 'vf-alpha,plain,vf-beta,vf-alpha' })
    await isFollowed(scene, daemon, pod)
    assert.equal(await conditionsOf('upf'), [])
    const before = proxy.requests.length
    const added = await pod.run('ADD')
    assertAdded(added)
    assert.equal(devicesOf(node.calls()), [
      ...[`alpha ${DEVICES[0]}`, 'beta undefined', `beta ${DEVICES[1]}`, `alpha ${DEVICES[2]}`],
    ])
    assert.equal(devices.kubelet.calls(), [`Get ${namespace}/upf`])
    await eventually(async () => assert.equal(await conditionsOf('upf'), ['True NetworksAttached']))
    assert.equal(askedForPods(scene, before), [`PATCH ${scene.podPath('upf')}/status`])
    const { metadata } = await scene.api.ok('GET', scene.podPath('upf'))
    const shown: { 'device-info'?: { pci: { 'pci-address': string } } }[] = JSON.parse(
      metadata.annotations[`${ANNOTATIONS}/network-status`],
    )
    assert.equal(
      shown.map((entry) => entry['device-info']?.pci['pci-address']),
      [undefined, DEVICES[0], undefined, DEVICES[1], DEVICES[2]],
    )
    assertDone(await pod.run('DEL'))
    await eventually(() => assert.equal(filesBelow(join(devices.devInfoDir, 'cni')), []))
  })

  it('too few devices fail the pod before anything runs, and it is told the numbers', async () => {
    devices.kubelet.setPods({ name: 'lacking', namespace: scene.namespace, containers: [{ [VF]: ['x'] }] })
    const pod = await node.podOf(installation, { name: 'lacking', networks: 'vf-alpha,vf-beta' })
    const calls = node.calls().length
    assertRefused(await pod.run('ADD'), 7, 'take 2 of resource')
    assert.is(node.calls().length, calls)
    await eventually(async () => {
      const [condition = ''] = await conditionsOf('lacking')
      assert.match(condition, /^False /)
    })
    assertDone(await pod.run('DEL'))
  })

  const conditionsOf = async (name: string): Promise<string[]> => {
    const { status } = await scene.api.ok('GET', scene.podPath(name))
    const conditions: { type: string; status: string; reason: string }[] = status.conditions ?? []
    return conditions
      .filter(({ type }) => type === 'plexus-cni.io/NetworksReady')
      .map((condition) => `${condition.status} ${condition.reason}`)
  }
})
