/** A source of repeatable pseudo-random choices, so that a failure can be run again with its seed. */
export interface Random {
  /** An integer of 0 … limit - 1. */
  below(limit: number): number
  pick<T>(choices: readonly [T, ...T[]]): T
  chance(): boolean
}

/** The mulberry32 generator. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0
  const below = (limit: number): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit)
  }
  return {
    below,
    pick: (choices) => choices[below(choices.length)] ?? choices[0],
    chance: () => below(2) === 1,
  }
}
