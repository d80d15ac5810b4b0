import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { isJsonObject, parseJson } from '../cni/json.ts'
import { type Journal, type JournalKey, openJournalDir } from '../journal/journal.ts'
import { writeDurably } from './durable-file.ts'
import { namesIn } from './foreign-pods.ts'

/** A pod of another meta-plugin that we have taken over, and the files in which that remembers it. */
export interface AdoptedPod extends JournalKey {
  readonly files: readonly string[]
}

/** Folder below the state directory in which they are remembered, a file each: two installers do not meet. */
export const ADOPTED_FOLDER = 'adopted'

/** Remembers a pod that has a record in the journal. */
export function rememberAdopted(stateDir: string, pod: AdoptedPod): void {
  const folder = join(stateDir, ADOPTED_FOLDER)
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  writeDurably(join(folder, `${pod.containerId}-${pod.ifName}.json`), `${JSON.stringify(pod)}\n`, 0o600)
}

/**
 * Removes what the other meta-plugin has kept of pods that we have undone since: nobody else would, and it stands for
 * attachments that there are no more.
 *
 * @param root Where the node's root is seen.
 */
export function sweepAdopted(stateDir: string, root = '/'): void {
  const folder = join(stateDir, ADOPTED_FOLDER)
  const journal = openJournalDir(stateDir)
  for (const name of namesIn(folder).filter((name) => name.endsWith('.json'))) {
    const pod = parseJson(readFileSync(join(folder, name), 'utf8'), name)
    if (!isAdoptedPod(pod) || mayBeRecorded(journal, pod)) continue
    for (const file of pod.files) rmSync(join(root, file), { force: true })
    rmSync(join(folder, name), { force: true })
  }
}

/** What cannot be read keeps its pod, and holds up no other. */
function mayBeRecorded(journal: Journal, pod: AdoptedPod): boolean {
  try {
    return journal.lookup(pod).state !== 'absent'
  } catch {
    // Whoever needs the record, as its DEL or the uninstall, says what is wrong with it.
    return true
  }
}

function isAdoptedPod(value: unknown): value is AdoptedPod {
  return (
    isJsonObject(value) &&
    typeof value.containerId === 'string' &&
    typeof value.ifName === 'string' &&
    Array.isArray(value.files) &&
    value.files.every((file) => typeof file === 'string')
  )
}
