import { CniError, toCniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import { isJsonObject, parseJson } from '../cni/json.ts'
import { DroppedError } from '../executor/executor.ts'
import type { ExecFields } from '../executor/frame.ts'
import type { UndoCall } from '../journal/record.ts'
import { judgeExit, type TitledCall } from './delegate.ts'
import type { EngineContext } from './engine.ts'

/** A call to be undone. */
export interface PendingUndo extends UndoCall {
  /** Whether its ADD never began: then its DEL is tried, but need not succeed. */
  readonly isSpared?: boolean
}

/** How an undo went. */
export interface UndoOutcome {
  /** One for each call that failed, in the order of the calls. */
  readonly faults: readonly CniError[]
  /** Ids of the calls that are undone now. */
  readonly undone: readonly number[]
}

/** What an undo needs; no request need be there. */
export type UndoCallContext = Pick<
  EngineContext,
  'executor' | 'now' | 'startedAt' | 'warn' | 'called' | 'conf'
>

/** Even past the deadline each delegate gets a chance to free what it holds. */
const LAST_CHANCE_MS = 1000

/**
 * Runs the recorded DELs, one after another, all of them whatever fails (CNI-047, CNI-051, NPWG-112).
 * Cancellation does not reach an undo: it is bounded by its own time.
 *
 * @param calls In the order of the undo.
 * @param netns What the delegates get as CNI_NETNS; empty when the recorded one is gone.
 * @param searchAlso Directories of plugins at ADD, searched after those of the request.
 */
export async function undoCalls(
  context: UndoCallContext,
  calls: readonly PendingUndo[],
  netns: string,
  deadline: number,
  searchAlso: readonly string[] = [],
): Promise<UndoOutcome> {
  const { conf, now, warn } = context
  const ends = new Map<PendingUndo, CniError | undefined>()
  const run = async (some: readonly PendingUndo[], leftMs: number): Promise<void> => {
    const timeoutMs = Math.max(LAST_CHANCE_MS, Math.min(conf.delegateTimeoutMs, leftMs))
    const series = some.map((call) => ({ call, titled: titledUndo(call.exec, netns, timeoutMs, searchAlso) }))
    let begunAt = now()
    const exits = context.executor.execSeries({
      calls: series.map(({ titled }) => titled.call),
      next: 'end',
      withinMs: Math.max(leftMs, LAST_CHANCE_MS * some.length),
    })
    for (const [index, pending] of exits.entries()) {
      const entry = series[index]
      if (entry === undefined) continue
      try {
        begunAt += (await judgeExit(context, entry.titled, pending, begunAt)).durationMs
        ends.set(entry.call, undefined)
      } catch (error) {
        ends.set(entry.call, toCniError(error))
      }
    }
  }
  if (calls.length > 0) await run(calls, deadline - now())
  const late = calls.filter((call) => ends.get(call) instanceof DroppedError)
  if (late.length > 0) await run(late, 0)

  const faults: CniError[] = []
  const undone: number[] = []
  for (const call of calls) {
    const fault = ends.get(call)
    if (fault !== undefined && !(call.isSpared ?? false)) {
      faults.push(fault)
      continue
    }
    if (fault !== undefined) warn(`${fault.message}; nothing of it is left, since its ADD never began`)
    undone.push(call.exec.id)
  }
  return { faults, undone }
}

function titledUndo(
  exec: ExecFields,
  netns: string,
  timeoutMs: number,
  searchAlso: readonly string[],
): TitledCall {
  const { type, containerId, ifName, args, stdin } = exec
  const conf = confOf(exec)
  const network = String(conf.name ?? '')
  return {
    call: { command: 'DEL', type, containerId, netns, ifName, args, stdin, timeoutMs, searchAlso },
    network,
    title: `network "${network}"`,
    cniVersion: String(conf.cniVersion ?? ''),
  }
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
    hint: [first?.hint, 'what is left is recorded and undone at the next DEL']
      .filter((hint) => hint !== undefined)
      .join('; '),
    cause: first?.cause,
    faults: faults.length > 1 ? faults.map((fault) => fault.message) : [],
  })
}
