import { setTimeout as delay } from 'node:timers/promises'
import { CniError, toCniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import { type PodDevices, poolDevices } from '../network/pod-devices.ts'

/** How the kubelet is asked. */
export interface KubeletQuery {
  /** Path of the socket of its pod-resources API. */
  readonly socket: string
  /** For the whole question, however often it has to be asked. */
  readonly timeoutMs: number
  readonly signal: AbortSignal
}

const FIRST_PAUSE_MS = 100
/** The kubelet refuses more than 100 questions a second. */
const LONGEST_PAUSE_MS = 1000

/**
 * Asks the kubelet which devices it allocated to a pod. It is asked again until it answers and knows the pod: it
 * may be starting, and it may hear of the pod later than its runtime.
 *
 * @throws {CniError} TryAgainLater with what it said last, when the time is over or the signal ends the wait.
 */
export async function fetchPodDevices(
  pod: { readonly namespace: string; readonly name: string },
  { socket, timeoutMs, signal }: KubeletQuery,
): Promise<PodDevices> {
  const bound = new AbortController()
  // Also what keeps the process alive: the library's own handles do not.
  const timer = setTimeout(() => bound.abort(), timeoutMs)
  const over = AbortSignal.any([signal, bound.signal])
  let reason = 'it does not answer'
  try {
    const { queryPodDevices } = await import('./pod-resources-client.ts')
    for (let pauseMs = FIRST_PAUSE_MS; !over.aborted; pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)) {
      try {
        const containers = await queryPodDevices(socket, pod, over)
        if (containers !== undefined) return poolDevices(containers)
        reason = 'it does not know the pod'
      } catch (error) {
        if (!over.aborted) reason = toCniError(error).message
      }
      // An end of the wait is seen by the loop.
      await delay(pauseMs * (0.5 + Math.random() / 2), undefined, { signal: over }).catch(() => undefined)
    }
  } finally {
    clearTimeout(timer)
  }
  const end = signal.aborted ? 'until the runtime ended the call' : `within ${timeoutMs / 1000} s`
  throw new CniError(
    CniErrorCode.TryAgainLater,
    `the kubelet did not say ${end} which devices it allocated (${socket}): ${reason}`,
    { hint: 'see whether the kubelet runs, and whether "podResourcesSocket" is its socket' },
  )
}
