import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { CniError, toCniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import {
  type CompleteMeta,
  type PlannedMeta,
  readCompleteMeta,
  readPlannedMeta,
} from '../engine/recorded-plan.ts'
import { readNetnsId } from '../executor/netns.ts'
import { decodeJournal } from '../journal/format.ts'
import { type JournalKey, openJournalDir } from '../journal/journal.ts'
import { type JournalRecord, toJournalRecord } from '../journal/record.ts'
import { isNetns, isOnHost } from './own-place.ts'

/**
 * What a journal file says of its sandbox:
 * `live`: attached, and the network namespace is still the recorded one; `netns gone`: attached, but the
 * namespace is gone, so that a DEL is due (in a container that does not see it, it counts as there);
 * `incomplete`: an ADD is under way or was killed; `undo pending`: a DEL failed or was killed; `damaged`,
 * `newer format`, `unreadable`: the file cannot be taken at its word.
 */
export type SandboxState =
  | 'live'
  | 'netns gone'
  | 'incomplete'
  | 'undo pending'
  | 'damaged'
  | 'newer format'
  | 'unreadable'

/** One journal file, whatever its condition. */
export interface SandboxRecord extends JournalKey {
  readonly state: SandboxState
  readonly path: string
  /** DELs that failed so far. */
  readonly failedDels: number
  /** `undefined` when the file does not tell, as far as it can be read. */
  readonly meta: PlannedMeta | undefined
  readonly complete: CompleteMeta | undefined
  readonly record: JournalRecord | undefined
  /** Why the file cannot be used as it is, and what to do. */
  readonly fault: CniError | undefined
}

/**
 * Reads all that the journal of this node knows, without a lock and without writing anything: sandboxes in
 * the order of their container IDs, then what was moved to `damaged/`. A file that cannot be read is a
 * record with a fault; a state directory that is not there has none.
 *
 * @throws {CniError} Io when the state directory itself cannot be read.
 */
export function readSandboxRecords(stateDir: string): SandboxRecord[] {
  const journal = openJournalDir(stateDir)
  const records = journal.keys().flatMap((key) => {
    const path = join(stateDir, 'sandboxes', key.containerId, key.ifName)
    const place = { ...key, path }
    try {
      const lookup = journal.lookup(key)
      if (lookup.state === 'absent') return []
      if (lookup.state === 'newer') return [unusable(place, 'newer format', lookup.error)]
      return [toSandboxRecord(place, lookup.record)]
    } catch (error) {
      return [unusable(place, 'unreadable', toCniError(error))]
    }
  })
  return [...records, ...readDamaged(join(stateDir, 'damaged'))]
}

/** The records of one pod: what is in use before what is left over, and the newest first. */
export function recordsOfPod(
  records: readonly SandboxRecord[],
  namespace: string,
  name: string,
): SandboxRecord[] {
  return records
    .filter(({ meta }) => meta?.pod?.namespace === namespace && meta.pod.name === name)
    .sort((left, right) => rank(right) - rank(left) || compareTime(right, left))
}

function rank({ state }: SandboxRecord): number {
  return ['damaged', 'netns gone', 'undo pending', 'incomplete', 'live'].indexOf(state)
}

function compareTime(left: SandboxRecord, right: SandboxRecord): number {
  return Date.parse(left.meta?.time ?? '') - Date.parse(right.meta?.time ?? '') || 0
}

/** Files kept aside after their undo: only for people to look at. */
function readDamaged(folder: string): SandboxRecord[] {
  return readNames(folder).map((name) => {
    // "<containerID>-<ifName>-<milliseconds>"; an ifName may hold "-", but hardly does.
    const [, containerId = name, ifName = ''] = /^(.+)-([^-]+)-\d+$/.exec(name) ?? []
    const place = { containerId, ifName, path: join(folder, name) }
    const kept = new CniError(
      CniErrorCode.Io,
      `journal ${place.path} was damaged: what it still said is undone`,
      {
        hint: `look for what may be left of container ${containerId}, then remove the file`,
      },
    )
    try {
      const decoded = decodeJournal(readFileSync(place.path))
      if (decoded.state === 'newer') return unusable(place, 'damaged', kept)
      const record = toJournalRecord(decoded.frames, true)
      return { ...toSandboxRecord(place, record), state: 'damaged', fault: kept }
    } catch (error) {
      return unusable(place, 'damaged', toCniError(error))
    }
  })
}

function toSandboxRecord(place: JournalKey & { path: string }, record: JournalRecord): SandboxRecord {
  const meta = readPlannedMeta(record.planned)
  const complete = readCompleteMeta(record.complete)
  const { containerId, path } = place
  const fault = record.isDamaged
    ? new CniError(CniErrorCode.Decoding, `journal ${path} is damaged`, {
        hint: `send DEL for container ${containerId}: it undoes what the file still says and keeps the file aside`,
      })
    : undefined
  return {
    ...place,
    state: stateOf(record, meta, complete),
    failedDels: record.failedDels,
    meta,
    complete,
    record,
    fault,
  }
}

function stateOf(
  record: JournalRecord,
  meta: PlannedMeta | undefined,
  complete: CompleteMeta | undefined,
): SandboxState {
  if (record.isDamaged) return 'damaged'
  if (record.failedDels > 0) return 'undo pending'
  if (complete === undefined || meta === undefined) return 'incomplete'
  // An optional network that failed was undone by ADD itself.
  const up = new Set(complete.results.map(({ index }) => index))
  const ids = new Set(meta.attachments.flatMap(({ index, calls }) => (up.has(index) ? calls : [])))
  if (record.calls.some(({ exec, isUndone }) => isUndone && ids.has(exec.id))) return 'undo pending'
  return isNetnsThere(meta) ? 'live' : 'netns gone'
}

function isNetnsThere({ netns, netnsId }: PlannedMeta): boolean {
  try {
    return readNetnsId(netns) === netnsId || (!isOnHost(process.env) && !isNetns(netns))
  } catch {
    // We may not look, as in a container; then there is no reason to call it gone.
    return true
  }
}

function unusable(place: JournalKey & { path: string }, state: SandboxState, fault: CniError): SandboxRecord {
  return {
    ...place,
    state,
    failedDels: 0,
    meta: undefined,
    complete: undefined,
    record: undefined,
    fault,
  }
}

function readNames(folder: string): string[] {
  try {
    return readdirSync(folder).sort()
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return []
    throw toCniError(error, CniErrorCode.Io)
  }
}
