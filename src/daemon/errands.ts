import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { toCniError } from '../cni/cni-error.ts'
import type { NetConf } from '../config/net-conf.ts'
import { readPlannedMeta } from '../engine/recorded-plan.ts'
import { settleUndone, type UndoContext, undoRecorded } from '../engine/undo-recorded.ts'
import { type Journal, type JournalKey, type JournalLookup, openJournalDir } from '../journal/journal.ts'
import { type JournalRecord, pendingUndo } from '../journal/record.ts'
import type { ClusterStore } from '../store/cluster-store.ts'
import type { ErrandSession } from './session.ts'

/** Undo work on sandboxes that no runtime asks for any more, done with the help of connected shims. */
export interface Errands {
  /**
   * Looks for work in the journal; called at start-up and from time to time.
   *
   * @param seen Told of every record that can be read, since it is read here.
   * @throws {CniError} When a record cannot be read; the others have been looked at.
   */
  scan(stateDir: string, seen: (key: JournalKey, record: JournalRecord) => void): void
  /**
   * Takes away the records that the last scan found all undone: their daemon ended before it could. Nobody's help is
   * needed for that, nor their lock, since nothing of them runs any more.
   */
  settle(conf: NetConf, store: ClusterStore | undefined, warn: (message: string) => void): Promise<void>
  /** Work that is known of. */
  readonly pending: number
  /** Whether somebody who helps could do some of it now. */
  isDue(): boolean
  run(
    session: ErrandSession,
    conf: NetConf,
    store: ClusterStore | undefined,
    limits: ErrandLimits,
  ): Promise<void>
}

/** What may be asked of one helper in one round. */
export interface ErrandLimits {
  readonly timeMs: number
  /** Old records whose namespace is looked at. */
  readonly looks: number
}

/** A shim lends two seconds after its answer (design §5). */
export const SHIM_LIMITS: ErrandLimits = { timeMs: 2000, looks: 8 }
/** An agent has nothing else to do. */
export const AGENT_LIMITS: ErrandLimits = { timeMs: 60_000, looks: Number.POSITIVE_INFINITY }

/** A record is no dead sandbox's before this age: a runtime may still be making its namespace. */
const DEAD_AFTER_MS = 10 * 60_000

/**
 * @param intervalMs Least time between two tries of one undo.
 */
export function openErrands(options: {
  readonly intervalMs: () => number
  readonly done: (outcome: 'undone' | 'failed', key: JournalKey, reason?: string) => void
}): Errands {
  const failed = new Map<string, { key: JournalKey; notBefore: number }>()
  const old: JournalKey[] = []
  let finished: JournalKey[] = []
  /** Ids of the records that a helper works on. */
  const working = new Set<string>()

  const idOf = ({ containerId, ifName }: JournalKey): string => `${containerId}/${ifName}`

  return {
    scan(stateDir, seen) {
      const journal = openJournalDir(stateDir)
      old.length = 0
      finished = []
      let fault: unknown
      for (const key of journal.keys()) {
        if (working.has(idOf(key))) continue
        let lookup: JournalLookup
        try {
          lookup = journal.lookup(key)
        } catch (error) {
          fault ??= error
          continue
        }
        if (lookup.state === 'absent' || lookup.state === 'newer') continue
        seen(key, lookup.record)
        const age = ageMs(readPlannedMeta(lookup.record.planned)?.time)
        if (isDone(lookup.record)) finished.push(key)
        if (isBegun(lookup.record)) {
          if (!failed.has(idOf(key)))
            failed.set(idOf(key), { key, notBefore: performance.now() + options.intervalMs() })
        } else if (age >= DEAD_AFTER_MS) old.push(key)
      }
      if (fault !== undefined) throw fault
    },
    async settle(conf, store, warn) {
      const journal = openJournalDir(conf.stateDir)
      for (const key of finished.splice(0)) {
        const lookup = journal.lookup(key)
        if (!('record' in lookup) || !isDone(lookup.record) || working.has(idOf(key))) continue
        await settleUndone({ journal, conf, store, warn }, key, lookup, journal.open(key, lookup.record))
      }
    },
    get pending() {
      return failed.size
    },
    isDue() {
      const now = performance.now()
      return old.length > 0 || [...failed.values()].some(({ notBefore }) => notBefore <= now)
    },
    async run(session, conf, store, limits) {
      const now = performance.now()
      const deadline = now + limits.timeMs
      const due = [...failed.values()].filter(({ notBefore }) => notBefore <= now).map(({ key }) => key)
      const looks = old.splice(0, limits.looks)
      if (due.length === 0 && looks.length === 0) return
      const journal = openJournalDir(conf.stateDir)
      const lookAfter = async (key: JournalKey): Promise<void> => {
        // The runtime's own DEL, or another session, has done it: no lock file is to be made again.
        if (journal.lookup(key).state === 'absent') {
          failed.delete(idOf(key))
          return
        }
        const isDue = failed.has(idOf(key))
        if (!isDue && !(await isDead(session, journal, key))) return
        if (!(await session.lock(key.containerId))) return
        // Another helper may have done it while we waited, or the runtime made the sandbox anew.
        const isStillDue = isDue ? hasFailed(journal, key) : await isDead(session, journal, key)
        failed.delete(idOf(key))
        if (!isStillDue) return
        working.add(idOf(key))
        const reason = await undo(session, conf, store, journal, key, deadline)
        working.delete(idOf(key))
        if (reason === undefined) options.done('undone', key)
        else {
          failed.set(idOf(key), { key, notBefore: performance.now() + options.intervalMs() })
          options.done('failed', key, reason)
        }
      }
      let fault: unknown
      for (const key of [...due, ...looks]) {
        if (performance.now() >= deadline) {
          if (!failed.has(idOf(key))) old.push(key)
          continue
        }
        try {
          await lookAfter(key)
        } catch (error) {
          // One record that cannot be read holds up no other.
          fault ??= error
          if (failed.has(idOf(key)))
            failed.set(idOf(key), { key, notBefore: performance.now() + options.intervalMs() })
        }
      }
      if (fault !== undefined) throw fault
    },
  }
}

function hasFailed(journal: Journal, key: JournalKey): boolean {
  const lookup = journal.lookup(key)
  return lookup.state !== 'absent' && lookup.state !== 'newer' && isBegun(lookup.record)
}

/** Whether a DEL has failed, or was done by a daemon that died before it had removed the record. */
function isBegun(record: JournalRecord): boolean {
  return record.failedDels > 0 || isDone(record)
}

function isDone(record: JournalRecord): boolean {
  return record.calls.some(({ isUndone }) => isUndone) && pendingUndo(record).length === 0
}

async function isDead(session: ErrandSession, journal: Journal, key: JournalKey): Promise<boolean> {
  const lookup = journal.lookup(key)
  if (lookup.state === 'absent' || lookup.state === 'newer') return false
  const meta = readPlannedMeta(lookup.record.planned)
  if (meta === undefined || ageMs(meta.time) < DEAD_AFTER_MS) return false
  return (await session.executor.netnsId(meta.netns)) !== meta.netnsId
}

async function undo(
  session: ErrandSession,
  conf: NetConf,
  store: ClusterStore | undefined,
  journal: Journal,
  key: JournalKey,
  deadline: number,
): Promise<string | undefined> {
  // The helper holds this lock until it is told of the next errand.
  const forgetLock = (): void => {
    if (!journal.knows(key.containerId))
      rmSync(join(conf.stateDir, 'locks', key.containerId), { force: true })
  }
  const context: UndoContext = {
    executor: session.executor,
    journal,
    conf,
    store,
    now: () => performance.now(),
    startedAt: performance.now(),
    warn: () => undefined,
    called: () => undefined,
  }
  try {
    const lookup = journal.lookup(key)
    if (lookup.state === 'newer') return lookup.error.message
    // Done by somebody else while we waited for the lock.
    if (lookup.state === 'absent') {
      forgetLock()
      return undefined
    }
    const recorded = readPlannedMeta(lookup.record.planned)?.netns ?? ''
    // The shim gives no delegate of an errand the node's own.
    const isOwn = recorded !== '' && (await session.executor.probe(recorded, [])).isHostNetns
    const netns = isOwn ? '' : recorded
    const { faults } = await undoRecorded(context, key, lookup, netns, deadline)
    if (faults.length > 0) return faults.map(({ message }) => message).join('; ')
    forgetLock()
    return undefined
  } catch (error) {
    return toCniError(error).message
  }
}

/** Age of a record by the wall clock; a clock that jumped back makes it young, never old. */
function ageMs(time: string | undefined): number {
  const written = time === undefined ? Number.NaN : Date.parse(time)
  return Number.isNaN(written) ? 0 : Date.now() - written
}
