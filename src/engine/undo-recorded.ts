import type { CniError } from '../cni/cni-error.ts'
import { toCniError } from '../cni/cni-error.ts'
import type { JournalKey, JournalLookup, OpenJournal } from '../journal/journal.ts'
import { type JournalRecord, pendingUndo } from '../journal/record.ts'
import { removeDeviceInfo } from './device-info-file.ts'
import type { EngineContext } from './engine.ts'
import { type PlannedMeta, readPlannedMeta } from './recorded-plan.ts'
import { type UndoCallContext, undoCalls } from './undo.ts'

/** What an undo from the journal works with; no request need be there. */
export type UndoContext = Pick<EngineContext, 'journal' | 'store'> & UndoCallContext

/** What is left of a recorded attachment round after an undo. */
export interface RecordedUndo {
  readonly faults: readonly CniError[]
  /** DELs of this record that failed, this one included. */
  readonly failedDels: number
}

/**
 * Undoes what the journal has recorded and is not yet undone, from the journal alone (design §5), then
 * removes the record, or keeps it for the next time when something failed.
 *
 * @param netns CNI_NETNS of the request; the delegates get it only when it still is the recorded
 * namespace.
 * @param settleWhen When the record goes: at once, unless nothing follows that looks at it.
 */
export async function undoRecorded(
  context: UndoContext,
  key: JournalKey,
  lookup: Extract<JournalLookup, { record: JournalRecord }>,
  netns: string,
  deadline: number,
  settleWhen: EngineContext['afterAnswer'] = async (task) => task(),
): Promise<RecordedUndo> {
  const { record } = lookup
  const meta = readPlannedMeta(record.planned)
  const { faults, undone } = await undoCalls(
    context,
    pendingUndo(record),
    await usableNetns(context, meta, key, netns),
    deadline,
    meta?.searchPath,
  )
  const where =
    meta?.pod === undefined ? `container ${key.containerId}` : `pod ${meta.pod.namespace}/${meta.pod.name}`
  const open = mark(context, key, record, undone, faults.length > 0)
  if (faults.length > 0) {
    open?.close()
    return { faults: faults.map((fault) => fault.at(where)), failedDels: record.failedDels + 1 }
  }
  const settleAll = (): Promise<void> => settleUndone(context, key, lookup, open)
  // What is not marked as undone must not be found by whoever comes next.
  await (open === undefined ? settleAll() : settleWhen(settleAll))
  return { faults: [], failedDels: 0 }
}

/**
 * Takes away what is left of a record when all of it is undone: device-info, the network-status, the record itself.
 *
 * @param open The record that was undone; `undefined` when it could not be marked. Closed at the end.
 */
export async function settleUndone(
  context: Pick<UndoContext, 'journal' | 'store' | 'conf' | 'warn'>,
  key: JournalKey,
  { record, state }: Extract<JournalLookup, { record: JournalRecord }>,
  open: OpenJournal | undefined,
): Promise<void> {
  const meta = readPlannedMeta(record.planned)
  const owner = { devInfoDir: context.conf.devInfoDir, containerId: key.containerId }
  // A daemon that was held up may come to this when the container has been made anew.
  const isCurrent = (): boolean => open?.isCurrent() ?? true
  if (isCurrent()) {
    for (const { deviceInfoFile } of meta?.attachments ?? [])
      removeDeviceInfo(deviceInfoFile, owner, context.warn)
  }
  await unpublish(context, meta)
  if (isCurrent()) settle(context, key, state === 'damaged')
  open?.close()
}

/**
 * Marks what is undone, so that nobody takes the attachment for a live one while its record still is there.
 *
 * @returns The open journal, to be closed; `undefined` when it cannot be written, so that nothing is marked.
 */
function mark(
  { journal, warn }: UndoContext,
  key: JournalKey,
  record: JournalRecord,
  undone: readonly number[],
  hasFailed: boolean,
): OpenJournal | undefined {
  let open: OpenJournal | undefined
  try {
    open = journal.open(key, record)
    open.undone(...undone)
    if (hasFailed) open.attempted()
    return open
  } catch (error) {
    // An undo may be repeated; a disk that cannot be written must not keep the pod.
    warn(`what this DEL has done is not recorded: ${toCniError(error).message}`)
    open?.close()
    return undefined
  }
}

/** All is undone: the record goes, a damaged one is kept aside and reported once. */
export function settle(
  { journal, warn }: Pick<UndoContext, 'journal' | 'warn'>,
  key: JournalKey,
  isDamaged: boolean,
): void {
  try {
    if (isDamaged) {
      warn(
        `journal of container ${key.containerId} (${key.ifName}) is damaged: what it still says was undone, the file is now ${journal.setAside(key)}`,
      )
    } else {
      journal.remove(key)
    }
  } catch (error) {
    // Everything is undone; the record left behind only repeats that.
    warn(toCniError(error).message)
  }
}

async function unpublish(
  { store, warn }: Pick<UndoContext, 'store' | 'warn'>,
  meta: PlannedMeta | undefined,
): Promise<void> {
  const pod = meta?.pod
  if (store === undefined || pod === undefined || meta === undefined) return
  try {
    await store.unpublish({ namespace: pod.namespace, name: pod.name, containerId: meta.containerId })
  } catch (error) {
    warn(`network-status of pod ${pod.namespace}/${pod.name} is not taken back: ${toCniError(error).message}`)
  }
}

/**
 * The netns that delegates may touch: empty when it is gone, or when its path leads to another one by
 * now, which may be another pod's (design §5).
 */
async function usableNetns(
  { executor, journal }: UndoContext,
  meta: PlannedMeta | undefined,
  key: JournalKey,
  netns: string,
): Promise<string> {
  const identity = await executor.netnsId(netns)
  if (identity === undefined) return ''
  if (meta !== undefined) return meta.netnsId === identity ? netns : ''
  return isClaimed(journal, identity, key) ? '' : netns
}

/** Whether another container's record claims the netns; one that cannot be read holds up nobody else. */
export function isClaimed(journal: EngineContext['journal'], netnsId: string, key: JournalKey): boolean {
  return journal.keys().some((other) => {
    if (other.containerId === key.containerId) return false
    try {
      const lookup = journal.lookup(other)
      // Not from its meta: there may be hundreds of records, and to parse JSON takes the most of it.
      return 'record' in lookup && lookup.record.netnsId === netnsId
    } catch {
      // Its own DEL tells of it.
      return false
    }
  })
}
