import { CniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import type { JournalKey } from '../journal/journal.ts'
import type { EngineContext } from './engine.ts'
import { readCompleteMeta, readPlannedMeta } from './recorded-plan.ts'
import { undoRecorded } from './undo-recorded.ts'

/**
 * Before an ADD: a live attachment is refused and not touched; what an ADD that did not end left behind
 * is undone. Design §10, "Repeated ADD", CNI-046.
 *
 * @throws {CniError} AttachmentExists; TryAgainLater when the remains cannot be undone or are of a newer
 * format.
 */
export async function clearRemains(context: EngineContext, key: JournalKey, deadline: number): Promise<void> {
  const { journal, executor, request } = context
  const lookup = journal.lookup(key)
  if (lookup.state === 'absent') return
  if (lookup.state === 'newer') throw lookup.error
  const meta = readPlannedMeta(lookup.record.planned)
  const complete = readCompleteMeta(lookup.record.complete)
  const identity = await executor.netnsId(request.netns)
  // An optional network that failed was undone by its own ADD; that makes the pod no less live.
  const up = new Set(
    meta?.attachments
      .filter(({ index }) => complete?.results.some((result) => result.index === index))
      .flatMap(({ calls }) => calls),
  )
  const isWhole = !lookup.record.calls.some(({ exec, isUndone }) => isUndone && up.has(exec.id))
  if (complete !== undefined && isWhole && identity !== undefined && meta?.netnsId === identity) {
    throw new CniError(
      CniErrorCode.AttachmentExists,
      `container ${key.containerId} is already attached on ${key.ifName}; nothing was changed`,
      { hint: 'send DEL before a second ADD' },
    )
  }
  const { faults } = await undoRecorded(context, key, lookup, request.netns, deadline)
  const [first] = faults
  if (first !== undefined) {
    throw new CniError(
      CniErrorCode.TryAgainLater,
      `remains of an earlier ADD of container ${key.containerId} on ${key.ifName} cannot be undone: ${first.message}`,
      { cause: first, faults: faults.map(({ message }) => message) },
    )
  }
}
