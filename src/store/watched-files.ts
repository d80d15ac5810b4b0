import { statSync } from 'node:fs'
import { performance } from 'node:perf_hooks'
import { toCniError } from '../cni/cni-error.ts'

/** What files say, read anew when they change. */
export interface WatchedFiles<T> {
  /** What is in force. */
  readonly current: T
  /** Why the files as they are now are not in force; `undefined` when they are. */
  readonly fault: string | undefined
  close(): void
}

/** A mounted ConfigMap or Secret is swapped by links, which no inotify watch on a file sees: so they are looked at. */
const LOOK_INTERVAL_MS = 200
/** A file that is taken away for a moment is being replaced. */
const ABSENT_AFTER_MS = 1000
const ABSENT = 'absent'

/**
 * Reads files now, and again whenever one of them changes.
 *
 * @param read Given what was in force before; what it throws keeps that in force.
 * @param changed Told of what is in force anew, or of why the old stays.
 * @throws What `read` throws at the start.
 */
export function watchFiles<T>(
  paths: readonly string[],
  read: (before: T | undefined) => T,
  changed: (now: T | undefined, fault: string | undefined) => void,
): WatchedFiles<T> {
  const look = (): string => paths.map(signature).join()
  // Before the content, so that a change in between is seen at the next look.
  let inForce = look()
  let seen = inForce
  let seenSince = performance.now()
  let current = read(undefined)
  let fault: string | undefined
  const timer = setInterval(() => {
    const now = look()
    if (now !== seen) {
      // They may be half written: what stays for two looks is read.
      seen = now
      seenSince = performance.now()
      return
    }
    if (now === inForce || (now.includes(ABSENT) && performance.now() - seenSince < ABSENT_AFTER_MS)) return
    inForce = now
    try {
      current = read(current)
      fault = undefined
      changed(current, undefined)
    } catch (error) {
      fault = toCniError(error).message
      changed(undefined, fault)
    }
  }, LOOK_INTERVAL_MS)
  timer.unref()
  return {
    get current() {
      return current
    },
    get fault() {
      return fault
    },
    close: () => clearInterval(timer),
  }
}

/** Something that changes with the file; links are followed. */
function signature(path: string): string {
  try {
    const stat = statSync(path, { bigint: true, throwIfNoEntry: false })
    if (stat === undefined) return ABSENT
    return [stat.dev, stat.ino, stat.size, stat.mtimeNs, stat.ctimeNs].join(':')
  } catch (error) {
    // Reading it says what is wrong.
    return `unreadable: ${toCniError(error).message}`
  }
}
