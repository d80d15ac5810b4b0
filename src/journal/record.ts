import { isJsonObject, type JsonObject, parseJson } from '../cni/json.ts'
import { decodeExec, decodeNumber, type ExecFields, type Frame, FrameKind } from '../executor/frame.ts'

/** One recorded DEL of one plugin, and what has become of it. */
export interface UndoCall {
  /** The call with the prevResult of ADD once its network succeeded. */
  readonly exec: ExecFields
  readonly isStarted: boolean
  readonly isUndone: boolean
}

/** What the journal knows of one attachment round: one ADD of one sandbox interface. */
export interface JournalRecord {
  /** What the engine wrote before the first delegate; `undefined` when that frame is lost. */
  readonly planned: JsonObject | undefined
  /** What the engine wrote when all networks were attached; `undefined` before that. */
  readonly complete: JsonObject | undefined
  /** Every recorded call by its id, in the order of ADD. */
  readonly calls: readonly UndoCall[]
  readonly isPublished: boolean
  /** DELs that failed so far. */
  readonly failedDels: number
  /** Identity of the pod's netns at ADD; `undefined` when that frame is lost. */
  readonly netnsId: string | undefined
  /** The boot of the node in which it was begun; `undefined` when it does not say. */
  readonly bootId: string | undefined
  /** Whether frames are lost, so that a call without `started` may have run all the same. */
  readonly isDamaged: boolean
  /** Bytes up to a torn frame at the end of the file; `undefined` when there is none. */
  tornAt?: number
}

/**
 * Puts the frames of a file together.
 *
 * @param bootId Of the node now; left out where it does not matter. What was appended without a sync before another boot may be lost, so
 * each call of such a record counts as started.
 */
export function toJournalRecord(
  frames: readonly Frame[],
  isDamaged: boolean,
  bootId?: string,
): JournalRecord {
  const execs = new Map<number, ExecFields>()
  const started = new Set<number>()
  const undone = new Set<number>()
  let planned: (() => JsonObject | undefined) | undefined
  let complete: (() => JsonObject | undefined) | undefined
  let isPublished = false
  let failedDels = 0
  let netnsId: string | undefined
  let plannedBoot: string | undefined
  for (const { kind, fields } of frames) {
    const id = decodeNumber(fields[0])
    if (kind === FrameKind.planned) {
      planned = lazily(() => readObject(fields[0]))
      netnsId = fields[2]?.toString()
      plannedBoot = fields[5]?.toString()
    } else if (kind === FrameKind.complete) complete = lazily(() => readObject(fields[0]))
    else if (kind === FrameKind.published) isPublished = true
    else if (kind === FrameKind.attempted) failedDels++
    else if (kind === FrameKind.started && id !== undefined) started.add(id)
    else if (kind === FrameKind.undone && id !== undefined) undone.add(id)
    else if (kind === FrameKind.exec || kind === FrameKind.undo) {
      const exec = decodeExec(fields)
      if (exec !== undefined) execs.set(exec.id, exec)
    }
  }
  const isOfThisBoot = bootId === undefined || plannedBoot === undefined || plannedBoot === bootId
  const calls = [...execs.values()]
    .sort((left, right) => left.id - right.id)
    .map((exec) => ({
      exec,
      isStarted: isDamaged || !isOfThisBoot || started.has(exec.id),
      isUndone: undone.has(exec.id),
    }))
  return {
    // DEL asks for the one alone, and for neither of other containers.
    get planned() {
      return planned?.()
    },
    get complete() {
      return complete?.()
    },
    calls,
    isPublished,
    failedDels,
    netnsId,
    bootId: plannedBoot,
    isDamaged,
  }
}

function lazily<Value>(read: () => Value): () => Value {
  let known: { readonly value: Value } | undefined
  return () => {
    known ??= { value: read() }
    return known.value
  }
}

function readObject(field: Buffer | undefined): JsonObject | undefined {
  try {
    const value = parseJson(field?.toString() ?? '', 'journal frame')
    return isJsonObject(value) ? value : undefined
  } catch {
    // Meta that cannot be read must not keep the calls beside it from being undone.
    return undefined
  }
}

/** The calls that still have to be undone, last one first (CNI-049). */
export function pendingUndo(record: JournalRecord): UndoCall[] {
  return record.calls.filter((call) => call.isStarted && !call.isUndone).reverse()
}
