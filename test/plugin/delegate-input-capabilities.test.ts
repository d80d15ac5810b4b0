import * as assert from 'uvu/assert'
import { nad } from '../rig/manifests.ts'
import { spec } from '../spec.ts'
import { assertAdded, assertDone, assertRefused, type StubNode, stubNode } from './stub-node.ts'

const MAPPINGS = [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }]

/** A net-conf in which the runtime passes port mappings and more to the default network, which declares some. */
function confOf(node: StubNode, more: object = {}): object {
  return node.conf({
    capabilities: { portMappings: true, dns: true },
    runtimeConfig: { portMappings: MAPPINGS, dns: null, bandwidth: { ingressRate: 1000 } },
    delegates: [
      {
        cniVersion: '1.0.0',
        name: 'cluster-net',
        plugins: [
          { type: 'primary', capabilities: { portMappings: true, bandwidth: true, dns: true } },
          { type: 'alpha', capabilities: { portMappings: false, '': true } },
        ],
      },
    ],
    ...more,
  })
}

const runtimeConfigs = (node: StubNode): unknown[] =>
  node.calls().map(({ stdin }) => JSON.parse(JSON.stringify(stdin.runtimeConfig ?? null)))

spec('runtimeConfig of a delegate', (it) => {
  it("CNI-030 CNI-076 CNI-079 the runtime's: what we declare and it declares true, never null, else no key", async () => {
    const node = await stubNode()
    node.alpha.behave({})
    const pod = await node.pod({ networks: '' })
    const conf = confOf(node)
    assertAdded(await pod.run('ADD', { conf }))
    // CNI-080: the same on CHECK and DEL, where the runtime may pass other or none.
    const later = confOf(node, { runtimeConfig: undefined })
    assertDone(await pod.run('CHECK', { conf: later }))
    assertDone(await pod.run('DEL', { conf: later }))
    const own = { portMappings: MAPPINGS }
    assert.equal(runtimeConfigs(node), [own, null, own, null, null, own])
    for (const { type, stdin } of node.calls()) assert.is('runtimeConfig' in stdin, type === 'primary')
  })

  it('CNI-145 NPWG-072 it never reaches another network, which gets what its own element asks for', async () => {
    const node = await stubNode()
    const config = {
      cniVersion: '1.0.0',
      type: 'beta',
      capabilities: { portMappings: true, bandwidth: true },
    }
    node.write(nad({ name: 'ports', config }))
    const asked = [{ hostPort: 9090, containerPort: 90, protocol: 'UDP' }]
    node.alpha.behave({})
    const pod = await node.pod({ networks: [{ name: 'ports' }, { name: 'ports', portMappings: asked }] })
    assertAdded(await pod.run('ADD', { conf: confOf(node) }))
    const [, , first, second] = node.calls()
    assert.not('runtimeConfig' in (first?.stdin ?? {}))
    const input = JSON.parse(second?.stdinText ?? '{}') as { runtimeConfig: { portMappings: typeof asked } }
    const { portMappings } = input.runtimeConfig
    assert.is(portMappings.length, 1)
    assert.match(String(portMappings[0]?.protocol), /^udp$/i)
    assert.equal([portMappings[0]?.hostPort, portMappings[0]?.containerPort], [9090, 90])
  })

  it('CNI-147 CNI-148 CNI-152 NPWG-070 every key of an element under its name, as written', async () => {
    const node = await stubNode()
    const keys = ['ips', 'mac', 'bandwidth', 'infinibandGUID', 'deviceID']
    const capabilities = Object.fromEntries(keys.map((key) => [key, true]))
    node.write(nad({ name: 'all', config: { cniVersion: '1.0.0', type: 'alpha', capabilities } }))
    const element = {
      name: 'all',
      ips: ['10.1.2.3', 'fd00::3/64'],
      mac: '02:11:22:33:44:55',
      bandwidth: { ingressRate: 1000, ingressBurst: 2000 },
      'infiniband-guid': 'c2:b0:57:49:47:f1:00:01',
    }
    const pod = await node.pod({ networks: [element] })
    assertAdded(await pod.run('ADD'))
    const runtimeConfig = JSON.parse(JSON.stringify(node.alpha.calls()[0]?.stdin.runtimeConfig))
    assert.equal(runtimeConfig, {
      ips: ['10.1.2.3', 'fd00::3/64'],
      mac: '02:11:22:33:44:55',
      bandwidth: { ingressRate: 1000, ingressBurst: 2000 },
      infinibandGUID: 'c2:b0:57:49:47:f1:00:01',
    })
  })

  it("CNI-076 CNI-077 a literal runtimeConfig of the admin's stays when nothing is injected; capabilities stay", async () => {
    const node = await stubNode()
    const config = {
      cniVersion: '1.0.0',
      plugins: [
        { type: 'alpha', capabilities: { mac: true }, runtimeConfig: { own: 1 } },
        { type: 'beta', capabilities: { ips: true }, runtimeConfig: { own: 2 } },
      ],
    }
    node.beta.behave({})
    node.write(nad({ name: 'literal', config }))
    const pod = await node.pod({ networks: [{ name: 'literal', mac: '02:00:00:00:00:01' }] })
    assertAdded(await pod.run('ADD'))
    const [, alpha, beta] = node.calls()
    assert.equal(alpha?.stdin.runtimeConfig, { mac: '02:00:00:00:00:01' })
    assert.equal(JSON.parse(JSON.stringify(beta?.stdin.runtimeConfig)), { own: 2 })
    assert.equal(alpha?.stdin.capabilities, { mac: true })
  })

  it('CNI-078 capabilities that are no booleans are refused', async () => {
    const node = await stubNode()
    node.write(
      nad({ name: 'words', config: { cniVersion: '1.0.0', type: 'alpha', capabilities: { mac: 'true' } } }),
    )
    const pod = await node.pod({ networks: 'words' })
    assertRefused(await pod.run('ADD'), 7, '/capabilities/mac must be true or false')
    assert.equal(node.steps(), [])
  })

  it("CNI-030 the pod's annotations from the runtime are used, and handed on only where declared", async () => {
    const node = await stubNode()
    const key = 'io.kubernetes.cri.pod-annotations'
    const annotations = { 'k8s.v1.cni.cncf.io/networks': 'beta-net@data0' }
    const conf = node.conf({ capabilities: { [key]: true }, runtimeConfig: { [key]: annotations } })
    const pod = await node.pod({ networks: 'alpha-net' })
    assertAdded(await pod.run('ADD', { conf }))
    assert.equal(node.steps(), ['primary ADD eth0', 'beta ADD data0'])
    for (const { stdin } of node.calls()) assert.not('runtimeConfig' in stdin)
    assertDone(await pod.run('DEL', { conf }))
  })
})
