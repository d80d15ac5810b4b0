import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { isJsonObject, parseJson } from '../cni/json.ts'
import { type Journal, type JournalKey, openJournalDir } from '../journal/journal.ts'
import { writeDurably } from './durable-file.ts'

/** A pod of another meta-plugin that we have taken over, and the files in which that remembers it. */
export interface AdoptedPod extends JournalKey {
  readonly files: readonly string[]
}

/** Where they are remembered, below the state directory. */
export const ADOPTED_FILE = 'adopted.json'

/** Adds pods to those that are remembered. */
export function rememberAdopted(stateDir: string, pods: readonly AdoptedPod[]): void {
  if (pods.length > 0) write(stateDir, [...read(stateDir), ...pods])
}

/**
 * Removes what the other meta-plugin has kept of pods that we have undone since: nobody else would, and it stands for
 * attachments that there are no more.
 *
 * @param root Where the node's root is seen.
 */
export function sweepAdopted(stateDir: string, root = '/'): void {
  const journal = openJournalDir(stateDir)
  const pods = read(stateDir)
  const left = pods.filter((pod) => mayBeRecorded(journal, pod))
  if (left.length === pods.length) return
  for (const pod of pods) {
    if (!left.includes(pod)) for (const file of pod.files) rmSync(join(root, file), { force: true })
  }
  write(stateDir, left)
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

function write(stateDir: string, pods: readonly AdoptedPod[]): void {
  const distinct = new Map(pods.map((pod) => [`${pod.containerId}/${pod.ifName}`, pod]))
  writeDurably(join(stateDir, ADOPTED_FILE), `${JSON.stringify([...distinct.values()])}\n`, 0o600)
}

function read(stateDir: string): AdoptedPod[] {
  let text: string
  try {
    text = readFileSync(join(stateDir, ADOPTED_FILE), 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return []
    throw error
  }
  const pods = parseJson(text, ADOPTED_FILE)
  return Array.isArray(pods) ? pods.filter(isAdoptedPod) : []
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
