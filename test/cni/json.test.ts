import * as assert from 'uvu/assert'
import { toCniError } from '../../src/cni/cni-error.ts'
import { isJsonObject, parseJson, toNumber } from '../../src/cni/json.ts'
import { spec } from '../spec.ts'
import { thrownBy } from './thrown.ts'

spec('JSON', (it) => {
  it('CNI-071 numbers survive to the digit, unknown keys at any depth', () => {
    const text =
      '{"x":{"y":[1,{"z":null}]},"big":9007199254740993,"one":1.0,"exp":1e3,"minus":-0,"long":0.1000000000000000055511151231257827}'
    assert.is(JSON.stringify(parseJson(text, 'x')), text)
  })
  it('the error names what was read and code 6', () => {
    const error = thrownBy(() => parseJson('{', 'spec.config of NAD telco/n6'))
    assert.is(error.code, 6)
    assert.match(error.message, 'spec.config of NAD telco/n6 is not JSON')
  })
  it('a raw number is a number, not an object', () => {
    const raw = parseJson('1.0', 'x')
    assert.is(toNumber(raw), 1)
    assert.not(isJsonObject(raw))
    assert.is(toNumber('1'), undefined)
  })
  for (const value of [null, [], 'x', 1, true, undefined]) {
    it(`${JSON.stringify(value)} is no object`, () => assert.not(isJsonObject(value)))
  }
})

spec('a JSON text that is none', (it) => {
  it('is refused with line and column, and nothing around the fault is quoted: it may be a secret', () => {
    const text = '{\n  "password": "hunter2",\n  "x": oops\n}'
    try {
      parseJson(text, 'spec.config of NAD a/b')
      assert.unreachable()
    } catch (error) {
      assert.is(
        toCniError(error).message,
        'spec.config of NAD a/b is not JSON: 3:8: expected a value, found "o"',
      )
    }
  })
})
