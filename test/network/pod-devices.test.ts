import * as assert from 'uvu/assert'
import { poolDevices } from '../../src/network/pod-devices.ts'
import { spec } from '../spec.ts'

const vf = (...deviceIds: string[]) => ({ resourceName: 'intel.com/vf', deviceIds })
const gpu = (...deviceIds: string[]) => ({ resourceName: 'nvidia.com/gpu', deviceIds })

spec('devices of a pod', (it) => {
  const cases: readonly (readonly [string, Parameters<typeof poolDevices>[0], object])[] = [
    ['a pod without containers', [], {}],
    ['containers without devices', [[], []], {}],
    [
      'NPWG-133 those of a container are sorted',
      [[vf('c', 'a'), vf('b')]],
      { 'intel.com/vf': ['a', 'b', 'c'] },
    ],
    ['one container after the other', [[vf('z')], [vf('a')]], { 'intel.com/vf': ['z', 'a'] }],
    [
      'each resource by itself',
      [[vf('1'), gpu('x')], [gpu('w')]],
      { 'intel.com/vf': ['1'], 'nvidia.com/gpu': ['x', 'w'] },
    ],
    ['a device of two NUMA nodes is one', [[vf('a'), vf('a'), vf('b')]], { 'intel.com/vf': ['a', 'b'] }],
    ['one that an init container left is one', [[vf('b')], [vf('a', 'b')]], { 'intel.com/vf': ['b', 'a'] }],
    [
      'ids are kept as they are',
      [[vf('vendor.com/class=Ä 1', '')]],
      { 'intel.com/vf': ['', 'vendor.com/class=Ä 1'] },
    ],
  ]
  for (const [title, containers, expected] of cases) {
    it(title, () => assert.equal(Object.fromEntries(poolDevices(containers)), expected))
  }
})
