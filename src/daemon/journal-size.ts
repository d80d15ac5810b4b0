import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'

/** How much the journal holds. */
export interface JournalSize {
  readonly records: number
  readonly bytes: number
}

/** A count of 10,000 records takes seconds beside the requests: at most a fiftieth of the time goes into it. */
const REST_FACTOR = 50

/**
 * Counts the journal's files without reading them and without holding up the event loop, at most a fiftieth
 * of the time; who asks more often gets the last count.
 *
 * @param stateDir Asked anew for each count.
 */
export function openJournalSize(stateDir: () => string): () => Promise<JournalSize> {
  let last: Promise<JournalSize> | undefined
  let notBefore = 0
  return () => {
    const start = performance.now()
    if (last !== undefined && start < notBefore) return last
    notBefore = Number.POSITIVE_INFINITY
    last = countRecords(join(stateDir(), 'sandboxes')).finally(() => {
      const end = performance.now()
      notBefore = end + (end - start) * REST_FACTOR
    })
    return last
  }
}

async function countRecords(sandboxes: string): Promise<JournalSize> {
  let records = 0
  let bytes = 0
  for (const containerId of await namesIn(sandboxes)) {
    for (const name of await namesIn(join(sandboxes, containerId))) {
      // One that is being written is no record yet.
      if (name.startsWith('.')) continue
      const size = await stat(join(sandboxes, containerId, name)).then((found) => found.size, isGone)
      if (size === undefined) continue
      records++
      bytes += size
    }
  }
  return { records, bytes }
}

async function namesIn(directory: string): Promise<string[]> {
  return await readdir(directory).catch((error: unknown) => isGone(error) ?? [])
}

/** What a DEL has removed meanwhile counts no more. */
function isGone(error: unknown): undefined {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  if (code !== 'ENOENT' && code !== 'ENOTDIR') throw error
}
