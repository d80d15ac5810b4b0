import { performance } from 'node:perf_hooks'

const TICK_MS = 20

/** A shim waits a second at least for an answer: what a loop that was held up so long finds may be long over. */
const HELD_UP_MS = 500

/** The watch over the event loop. */
export interface EventLoopWatch {
  /** Whether the loop has not come round for long: the process was stopped, or had no processor. */
  readonly isHeldUp: boolean
  end(): void
}

/** Tells every 20 ms how much later than due the event loop came to it, seconds; 0 when nothing held it up. */
export function watchEventLoopDelay(tell: (delaySeconds: number) => void): EventLoopWatch {
  let due = performance.now() + TICK_MS
  let heldUpUntil = 0
  const timer = setInterval(() => {
    const now = performance.now()
    tell(Math.max(0, now - due) / 1000)
    // Who had connected meanwhile is heard in the turns that follow.
    if (now - due > HELD_UP_MS) heldUpUntil = now + HELD_UP_MS
    due = now + TICK_MS
  }, TICK_MS)
  timer.unref()
  return {
    get isHeldUp() {
      const now = performance.now()
      return now - due > HELD_UP_MS || now < heldUpUntil
    },
    end: () => clearInterval(timer),
  }
}
