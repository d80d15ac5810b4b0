/**
 * The value below which the share `q` (0 to 1) of the values lies, interpolated between neighbours.
 *
 * @returns `undefined` of no values.
 */
export function quantile(values: readonly number[], q: number): number | undefined {
  const sorted = values.toSorted((left, right) => left - right)
  const place = (sorted.length - 1) * q
  const below = sorted[Math.floor(place)]
  const above = sorted[Math.ceil(place)]
  if (below === undefined || above === undefined) return undefined
  return below + (above - below) * (place - Math.floor(place))
}

/** A median and the interval in which it lies with a probability of 95 %. */
export interface Estimate {
  readonly median: number
  readonly low: number
  readonly high: number
}

const RESAMPLES = 2000

/**
 * The median with its interval by bootstrap. The draws are the same in each run, so the same values give
 * the same estimate.
 *
 * @returns `undefined` of no values.
 */
export function estimateMedian(values: readonly number[]): Estimate | undefined {
  const median = quantile(values, 0.5)
  if (median === undefined) return undefined
  const draw = mulberry32(1)
  const medians = Array.from({ length: RESAMPLES }, () =>
    quantile(
      values.map(() => values[Math.floor(draw() * values.length)] ?? 0),
      0.5,
    ),
  ) as number[]
  return { median, low: quantile(medians, 0.025) ?? median, high: quantile(medians, 0.975) ?? median }
}

/** As `1.02 (0.99–1.05)`. */
export function formatEstimate({ median, low, high }: Estimate): string {
  return `${median.toFixed(2)} (${low.toFixed(2)}–${high.toFixed(2)})`
}

/** @returns So many decimals; `null`, as JSON has it, of nothing. */
export function rounded(value: number | undefined, digits: number): number | null {
  return value === undefined ? null : Number(value.toFixed(digits))
}

/** A small generator of random numbers from 0 to 1. */
function mulberry32(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let word = Math.imul(state ^ (state >>> 15), state | 1)
    word ^= word + Math.imul(word ^ (word >>> 7), word | 61)
    return ((word ^ (word >>> 14)) >>> 0) / 2 ** 32
  }
}
