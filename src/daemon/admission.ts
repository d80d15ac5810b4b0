import { CniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'

/** Lets a bounded number of ADDs run at once; the others wait for their turn. Design §10. */
export interface Admission {
  /**
   * Waits for a place.
   *
   * @param namespace Namespaces take turns, so that one of many pods does not hold up the others.
   * @returns What gives the place back; calling it twice is once.
   * @param signal Who waits leaves the queue at once when it is aborted.
   * @throws {CniError} TryAgainLater when the wait is over, or aborted.
   */
  enter(namespace: string, timeoutMs: number, signal?: AbortSignal): Promise<() => void>
  readonly running: number
  readonly waiting: number
}

interface Waiter {
  admit(): void
}

/** @param limit Read at each decision, so that a new configuration takes effect. */
export function openAdmission(limit: () => number): Admission {
  // A Map keeps the order of insertion: the first namespace in it is the next to be served.
  const queues = new Map<string, Waiter[]>()
  let running = 0
  let waiting = 0

  const admitNext = (): void => {
    while (running < limit()) {
      const [next] = queues
      if (next === undefined) return
      const [namespace, queue] = next
      queues.delete(namespace)
      const waiter = queue.shift()
      if (queue.length > 0) queues.set(namespace, queue)
      if (waiter === undefined) continue
      waiting--
      waiter.admit()
    }
  }
  const place = (): (() => void) => {
    running++
    let isGiven = false
    return () => {
      if (isGiven) return
      isGiven = true
      running--
      admitNext()
    }
  }
  return {
    async enter(namespace, timeoutMs, signal) {
      if (signal?.aborted === true) throw cancelled()
      if (running < limit() && waiting === 0) return place()
      return await new Promise((resolve, reject) => {
        const settle = (): void => {
          clearTimeout(timer)
          signal?.removeEventListener('abort', cancel)
        }
        const giveUp = (error: CniError): void => {
          settle()
          const queue = queues.get(namespace) ?? []
          const rest = queue.filter((other) => other !== waiter)
          if (rest.length === 0) queues.delete(namespace)
          else queues.set(namespace, rest)
          waiting--
          reject(error)
        }
        const cancel = (): void => giveUp(cancelled())
        const timer = setTimeout(
          () =>
            giveUp(
              new CniError(
                CniErrorCode.TryAgainLater,
                `${running} ADDs are running on this node, no turn in ${timeoutMs / 1000} s`,
                { hint: 'the runtime will try again' },
              ),
            ),
          timeoutMs,
        )
        const waiter: Waiter = {
          admit: () => {
            settle()
            resolve(place())
          },
        }
        signal?.addEventListener('abort', cancel, { once: true })
        const queue = queues.get(namespace)
        if (queue === undefined) queues.set(namespace, [waiter])
        else queue.push(waiter)
        waiting++
      })
    },
    get running() {
      return running
    },
    get waiting() {
      return waiting
    },
  }
}

function cancelled(): CniError {
  return new CniError(CniErrorCode.TryAgainLater, 'the runtime ended the call while it waited for its turn')
}
