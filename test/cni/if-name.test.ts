import * as assert from 'uvu/assert'
import { ifNameFault } from '../../src/cni/if-name.ts'
import { spec } from '../spec.ts'

spec('interface names', (it) => {
  for (const name of ['a', 'eth0', 'net1-2.3_x', 'x'.repeat(15), 'é'.repeat(7), '...']) {
    it(`CNI-006 ${name} is a name`, () => assert.is(ifNameFault(name), undefined))
  }
  for (const name of [
    '',
    'x'.repeat(16),
    'é'.repeat(8),
    '.',
    '..',
    'a/b',
    'a:b',
    'a b',
    'a\u00a0b',
    'a\n',
    'a\0',
    'a\u2003b',
    'a\u0085',
  ]) {
    it(`CNI-006 ${JSON.stringify(name)} is no name`, () => assert.type(ifNameFault(name), 'string'))
  }
})
