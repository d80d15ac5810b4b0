import * as assert from 'uvu/assert'
import { CniErrorCode } from '../../src/cni/codes.ts'
import type { Plan } from '../../src/plan/plan.ts'
import { spec } from '../spec.ts'
import { netConf, planPod, pod } from './plan-input.ts'

const VF = 'intel.com/vf'
const A = '0000:03:02.0'
const B = '0000:03:02.1'
const C = '0000:03:02.2'

/** NADs `a` and `b` of one pool, `g` of another, `plain` of none. */
const resources = { 'telco/a': VF, 'telco/b': VF, 'telco/g': 'nvidia.com/gpu' }
const sriov = { cniVersion: '1.0.0', type: 'sriov' }
const nads = Object.fromEntries(['a', 'b', 'g', 'plain'].map((name) => [`telco/${name}`, sriov]))

/** The device that each network's plugins get, the default network left out. */
const given = ({ attachments }: Plan): unknown[] =>
  attachments.slice(1).map(({ plugins }) => plugins[0]?.extra?.deviceID)

const messages = ({ faults }: Plan): string[] => faults.map(({ message }) => message)

spec('devices of networks', (it) => {
  const cases: readonly (readonly [
    string,
    unknown,
    Readonly<Record<string, readonly string[]>>,
    unknown[],
  ])[] = [
    ['in the order of the annotation', 'a,b', { [VF]: [B, A] }, [B, A]],
    ['the same network twice takes two', 'a,a', { [VF]: [A, B] }, [A, B]],
    ['each from its own pool', 'g,a,g', { [VF]: [A], 'nvidia.com/gpu': ['x', 'y'] }, ['x', A, 'y']],
    ['one without resource takes none', 'plain,a', { [VF]: [A] }, [undefined, A]],
    ['what is left over is nobody’s', 'a', { [VF]: [A, B], 'other/x': ['1'] }, [A]],
    [
      'one that the annotation names is kept for it',
      [{ name: 'a' }, { name: 'b', deviceID: A }],
      { [VF]: [A, B] },
      [B, A],
    ],
    ['ids are handed on as they are', 'a', { [VF]: ['vendor.com/class=vf 1'] }, ['vendor.com/class=vf 1']],
  ]
  for (const [title, networks, devices, expected] of cases) {
    it(`NPWG-133 ${title}`, () => {
      const plan = planPod({ pod: pod(networks), nads, resources, devices })
      assert.equal(messages(plan), [])
      assert.equal(given(plan), expected)
    })
  }

  it('NPWG-017, NPWG-074 it is in the conf of every plugin, and in runtimeConfig of those that declare it', () => {
    const plugins = [{ type: 'sriov', capabilities: { deviceID: true } }, { type: 'tuning' }]
    const plan = planPod({
      pod: pod('a'),
      nads: { 'telco/a': { cniVersion: '1.0.0', plugins } },
      resources,
      devices: { [VF]: [A] },
    })
    const [, attachment] = plan.attachments
    assert.equal(
      attachment?.plugins.map(({ runtimeConfig, extra }) => [runtimeConfig, extra]),
      [
        [{ deviceID: A }, { deviceID: A, pciBusID: A }],
        [undefined, { deviceID: A, pciBusID: A }],
      ],
    )
    assert.match(
      attachment?.reasons.join('\n') ?? '',
      `device ${A} is number 1 of the 1 of resource ${VF} that the kubelet allocated`,
    )
  })

  it('the default network takes part', () => {
    const plan = planPod({ pod: pod('a', 'telco/b'), nads, resources, devices: { [VF]: [A, B] } })
    assert.equal(messages(plan), [])
    assert.equal([plan.attachments[0]?.plugins[0]?.extra?.deviceID, ...given(plan)], [A, B])
  })

  const faults: readonly (readonly [string, unknown, readonly string[] | undefined, readonly string[]])[] = [
    [
      'none',
      'a',
      undefined,
      [`network "a" (NAD telco/a): the pod's networks take 1 of resource ${VF}, but the kubelet allocated 0`],
    ],
    [
      'fewer than are asked for',
      'a,plain,b',
      [A],
      [`network "b" (NAD telco/b): the pod's networks take 2 of resource ${VF}, but the kubelet allocated 1`],
    ],
    [
      'another than the annotation names',
      [{ name: 'a', deviceID: C }],
      [A, B],
      [`network "a" (NAD telco/a): device ${C} of resource ${VF} is not one of the 2`],
    ],
    [
      'one that is named twice',
      [
        { name: 'a', deviceID: A },
        { name: 'b', deviceID: A },
      ],
      [A, B],
      [`network "b" (NAD telco/b): device ${A} of resource ${VF} is asked for twice`],
    ],
  ]
  for (const [title, networks, allocated, expected] of faults) {
    it(`the kubelet allocated ${title}: a fault that says what to do`, () => {
      const devices = allocated === undefined ? {} : { [VF]: allocated }
      const plan = planPod({ pod: pod(networks), nads, resources, devices })
      assert.is(plan.faults.length, expected.length, messages(plan).join('\n'))
      for (const [index, text] of expected.entries()) {
        assert.ok(plan.faults[index]?.message.startsWith(text), plan.faults[index]?.message)
        assert.is(plan.faults[index]?.code, CniErrorCode.InvalidNetworkConfig)
        assert.match(plan.faults[index]?.hint ?? '', /request "intel\.com\/vf": \d|deviceID/)
      }
    })
  }

  it('where there are too few an optional network goes without first', () => {
    const networks = [{ name: 'a', 'io.plexus-cni.optional': true }, { name: 'b' }]
    const plan = planPod({ pod: pod(networks), nads, resources, devices: { [VF]: [A] } })
    assert.equal(messages(plan), [])
    assert.equal([plan.attachments[1]?.network, ...given(plan)], ['b', A])
    assert.match(plan.warnings.join('\n'), 'optional network is left out: network "a" (NAD telco/a): the pod')
  })

  it('NPWG-120, NPWG-122, NPWG-123 the device plugin’s file is to be copied, whatever the plugins declare', () => {
    const conf = netConf({ devInfoDir: '/run/devinfo' })
    const { attachments } = planPod({ conf, pod: pod('a,plain'), nads, resources, devices: { [VF]: [A] } })
    const files = attachments.map(({ deviceInfoFile, devicePluginFile }) => [
      deviceInfoFile,
      devicePluginFile,
    ])
    assert.equal(files, [
      [undefined, undefined],
      ['/run/devinfo/cni/telco-a-c1_net1', `/run/devinfo/dp/intel.com-vf-${A}-device.json`],
      [undefined, undefined],
    ])
    assert.is(attachments[1]?.plugins[0]?.runtimeConfig, undefined)
  })

  it('where the kubelet is not asked there is no device and no fault, but the reason says so', () => {
    const plan = planPod({ pod: pod([{ name: 'a' }, { name: 'b', deviceID: A }]), nads, resources })
    assert.equal([plan.faults, plan.warnings, given(plan)], [[], [], [undefined, A]])
    assert.match(
      plan.attachments[1]?.reasons.join('\n') ?? '',
      `its device, one of resource ${VF}, is asked of the kubelet at ADD`,
    )
  })

  it('a network that is refused for its namespace takes none of the pod’s devices into account', () => {
    const plan = planPod({
      conf: netConf({ namespaceIsolation: true }),
      pod: pod('other/a'),
      resources: { 'other/a': VF },
      devices: {},
    })
    assert.is(plan.faults.length, 1)
    assert.is(plan.faults[0]?.code, CniErrorCode.NamespaceIsolation)
  })
})
