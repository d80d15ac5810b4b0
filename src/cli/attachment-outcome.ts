import type { Result } from '../cni/result.ts'
import { parseResult } from '../cni/result-parsing.ts'
import type { RecordedAttachment } from '../engine/recorded-plan.ts'
import { toNetworkStatus } from '../network/network-status.ts'
import type { SandboxRecord } from '../node/sandbox-records.ts'

/** What a recorded attachment got, as its plugins told it. */
export interface AttachmentOutcome {
  /** Whether its plugins answered; false before that, and for an optional network that failed. */
  readonly isAttached: boolean
  /** With prefix length where the plugin gave one. */
  readonly addresses: readonly string[]
  /** Of its interfaces in the pod. */
  readonly macs: readonly string[]
  /** Gateways of its default routes, as they are after any change of owner. */
  readonly gateways: readonly string[]
}

const NOTHING: AttachmentOutcome = { isAttached: false, addresses: [], macs: [], gateways: [] }

/**
 * Reads what became of one attachment from the results that are kept for CHECK.
 *
 * @throws {CniError} DelegateOutput when the recorded result is malformed.
 */
export function attachmentOutcome(
  { meta, complete }: SandboxRecord,
  attachment: RecordedAttachment,
): AttachmentOutcome {
  const kept = complete?.results.find(({ index }) => index === attachment.index)
  if (kept === undefined || meta === undefined) return NOTHING
  const { label, ifName, isDefault, cniVersion } = attachment
  const result: Result = parseResult(kept.prevResult, {
    fallbackVersion: cniVersion,
    what: `recorded result of network "${attachment.network}"`,
  })
  const entries = toNetworkStatus([{ name: label, ifName, isDefault, result }], meta.netns)
  return {
    isAttached: true,
    addresses: result.ips.map(({ address }) => address),
    macs: entries.flatMap(({ mac }) => mac ?? []),
    gateways: entries.flatMap(({ gateway }) => gateway ?? []),
  }
}

/**
 * The attachments that a DEL has still to undo; before any DEL all of them, also the optional ones that ADD
 * left out.
 */
export function remainingAttachments({ state, meta, record }: SandboxRecord): readonly RecordedAttachment[] {
  const attachments = meta?.attachments ?? []
  if (state !== 'undo pending') return attachments
  const undone = new Set(record?.calls.flatMap(({ exec, isUndone }) => (isUndone ? [exec.id] : [])))
  const left = attachments.filter(({ calls }) => !calls.every((id) => undone.has(id)))
  return left.length === 0 ? attachments : left
}
