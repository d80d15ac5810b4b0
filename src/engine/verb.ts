import type { JsonObject } from '../cni/json.ts'
import type { CallReport, EngineContext } from './engine.ts'

/** How a verb went. */
export interface VerbOutcome {
  /** What goes to stdout; nothing for the verbs that print nothing (CNI-026). */
  readonly answer: JsonObject | undefined
  readonly calls: readonly CallReport[]
}

const SILENT: VerbOutcome = { answer: undefined, calls: [] }

/**
 * Runs the verb of a request. Each is loaded when it is first asked for: the standalone plugin starts for
 * one alone.
 *
 * @throws {CniError} What the verb throws.
 */
export async function runVerb(context: EngineContext): Promise<VerbOutcome> {
  switch (context.request.command) {
    case 'ADD': {
      const { add } = await import('./add.ts')
      const { result, calls } = await add(context)
      return { answer: result, calls }
    }
    case 'DEL': {
      const { del } = await import('./del.ts')
      await del(context)
      return SILENT
    }
    case 'CHECK': {
      const { check } = await import('./check.ts')
      await check(context)
      return SILENT
    }
    case 'GC': {
      const { gc } = await import('./gc.ts')
      await gc(context)
      return SILENT
    }
    case 'STATUS': {
      const { status } = await import('./status.ts')
      await status(context)
      return SILENT
    }
    case 'VERSION':
      return SILENT
  }
}

/**
 * Whether nothing is recorded of the request's container, so that its lock file may go too. Where that
 * cannot be read, the file stays.
 */
export function isForgotten({ journal, request }: Pick<EngineContext, 'journal' | 'request'>): boolean {
  if (request.containerId === '') return false
  try {
    return !journal.knows(request.containerId)
  } catch {
    // An unreadable journal has been reported by the verb; an empty lock file does no harm.
    return false
  }
}
