import * as assert from 'uvu/assert'
import { locateJson, toLocator } from '../../src/cni/json-position.ts'
import { spec } from '../spec.ts'

spec('positions in JSON', (it) => {
  it('each value and key is found by its JSON pointer', () => {
    const text = '[{"a/b": [1, "x"], "~": {}}]'
    const { fault, values, keys } = locateJson(text)
    assert.is(fault, undefined)
    assert.equal(
      [...values],
      [
        ['', 0],
        ['/0', 1],
        ['/0/a~1b', 9],
        ['/0/a~1b/0', 10],
        ['/0/a~1b/1', 13],
        ['/0/~0', 24],
      ],
    )
    assert.equal(
      [...keys],
      [
        ['/0/a~1b', 2],
        ['/0/~0', 19],
      ],
    )
  })

  it('accepts what the standard parser accepts and refuses what it refuses', () => {
    const texts = [
      '1',
      '-0.5e+3',
      '01',
      '1.',
      '.5',
      '+1',
      'NaN',
      'tru',
      'true',
      'nul',
      '"\\u00e9"',
      '"\\x"',
      '"\t"',
      '"\\',
      '""',
      '{}',
      '{"a"}',
      '{"a":}',
      '{"a":1,}',
      '{a:1}',
      '[1,]',
      '[,]',
      '[1 2]',
      ' [ ] ',
      '',
      ' ',
      '[]]',
      '\u00a0[]',
      '/**/1',
      '{"a":{"b":[{},[],""]}}',
      '-',
      '1e',
      '"\u2028"',
    ]
    for (const text of texts) {
      let isJson = true
      try {
        JSON.parse(text)
      } catch {
        isJson = false
      }
      assert.is(locateJson(text).fault === undefined, isJson, JSON.stringify(text))
    }
  })

  it('a key that is there twice is remembered', () => {
    assert.equal([...locateJson('{"a":1,"b":2,"a":3}').duplicates], ['/a'])
  })

  it('line and column count from one', () => {
    const locate = toLocator('ab\n\ncd')
    assert.equal([0, 2, 3, 4, 5, 6].map(locate), ['1:1', '1:3', '2:1', '3:1', '3:2', '3:3'])
  })
})
