import * as assert from 'uvu/assert'
import { parseConflist } from '../../src/cni/conflist.ts'
import { parseJson } from '../../src/cni/json.ts'
import { networkTitle } from '../../src/plan/plan.ts'
import { planAttachments } from '../../src/plan/plan-attachments.ts'
import { spec } from '../spec.ts'
import { netConf, planInput, planPod, pod } from './plan-input.ts'

spec('planned attachments', (it) => {
  it('NPWG-014, NPWG-015, NPWG-082, NPWG-144 network is the name in the conf, label the NAD', () => {
    const plan = planPod({
      pod: pod('a,b'),
      nads: { 'telco/b': { cniVersion: '1.0.0', name: 'blue', type: 'bridge' } },
    })
    assert.equal(
      plan.attachments.map(({ network, label }) => [network, label]),
      [
        ['default-net', 'default-net'],
        ['a', 'telco/a'],
        ['blue', 'telco/b'],
      ],
    )
    assert.is(networkTitle({ network: 'blue', source: 'NAD telco/b' }), 'network "blue" (NAD telco/b)')
  })

  it('CNI-039, CNI-103 each network keeps its own version and flags', () => {
    const plan = planPod({
      pod: pod('a'),
      nads: {
        'telco/a': {
          cniVersion: '0.4.0',
          disableCheck: true,
          disableGC: 'True',
          plugins: [{ type: 'bridge' }],
        },
      },
    })
    assert.equal(
      plan.attachments.map(({ cniVersion, disableCheck, disableGC }) => [
        cniVersion,
        disableCheck,
        disableGC,
      ]),
      [
        ['1.0.0', false, false],
        ['0.4.0', true, true],
      ],
    )
  })

  it('NPWG-010, C-31 a conf goes into the plan to the digit and in its order', () => {
    const text = '{"type":"bridge","z":1.0,"big":9007199254740993,"a":{"x":[1e3,null]},"cniVersion":"1.0.0"}'
    const input = planInput({ pod: pod('a') })
    const conflist = parseConflist(parseJson(text, 'x'), { what: 'x', fallbackName: 'a', form: 'by-content' })
    const networks = input.networks.map((network, index) =>
      index === 1 ? { ...network, conflist } : network,
    )
    const plan = planAttachments({ ...input, networks })
    assert.is(JSON.stringify(plan.attachments[1]?.plugins[0]?.conf), text)
  })

  it('NPWG-091, NPWG-092 what the annotation says of the default route is kept apart: absent, none, gateways', () => {
    const plan = planPod({
      pod: pod([
        { name: 'a' },
        { name: 'b', 'default-route': ['10.0.0.1'] },
        { name: 'c', 'default-route': ['fd00::1'] },
      ]),
    })
    assert.equal(
      plan.attachments.map(({ defaultRoute }) => defaultRoute),
      [undefined, undefined, ['10.0.0.1'], ['fd00::1']],
    )
    const empty = planPod({ pod: pod([{ name: 'a', 'default-route': [] }]) })
    assert.equal(empty.attachments[1]?.defaultRoute, [])
  })

  it('io.plexus-cni.timeout and io.plexus-cni.optional reach the attachment; the default network is never optional', () => {
    const element = {
      name: 'a',
      namespace: 'telco',
      'io.plexus-cni.optional': true,
      'io.plexus-cni.timeout': '2s',
    }
    const plan = planPod({ pod: pod([element], [element]) })
    assert.equal(
      plan.attachments.map(({ isOptional, timeoutMs }) => [isOptional, timeoutMs]),
      [
        [false, 2000],
        [true, 2000],
      ],
    )
  })

  it('reasons say where network, configuration and interface name come from', () => {
    const [first, second] = planPod({ pod: pod('a@x0') }).attachments
    assert.equal(first?.reasons, [
      'delegates[0] of the net-conf is the default network',
      'its configuration is delegates[0] of the net-conf',
      'interface eth0 is the one the runtime asked for',
    ])
    assert.equal(second?.reasons, [
      "item 1 of the pod's annotation k8s.v1.cni.cncf.io/networks",
      'its configuration is NAD telco/a',
      'interface x0 is asked for by the annotation',
    ])
    const reasonsFor = (gateways: readonly string[]) =>
      planPod({ pod: pod([{ name: 'a', 'default-route': gateways }]) }).attachments[1]?.reasons.at(-1)
    assert.match(reasonsFor([]) ?? '', 'keep the default route of its own configuration')
    assert.match(reasonsFor(['10.0.0.1', 'fd00::1']) ?? '', 'default route through 10.0.0.1, fd00::1')
  })

  it('NPWG-013 a network that cannot be resolved is a fault, and the others are planned all the same', () => {
    const plan = planPod({ conf: netConf({ delegates: [] }), pod: pod('a') })
    assert.is(plan.faults.length, 1)
    assert.match(plan.faults[0]?.message ?? '', 'no first-file here')
    assert.equal(
      plan.attachments.map(({ ifName }) => ifName),
      ['net1'],
    )
  })
})
