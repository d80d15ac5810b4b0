/** How often something may be done: a bucket that fills steadily and holds a burst. */
export interface WriteRate {
  /** Takes so many when there are. */
  take(count: number): boolean
  /** Milliseconds until there are so many. */
  waitMs(count: number): number
}

/** @param now Milliseconds on a clock that never jumps. */
export function writeRate(perSecond: number, burst: number, now: () => number): WriteRate {
  let tokens = burst
  let filledAt = now()
  const fill = (): void => {
    const at = now()
    tokens = Math.min(burst, tokens + ((at - filledAt) / 1000) * perSecond)
    filledAt = at
  }
  return {
    take(count) {
      fill()
      if (tokens < count) return false
      tokens -= count
      return true
    },
    waitMs(count) {
      fill()
      return tokens >= count ? 0 : Math.ceil(((count - tokens) / perSecond) * 1000)
    },
  }
}
