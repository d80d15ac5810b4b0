import { MAX_FRAME_BYTES } from '../executor/frame.ts'

/** Connections that have not said hello yet: bounded in number and in memory, however many come. */
export interface Newcomers {
  /**
   * Takes one in. When there are too many, the oldest is sent away.
   *
   * @param sendAway Closes it, with the reason.
   */
  enter(sendAway: (reason: string) => void): Newcomer
  readonly count: number
}

/** One of them. */
interface Newcomer {
  /** The memory that its hello takes so far. */
  holds(bytes: number): void
  /** It has said hello, or is gone; calling it twice is once. */
  leave(): void
}

interface Entry {
  bytes: number
  readonly sendAway: (reason: string) => void
}

/** A shim says hello at once, so that at any moment few have not. */
const COUNT_LIMIT = 1024
/** Room for two hellos of the largest size, which no runtime sends. */
const BYTES_LIMIT = 2 * (4 + MAX_FRAME_BYTES)

/** Makes the place where they wait. */
export function openNewcomers(
  limits: { readonly count: number; readonly bytes: number } = { count: COUNT_LIMIT, bytes: BYTES_LIMIT },
): Newcomers {
  // In the order in which they came.
  const entries = new Set<Entry>()
  let totalBytes = 0
  const remove = (entry: Entry): void => {
    if (!entries.delete(entry)) return
    totalBytes -= entry.bytes
  }
  const sendAway = (entry: Entry, reason: string): void => {
    remove(entry)
    entry.sendAway(reason)
  }
  const oldest = (isMeant: (entry: Entry) => boolean): Entry | undefined => {
    for (const entry of entries) if (isMeant(entry)) return entry
    return undefined
  }
  return {
    enter(close) {
      const entry: Entry = { bytes: 0, sendAway: close }
      const first = entries.size < limits.count ? undefined : oldest(() => true)
      if (first !== undefined) sendAway(first, `${limits.count} connections have not said hello`)
      entries.add(entry)
      return {
        holds(bytes) {
          if (!entries.has(entry)) return
          totalBytes += bytes - entry.bytes
          entry.bytes = bytes
          while (totalBytes > limits.bytes) {
            const holder = oldest((other) => other.bytes > 0)
            if (holder === undefined) return
            sendAway(holder, `connections that have not said hello hold ${limits.bytes} bytes`)
          }
        },
        leave: () => remove(entry),
      }
    },
    get count() {
      return entries.size
    },
  }
}

/** Least time between two lines about peers that were sent away. */
const REPORT_INTERVAL_MS = 10_000

/**
 * Reports peers that were sent away, at most one line in 10 seconds.
 *
 * @param report Told of one, and how many others there were since the last line.
 */
export function openRefusals(
  report: (reason: string, others: number) => void,
  now: () => number,
): (reason: string) => void {
  let last = Number.NEGATIVE_INFINITY
  let others = 0
  return (reason) => {
    if (now() - last < REPORT_INTERVAL_MS) {
      others++
      return
    }
    last = now()
    report(reason, others)
    others = 0
  }
}
