import * as assert from 'uvu/assert'
import { CniErrorCode } from '../../src/cni/codes.ts'
import type { JsonObject } from '../../src/cni/json.ts'
import type { PlannedPlugin } from '../../src/plan/plan.ts'
import { executedTypes } from '../../src/plan/plugin-faults.ts'
import { implementsCheck, readsIpArg, readsMacArg } from '../../src/plan/plugin-quirks.ts'
import { spec } from '../spec.ts'
import { hostFacts, netConf, planPod, pod } from './plan-input.ts'

const config = (keys: JsonObject): JsonObject => ({ cniVersion: '1.0.0', ...keys })

/** The faults of a pod whose one further network has this configuration. */
function faultsWith(keys: JsonObject, conf = netConf(), facts = hostFacts()) {
  return planPod({ conf, facts, pod: pod('a'), nads: { 'telco/a': config(keys) } }).faults
}

spec('faults of plugins', (it) => {
  it('CNI-091 a plugin that is in no directory is named with the directories', () => {
    const facts = hostFacts({ searchPath: ['/opt/cni/bin', '/usr/lib/cni'] })
    const [fault, ...more] = faultsWith({ type: 'ovs' }, netConf(), facts)
    assert.is(more.length, 0)
    assert.is(fault?.code, CniErrorCode.PluginNotFound)
    assert.is(
      fault?.message,
      'network "a" (NAD telco/a): failed to find plugin "ovs" in path [/opt/cni/bin /usr/lib/cni]',
    )
  })

  it('CNI-091 without a directory to search that is what is said', () => {
    const facts = hostFacts({ searchPath: [], plugins: new Map() })
    assert.match(faultsWith({ type: 'ovs' }, netConf(), facts).at(-1)?.message ?? '', /: no paths provided$/)
  })

  it('IPAM and nested delegates are looked for as well, each once', () => {
    const keys = {
      type: 'flannel',
      ipam: { type: 'x-ipam' },
      delegate: { type: 'y', ipam: { type: 'x-ipam' } },
    }
    assert.equal(
      faultsWith(keys).map(({ message }) => /plugin "(.*)"/.exec(message)?.[1]),
      ['flannel', 'x-ipam', 'y'],
    )
  })

  it('an ipam.type that names something inside an agent is not looked for', () => {
    assert.equal(executedTypes({ type: 'antrea', conf: { type: 'antrea', ipam: { type: 'antrea-ipam' } } }), [
      'antrea',
    ])
    assert.equal(executedTypes({ type: 'bridge', conf: { type: 'bridge', ipam: { type: 'dhcp' } } }), [
      'bridge',
      'dhcp',
    ])
  })

  for (const type of ['plexus', 'multus', 'multus-shim']) {
    it(`delegating to the meta-plugin "${type}" is refused`, () => {
      assert.is(faultsWith({ type })[0]?.code, CniErrorCode.PluginNotAllowed)
      assert.is(faultsWith({ type: 'bridge', delegate: { type } })[0]?.code, CniErrorCode.PluginNotAllowed)
    })
  }

  it('Plexus under another name is refused', () => {
    const plugins = new Map([
      ...hostFacts().plugins,
      ['sriov', { path: '/opt/cni/bin/sriov', isPlexus: true }],
    ])
    assert.match(
      faultsWith({ type: 'sriov' }, netConf(), hostFacts({ plugins }))[0]?.message ?? '',
      'would never end',
    )
  })

  it('allowedPluginTypes holds for IPAM too', () => {
    const conf = netConf({ allowedPluginTypes: ['bridge'] })
    assert.equal(faultsWith({ type: 'bridge' }, conf), [])
    const [fault] = faultsWith({ type: 'bridge', ipam: { type: 'host-local' } }, conf)
    assert.is(fault?.code, CniErrorCode.PluginNotAllowed)
    assert.match(fault?.message ?? '', 'plugin "host-local" is not in allowedPluginTypes')
  })

  it('without facts nothing is looked for', () => {
    assert.equal(
      planPod({ pod: pod('a'), nads: { 'telco/a': config({ type: 'ovs' }) }, facts: undefined }).faults,
      [],
    )
  })

  it('every fault of the pod comes at once', () => {
    const plan = planPod({
      pod: pod([{ name: 'a' }, { name: 'b', interface: 'eth0' }, { name: 'c', mac: '02:00:00:00:00:01' }]),
      nads: { 'telco/a': config({ type: 'ovs' }), 'telco/b': { type: 1 } },
    })
    assert.equal(
      plan.faults.map(({ code }) => code),
      [
        CniErrorCode.InvalidNetworkConfig,
        CniErrorCode.PluginNotFound,
        CniErrorCode.InvalidNetworkConfig,
        CniErrorCode.InvalidNetworkConfig,
      ],
    )
  })

  it('an optional network with faults is left out with a warning, the default network never', () => {
    const element = { name: 'a', namespace: 'telco', 'io.plexus-cni.optional': true }
    const nads = { 'telco/a': config({ type: 'ovs' }) }
    const plan = planPod({ pod: pod([element, { name: 'b' }]), nads })
    assert.equal(plan.faults, [])
    assert.equal(
      plan.attachments.map(({ index, ifName }) => [index, ifName]),
      [
        [0, 'eth0'],
        [2, 'net2'],
      ],
    )
    assert.match(plan.warnings.join('\n'), /optional network is left out: .*plugin "ovs"/)
    assert.is(planPod({ pod: pod(undefined, [element]), nads }).faults.length, 1)
  })
})

const plugin = (keys: JsonObject & { type: string }): Pick<PlannedPlugin, 'type' | 'conf'> => ({
  type: keys.type,
  conf: keys,
})

spec('plugin quirks', (it) => {
  it('one reader among the types is enough', () => {
    assert.is(readsMacArg(['vlan', 'tuning']), true)
    assert.is(readsMacArg(['vlan']), false)
    assert.is(readsIpArg(['vlan', 'whereabouts']), true)
    assert.is(readsIpArg([]), false)
  })

  it('CNI-056 CHECK is not run where plugin or IPAM do not implement it', () => {
    assert.is(implementsCheck(plugin({ type: 'bridge' })), true)
    assert.is(implementsCheck(plugin({ type: 'weave-net' })), false)
    assert.is(implementsCheck(plugin({ type: 'bridge', ipam: { type: 'whereabouts' } })), false)
    assert.is(implementsCheck(plugin({ type: 'bridge', ipam: { type: 'host-local' } })), true)
  })
})
