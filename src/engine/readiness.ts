import { existsSync } from 'node:fs'
import { performance } from 'node:perf_hooks'
import { setTimeout as delay } from 'node:timers/promises'
import { CniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'

const POLL_MS = 100

/**
 * Waits until the default network's readiness file is there (NPWG-104, C-35).
 *
 * @throws {CniError} TryAgainLater, in the words that users of Multus search for.
 */
export async function waitForReadiness(path: string, timeoutMs: number, signal: AbortSignal): Promise<void> {
  const deadline = performance.now() + timeoutMs
  while (!existsSync(path)) {
    if (performance.now() >= deadline || signal.aborted) {
      throw new CniError(
        CniErrorCode.TryAgainLater,
        `have you checked that your default network is ready? still waiting for readinessindicatorfile @ ${path}`,
        { hint: 'start the default CNI on this node' },
      )
    }
    await delay(POLL_MS)
  }
}
