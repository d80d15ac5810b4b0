import { lstatSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { toCniError } from '../cni/cni-error.ts'
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
 * @returns What stays and why: it is left for another run, and holds up no other pod.
 */
export function sweepAdopted(stateDir: string, root = '/'): string[] {
  const folder = join(stateDir, ADOPTED_FOLDER)
  const journal = openJournalDir(stateDir)
  return namesIn(folder)
    .filter((name) => name.endsWith('.json'))
    .flatMap((name) => {
      const path = join(folder, name)
      try {
        const pod = readAdopted(path)
        if (pod === undefined || mayBeRecorded(journal, pod)) return []
        for (const file of pod.files) rmSync(join(root, file), { force: true })
        rmSync(path, { force: true })
        return []
      } catch (error) {
        return [`what Multus has kept of the pod that ${path} names stays: ${toCniError(error).message}`]
      }
    })
}

/** @returns `undefined` when another run has removed it just now. @throws For what is damaged. */
function readAdopted(path: string): AdoptedPod | undefined {
  const stat = lstatSync(path, { throwIfNoEntry: false })
  if (stat === undefined) return undefined
  // Reading anything else might never end.
  if (!stat.isFile()) throw new Error('it is no regular file')
  const pod = parseJson(readFileSync(path, 'utf8'), 'it')
  if (!isAdoptedPod(pod)) throw new Error('it names no pod')
  return pod
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
