/**
 * In which order things take turns, so that none gains by its place or by what ran before it: a Williams
 * design. In a cycle of N orders (2 N when N is odd) each of the N things stands equally often at each place
 * and equally often right behind each other one.
 */
export function williamsOrders(count: number): number[][] {
  const first = Array.from({ length: count }, (_, place) =>
    place % 2 === 1 ? (place + 1) / 2 : (count - place / 2) % count,
  )
  return Array.from({ length: count }, (_, shift) => {
    const order = first.map((index) => (index + shift) % count)
    return count % 2 === 1 ? [order, order.toReversed()] : [order]
  }).flat()
}

/** Hands out the orders of a cycle one after the other; each number of things has a cycle of its own. */
export function makeTurns(): <Thing>(things: readonly Thing[]) => Thing[] {
  const taken = new Map<number, number>()
  return (things) => {
    const orders = williamsOrders(things.length)
    const turn = taken.get(things.length) ?? 0
    taken.set(things.length, turn + 1)
    return (orders[turn % orders.length] ?? []).flatMap((index) => things.slice(index, index + 1))
  }
}
