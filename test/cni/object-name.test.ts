import * as assert from 'uvu/assert'
import { namespaceFault, objectNameFault, suggestObjectName } from '../../src/cni/object-name.ts'
import { spec } from '../spec.ts'

spec('object names', (it) => {
  for (const name of ['a', 'net-a', '0', 'net.v2', 'a'.repeat(253)]) {
    it(`NPWG-011, C-13 ${name.slice(0, 10)} (${name.length}) is a name`, () => {
      assert.is(objectNameFault(name), undefined)
    })
  }

  for (const name of [
    '',
    '.',
    '..',
    'a..b',
    '.a',
    '-a',
    'a-',
    'A',
    'a/b',
    'a_b',
    'a\n',
    'ä',
    'a'.repeat(254),
  ]) {
    it(`NPWG-011 ${JSON.stringify(name.slice(0, 10))} (${name.length}) is no name`, () => {
      assert.type(objectNameFault(name), 'string')
    })
  }

  it('a namespace is one label of at most 63 characters', () => {
    assert.is(namespaceFault('a'.repeat(63)), undefined)
    assert.match(namespaceFault('a'.repeat(64)) ?? '', /64 characters/)
    assert.match(namespaceFault('a.b') ?? '', /no DNS-1123 label/)
    assert.match(namespaceFault('..') ?? '', /no DNS-1123 label/)
    assert.match(namespaceFault('') ?? '', /empty/)
  })

  it('suggests the legal spelling of a name, but none that would be a guess', () => {
    assert.is(suggestObjectName('Net_A'), 'net-a')
    assert.is(suggestObjectName('net a'), 'net-a')
    assert.is(suggestObjectName('net-a'), undefined)
    assert.is(suggestObjectName('_'), undefined)
    assert.is(suggestObjectName('ns/A'), undefined)
  })
})
