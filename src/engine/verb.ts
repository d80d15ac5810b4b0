import type { JsonObject } from '../cni/json.ts'
import type { EngineContext } from './engine.ts'

/**
 * Runs the verb of a request. Each is loaded when it is first asked for: the standalone plugin starts for
 * one alone.
 *
 * @returns What goes to stdout; nothing for the verbs that print nothing (CNI-026).
 * @throws {CniError} What the verb throws.
 */
export async function runVerb(context: EngineContext): Promise<JsonObject | undefined> {
  switch (context.request.command) {
    case 'ADD': {
      const { add } = await import('./add.ts')
      return (await add(context)).result
    }
    case 'DEL': {
      const { del } = await import('./del.ts')
      await del(context)
      return undefined
    }
    case 'CHECK': {
      const { check } = await import('./check.ts')
      await check(context)
      return undefined
    }
    case 'GC': {
      const { gc } = await import('./gc.ts')
      await gc(context)
      return undefined
    }
    case 'STATUS': {
      const { status } = await import('./status.ts')
      await status(context)
      return undefined
    }
    case 'VERSION':
      return undefined
  }
}

/**
 * Whether nothing is recorded of the request's container, so that its lock file may go too. Where that
 * cannot be read, the file stays.
 *
 * @param goes An interface whose record is about to go.
 */
export function isForgotten(
  {
    journal,
    request,
  }: Pick<EngineContext, 'journal'> & { readonly request: Pick<EngineContext['request'], 'containerId'> },
  goes?: string,
): boolean {
  if (request.containerId === '') return false
  try {
    return !journal.knows(request.containerId, goes)
  } catch {
    // An unreadable journal has been reported by the verb; an empty lock file does no harm.
    return false
  }
}
