import { CniError, toCniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import { isJsonObject, parseJson } from '../cni/json.ts'
import type { ExecFields } from '../executor/frame.ts'
import type { OpenJournal } from '../journal/journal.ts'
import type { UndoCall } from '../journal/record.ts'
import { execDelegate } from './delegate.ts'
import type { CallReport, EngineContext } from './engine.ts'

/** A call to be undone. */
export interface PendingUndo extends UndoCall {
  /** Whether its ADD never began: then its DEL is tried, but need not succeed. */
  readonly isSpared?: boolean
}

/** How an undo went. */
export interface UndoOutcome {
  /** One for each call that failed, in the order of the calls. */
  readonly faults: readonly CniError[]
  readonly calls: readonly CallReport[]
}

/**
 * Runs the recorded DELs, one after another, all of them whatever fails (CNI-047, CNI-051, NPWG-112), and
 * marks each that succeeded. Cancellation does not reach an undo: it is bounded by its own time.
 *
 * @param calls In the order of the undo.
 * @param netns What the delegates get as CNI_NETNS; empty when the recorded one is gone.
 * @param open Where success is marked; `undefined` when the journal cannot be written. A mark that
 * cannot be written only means that an idempotent DEL is repeated.
 * @param searchAlso Directories of plugins at ADD, searched after those of the request.
 */
export async function undoCalls(
  context: Pick<EngineContext, 'executor' | 'now' | 'warn' | 'conf'>,
  calls: readonly PendingUndo[],
  netns: string,
  open: OpenJournal | undefined,
  deadline: number,
  searchAlso: readonly string[] = [],
): Promise<UndoOutcome> {
  const { executor, now, warn, conf } = context
  const faults: CniError[] = []
  const reports: CallReport[] = []
  const begin = now()
  for (const { exec, isSpared = false } of calls) {
    const start = now()
    // Even past the deadline each delegate gets a chance to free what it holds.
    const timeoutMs = Math.max(1000, Math.min(conf.delegateTimeoutMs, deadline - start))
    try {
      await execDelegate(executor, titledUndo(exec, netns, timeoutMs, searchAlso))
    } catch (error) {
      const fault = toCniError(error)
      if (!isSpared) {
        faults.push(fault)
        continue
      }
      warn(`${fault.message}; nothing of it is left, since its ADD never began`)
    } finally {
      const durationMs = now() - start
      reports.push({
        network: networkOf(exec),
        plugin: exec.type,
        command: 'DEL',
        ifName: exec.ifName,
        startMs: start - begin,
        durationMs,
      })
    }
    try {
      open?.undone(exec.id)
    } catch (error) {
      warn(`undo of plugin "${exec.type}" is done but not recorded: ${toCniError(error).message}`)
    }
  }
  return { faults, calls: reports }
}

function titledUndo(
  exec: ExecFields,
  netns: string,
  timeoutMs: number,
  searchAlso: readonly string[],
): Parameters<typeof execDelegate>[1] {
  const { type, containerId, ifName, args, stdin } = exec
  return {
    call: { command: 'DEL', type, containerId, netns, ifName, args, stdin, timeoutMs, searchAlso },
    title: `network "${networkOf(exec)}"`,
    cniVersion: String(confOf(exec).cniVersion ?? ''),
  }
}

function networkOf(exec: ExecFields): string {
  return String(confOf(exec).name ?? '')
}

function confOf(exec: ExecFields): Record<string, unknown> {
  try {
    const conf = parseJson(exec.stdin, 'recorded config')
    return isJsonObject(conf) ? conf : {}
  } catch {
    // The plugin itself will say what is wrong with its config.
    return {}
  }
}

/** One error for the faults of an undo: the first one's code and words, all of them as faults. CNI-051, NPWG-113. */
export function undoError(faults: readonly CniError[]): CniError {
  const [first] = faults
  const code = first?.code ?? CniErrorCode.UndoIncomplete
  const message = first?.message ?? 'undo failed'
  return new CniError(code, faults.length > 1 ? `${message} (and ${faults.length - 1} more)` : message, {
    hint: 'what is left is recorded and undone at the next DEL',
    cause: first?.cause,
    faults: faults.length > 1 ? faults.map((fault) => fault.message) : [],
  })
}
