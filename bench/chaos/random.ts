/** Numbers that the same seed gives again. */
export interface Random {
  /** From 0 to less than 1. */
  next(): number
  /** Whether something of this probability happens. */
  chance(probability: number): boolean
  /** A whole number from 0 to less than `limit`. */
  below(limit: number): number
}

/** @param seed Every cycle has its own stream, so that it does not matter which of them runs first. */
export function seededRandom(seed: number, cycle: number): Random {
  // Mulberry32, on a start that mixes both numbers.
  let state = Math.imul(seed ^ Math.imul(cycle + 1, 0x9e3779b1), 0x85ebca6b) >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  return {
    next,
    chance: (probability) => next() < probability,
    below: (limit) => Math.floor(next() * limit),
  }
}
