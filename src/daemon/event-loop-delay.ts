import { performance } from 'node:perf_hooks'

const TICK_MS = 20

/**
 * Tells every 20 ms how much later than due the event loop came to it, seconds; 0 when nothing held it up.
 *
 * @returns What ends it.
 */
export function watchEventLoopDelay(tell: (delaySeconds: number) => void): () => void {
  let due = performance.now() + TICK_MS
  const timer = setInterval(() => {
    const now = performance.now()
    tell(Math.max(0, now - due) / 1000)
    due = now + TICK_MS
  }, TICK_MS)
  timer.unref()
  return () => clearInterval(timer)
}
