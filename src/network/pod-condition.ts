import type { CniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'

/** Condition of a pod that tells whether it has its networks; a pod may name it as a readiness gate. */
export const NETWORKS_READY_CONDITION = 'plexus-cni.io/NetworksReady'

/** The condition as Plexus writes it. */
export interface NetworksReady {
  readonly status: 'True' | 'False'
  /** One CamelCase word. */
  readonly reason: string
  readonly message: string
}

/** The API server takes 32 KiB; what is longer than this nobody reads. */
const MESSAGE_BYTES = 1024

const REASONS: Readonly<Record<number, string>> = Object.fromEntries(
  Object.entries(CniErrorCode).map(([name, code]) => [code, name]),
)

/**
 * The condition of a pod that is attached. Optional networks that it goes without do not make it unready:
 * that is what optional means.
 *
 * @param missing What is wrong with each of them.
 */
export function attachedCondition(missing: readonly string[]): NetworksReady {
  return missing.length === 0
    ? { status: 'True', reason: 'NetworksAttached', message: '' }
    : { status: 'True', reason: 'OptionalNetworksMissing', message: cutToBytes(missing.join('; ')) }
}

/** The condition of a pod whose ADD failed. A code of a plugin's own has no name. */
export function failedCondition(error: CniError): NetworksReady {
  const reason = REASONS[error.code] ?? 'DelegateFailed'
  return { status: 'False', reason, message: cutToBytes(error.message) }
}

/** The beginning of a text, of so many bytes in UTF-8 at most. */
export function cutToBytes(text: string, limitBytes = MESSAGE_BYTES): string {
  if (Buffer.byteLength(text) <= limitBytes) return text
  const mark = '…'
  // Never in the middle of a character: what is left of one is taken away.
  const kept = Buffer.from(text)
    .subarray(0, limitBytes - Buffer.byteLength(mark))
    .toString('utf8')
  return `${kept.replace(/\ufffd+$/, '')}${mark}`
}
