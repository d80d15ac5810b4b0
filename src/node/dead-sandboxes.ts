import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { toCniError } from '../cni/cni-error.ts'
import { parseNetConf } from '../config/net-conf.ts'
import { type PlannedMeta, readPlannedMeta } from '../engine/recorded-plan.ts'
import { type UndoContext, undoRecorded } from '../engine/undo-recorded.ts'
import { startGuard } from '../executor/guard.ts'
import { localExecutor } from '../executor/local.ts'
import { readNetnsId } from '../executor/netns.ts'
import { type JournalKey, type JournalLookup, openJournalDir } from '../journal/journal.ts'
import { lockSandbox } from '../journal/lock.ts'
import { RESULT_FOLDERS } from './result-folders.ts'
import { placedBinDirs } from './shim-files.ts'

/** A recorded sandbox that is not undone, and why. */
export interface RemainingSandbox extends JournalKey {
  /** `namespace/name`; `null` when it is not known. */
  readonly pod: string | null
  readonly reason: string
}

/** What {@link undoDeadSandboxes} needs. */
export interface DeadSandboxOptions {
  readonly stateDir: string
  readonly binDir: string
  /** Our own executable, which is never delegated to. */
  readonly self: string
  readonly warn: (message: string) => void
}

const LOCK_TIMEOUT_MS = 1000
const UNDO_TIMEOUT_MS = 100_000

/**
 * Every sandbox that the journal still knows.
 *
 * @param seesNetns Whether the pods' namespaces are where the records have them.
 */
export function remainingSandboxes(stateDir: string, seesNetns: boolean): RemainingSandbox[] {
  const journal = openJournalDir(stateDir)
  return journal.keys().flatMap((key) => {
    try {
      const lookup = journal.lookup(key)
      if (lookup.state === 'absent') return []
      if (lookup.state === 'newer') return [{ ...key, pod: null, reason: lookup.error.message }]
      const meta = readPlannedMeta(lookup.record.planned)
      const pod = meta?.pod === undefined ? null : `${meta.pod.namespace}/${meta.pod.name}`
      return [{ ...key, pod, reason: reasonOf(meta, lookup.record.failedDels, seesNetns) }]
    } catch (error) {
      return [{ ...key, pod: null, reason: toCniError(error).message }]
    }
  })
}

/**
 * Undoes, from their records alone, the sandboxes whose network namespace is gone: once the runtime no longer calls
 * us nobody else does. One that fails stays recorded.
 */
export async function undoDeadSandboxes(options: DeadSandboxOptions): Promise<void> {
  const { stateDir, warn } = options
  const journal = openJournalDir(stateDir)
  for (const key of journal.keys()) {
    try {
      if (!isDead(journal.lookup(key))) continue
      const lock = await lockSandbox(stateDir, key.containerId, LOCK_TIMEOUT_MS, true)
      const guard = startGuard(lock.fds)
      try {
        const lookup = journal.lookup(key)
        if (!isDead(lookup)) continue
        const context = undoContext(options, journal, guard)
        const { faults } = await undoRecorded(context, key, lookup, '', performance.now() + UNDO_TIMEOUT_MS)
        for (const fault of faults) warn(fault.message)
        if (faults.length === 0) forgetResult(readPlannedMeta(lookup.record.planned), key)
      } finally {
        guard.close()
        lock.release(!journal.knows(key.containerId))
      }
    } catch (error) {
      warn(`container ${key.containerId} (${key.ifName}): ${toCniError(error).message}`)
    }
  }
}

function isDead(lookup: JournalLookup): lookup is Extract<JournalLookup, { record: unknown }> {
  if (lookup.state === 'absent' || lookup.state === 'newer') return false
  const meta = readPlannedMeta(lookup.record.planned)
  return meta !== undefined && readNetnsId(meta.netns) !== meta.netnsId
}

/** The runtime's DEL forgets what is filed under another network's name, now that our list is gone. */
function forgetResult(meta: PlannedMeta | undefined, { containerId, ifName }: JournalKey): void {
  const file = `${meta?.name}-${containerId}-${ifName}`
  if (file.includes('/')) return
  for (const folder of RESULT_FOLDERS) rmSync(join(folder, file), { force: true })
}

function undoContext(
  { stateDir, binDir, self, warn }: DeadSandboxOptions,
  journal: UndoContext['journal'],
  guard: ReturnType<typeof startGuard>,
): UndoContext {
  const conf = parseNetConf({ type: 'plexus', stateDir })
  const { PATH = '/usr/sbin:/usr/bin:/sbin:/bin' } = process.env
  return {
    conf,
    journal,
    store: undefined,
    executor: localExecutor({
      env: { PATH },
      searchPath: placedBinDirs(binDir),
      self,
      maxOutputBytes: conf.maxOutputBytes,
      probeAhead: undefined,
      guard: () => guard,
      stderr: (chunk) => process.stderr.write(chunk),
    }),
    now: () => performance.now(),
    startedAt: performance.now(),
    warn,
    called: () => undefined,
  }
}

function reasonOf(meta: PlannedMeta | undefined, failedDels: number, seesNetns: boolean): string {
  if (failedDels > 0) return `its undo has failed ${failedDels} time${failedDels === 1 ? '' : 's'}`
  if (meta === undefined) return 'its record is damaged: send DEL, or remove the file'
  if (!seesNetns) return 'it is not undone yet'
  return readNetnsId(meta.netns) === meta.netnsId
    ? 'it is attached'
    : 'its namespace is gone, it is not undone yet'
}
