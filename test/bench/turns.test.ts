import * as assert from 'uvu/assert'
import { makeTurns, williamsOrders } from '../../bench/turns.ts'
import { spec } from '../spec.ts'

/** How often each key occurs. */
function count(keys: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1)
  return counts
}

spec('turns of the benchmark', (it) => {
  it('put each thing equally often at each place, and right behind each other one', () => {
    for (const size of [1, 2, 3, 4, 5, 6]) {
      const orders = williamsOrders(size)
      const places = count(orders.flatMap((order) => order.map((thing, place) => `${thing} at ${place}`)))
      const pairs = count(
        orders.flatMap((order) => order.slice(1).map((thing, index) => `${order[index]}, ${thing}`)),
      )
      assert.is(places.size, size * size)
      assert.is(new Set(places.values()).size, 1)
      assert.is(pairs.size, size * (size - 1))
      assert.ok(new Set(pairs.values()).size <= 1)
    }
  })

  it('go through the whole cycle of each number of things, however they alternate', () => {
    const takeTurns = makeTurns()
    const seen = new Set<string>()
    for (let round = 0; round < 16; round++) {
      if (round % 4 === 0) takeTurns(['a', 'b', 'c', 'd', 'e'])
      else seen.add(takeTurns(['a', 'b', 'c', 'd']).join(''))
    }
    assert.is(seen.size, 4)
  })
})
