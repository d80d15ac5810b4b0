import * as assert from 'uvu/assert'
import { CniErrorCode } from '../../src/cni/codes.ts'
import { spec } from '../spec.ts'
import { hostFacts, planPod, pod } from './plan-input.ts'

spec('interface names', (it) => {
  const named: readonly (readonly [string, string, readonly string[]])[] = [
    ['NPWG-083 a network without a name is net and its place', 'a,b', ['eth0', 'net1', 'net2']],
    ['NPWG-083 networks with names count too', 'a@foo,b', ['eth0', 'foo', 'net2']],
    ['NPWG-030 the same network twice has two interfaces', 'a,a', ['eth0', 'net1', 'net2']],
    ['NPWG-083 a name asked for behind is left free', 'a,b@net1', ['eth0', 'net2', 'net1']],
    ['a moved number is not used twice', 'a,b@net1,c', ['eth0', 'net2', 'net1', 'net3']],
    ['NPWG-024, NPWG-047 the annotation names it', 'a@x0', ['eth0', 'x0']],
  ]
  for (const [title, annotation, expected] of named) {
    it(title, () => {
      const plan = planPod({ pod: pod(annotation) })
      assert.equal(plan.faults, [])
      assert.equal(
        plan.attachments.map(({ ifName }) => ifName),
        expected,
      )
    })
  }

  it('NPWG-084 the default network has the name that the runtime gave, whatever the annotation says', () => {
    const plan = planPod({ pod: pod(undefined, 'telco/alt@foo0') })
    assert.is(plan.attachments[0]?.ifName, 'eth0')
  })

  it('CNI-041, NPWG-048 the name of the default network asked for again is a fault naming both', () => {
    const plan = planPod({ pod: pod('a@eth0') })
    assert.is(plan.faults.length, 1)
    assert.is(plan.faults[0]?.code, CniErrorCode.InvalidNetworkConfig)
    assert.match(
      plan.faults[0]?.message ?? '',
      'interface name eth0 is asked for twice: by delegates[0] of the net-conf and by NAD telco/a',
    )
  })

  it('CNI-041, C-30 a name that is already in the netns is a fault before anything runs', () => {
    const plan = planPod({ pod: pod('a,b@x0'), facts: hostFacts({ links: ['lo', 'net1', 'x0'] }) })
    assert.equal(
      plan.faults.map(({ message }) => message),
      ['net1 (for NAD telco/a)', 'x0 (for NAD telco/b)'].map(
        (name) => `interface name ${name} already exists in the pod's network namespace`,
      ),
    )
  })

  it('an optional network that asks for the name of the default network is left out', () => {
    const plan = planPod({ pod: pod([{ name: 'a', interface: 'eth0', 'io.plexus-cni.optional': true }]) })
    assert.equal(plan.faults, [])
    assert.equal(
      plan.attachments.map(({ isDefault }) => isDefault),
      [true],
    )
    assert.match(plan.missing[0] ?? '', 'interface name eth0 is asked for twice')
  })

  it('an optional network whose name is in the netns is left out', () => {
    const networks = [{ name: 'a', 'io.plexus-cni.optional': true }, { name: 'b' }]
    const plan = planPod({ pod: pod(networks), facts: hostFacts({ links: ['lo', 'net1'] }) })
    assert.equal(plan.faults, [])
    assert.equal(
      plan.attachments.map(({ ifName }) => ifName),
      ['eth0', 'net2'],
    )
    assert.match(plan.missing[0] ?? '', 'net1 (for NAD telco/a) already exists')
  })

  it('without facts nothing is compared with the netns', () => {
    assert.equal(planPod({ pod: pod('a'), facts: undefined }).faults, [])
  })
})
