const TEXT = /^(?:\d+(?:\.\d+)?(?:h|ms|m|s))+$/
const PART = /(\d+(?:\.\d+)?)(h|ms|m|s)/g
const UNIT_MS: Record<string, number> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1 }

/** An hour: a longer limit is a mistake, and timers end at 2^31 ms. */
const LIMIT_MS = 3_600_000

/**
 * A span of time as Kubernetes writes it (`10s`, `500ms`, `1m30s`), or a number of seconds, in whole
 * milliseconds; `undefined` when it is none, not above zero, or longer than an hour.
 */
export function parseDuration(value: string | number): number | undefined {
  let ms = 0
  if (typeof value === 'number') ms = value * 1000
  else {
    if (!TEXT.test(value)) return undefined
    for (const [, amount, unit] of value.matchAll(PART)) ms += Number(amount) * (UNIT_MS[unit ?? ''] ?? 0)
  }
  const whole = Math.ceil(ms)
  return whole > 0 && whole <= LIMIT_MS ? whole : undefined
}
