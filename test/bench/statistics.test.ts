import * as assert from 'uvu/assert'
import { estimateMedian, quantile } from '../../bench/statistics.ts'
import { spec } from '../spec.ts'

spec('statistics of the benchmark', (it) => {
  it('interpolates quantiles', () => {
    assert.is(quantile([4, 1, 3, 2], 0.5), 2.5)
    assert.is(quantile([1, 2, 3, 4, 5], 0.9), 4.6)
    assert.is(quantile([], 0.5), undefined)
  })

  it('gives the median an interval that holds it and narrows with more values', () => {
    const few = estimateMedian(Array.from({ length: 9 }, (_, index) => index))
    const many = estimateMedian(Array.from({ length: 901 }, (_, index) => index / 100))
    assert.ok(few !== undefined && many !== undefined)
    assert.is(few.median, 4)
    assert.ok(few.low >= 1 && few.low < 4 && few.high > 4 && few.high <= 7)
    assert.ok(many.high - many.low < (few.high - few.low) / 4)
    assert.equal(estimateMedian([0, 1, 2, 3]), estimateMedian([0, 1, 2, 3]))
    assert.is(estimateMedian([]), undefined)
  })
})
