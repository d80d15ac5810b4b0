import * as assert from 'uvu/assert'
import { nearMiss, nearName } from '../../src/cni/near-miss.ts'
import { spec } from '../spec.ts'

spec('near misses', (it) => {
  it('two edits are near, one in a short word, case and punctuation do not count', () => {
    assert.is(nearMiss('brdige', ['mtu', 'bridge']), 'bridge')
    assert.is(nearMiss('mtuu', ['mtu']), 'mtu')
    assert.is(nearMiss('mac', ['mtu']), undefined)
    assert.is(nearMiss('range-Start', ['rangeStart']), 'rangeStart')
  })

  for (const [name, other] of [
    ['net1', 'net2'],
    ['n6', 'n3'],
    ['vlan100', 'vlan200'],
    ['lan-a', 'lan-b'],
    ['upf0-n3', 'upf1-n4'],
    ['a', 'b'],
  ] as const) {
    it(`${name} and ${other} are of one series`, () => assert.is(nearName(name, [other]), undefined))
  }

  for (const [name, other] of [
    ['n66', 'n6'],
    ['audits', 'audit'],
    ['lan-1', 'lan1'],
    ['storge-a', 'storage-a'],
    ['vlan-100', 'vlam-100'],
  ] as const) {
    it(`${name} may stand for ${other}`, () => assert.is(nearName(name, [other]), other))
  }
})
