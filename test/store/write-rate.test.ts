import * as assert from 'uvu/assert'
import { writeRate } from '../../src/store/write-rate.ts'
import { spec } from '../spec.ts'

spec('write rate', (it) => {
  it('lets a burst through and then so many a second, whoever asks how often', () => {
    let now = 1000
    const rate = writeRate(20, 40, () => now)
    let taken = 0
    for (; rate.take(1); taken++);
    assert.is(taken, 40)
    assert.is(rate.waitMs(1), 50)
    assert.is(rate.waitMs(2), 100)
    for (const end = now + 10_000; now < end; now += 7) while (rate.take(1)) taken++
    assert.ok(taken >= 40 + 199 && taken <= 40 + 200, String(taken))
    now += 3_600_000
    assert.is(rate.waitMs(40), 0)
    assert.not.ok(rate.take(41))
    assert.ok(rate.take(40))
    assert.not.ok(rate.take(1))
  })
})
