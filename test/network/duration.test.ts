import * as assert from 'uvu/assert'
import { parseDuration } from '../../src/network/duration.ts'
import { spec } from '../spec.ts'

spec('duration', (it) => {
  const cases: [string | number, number | undefined][] = [
    ['10s', 10_000],
    ['500ms', 500],
    ['1m30s', 90_000],
    ['1.5s', 1500],
    ['1h', 3_600_000],
    [30, 30_000],
    [0.0001, 1],
    ['1h1ms', undefined],
    ['0s', undefined],
    [0, undefined],
    [-1, undefined],
    [Number.NaN, undefined],
    [Number.POSITIVE_INFINITY, undefined],
    ['10', undefined],
    ['10 s', undefined],
    ['s', undefined],
    ['', undefined],
    ['-1s', undefined],
  ]
  for (const [value, expected] of cases) {
    it(`${JSON.stringify(value)} (${value}) is ${expected ?? 'no time limit'}${expected === undefined ? '' : ' ms'}`, () => {
      assert.is(parseDuration(value), expected)
    })
  }
})
