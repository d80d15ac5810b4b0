import { chmodSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'
import { parseJson } from '../cni/json.ts'
import { type KeptOfConflist, keptOf, NODE_CONFLIST_FILE, NOTHING_KEPT } from '../plan/node-conflist.ts'
import { listConfFiles } from '../store/conf-files.ts'
import { removeHalfWritten, writeDurably } from './durable-file.ts'

/** What {@link NodeConflistFile.put} found and did. */
export interface PutOutcome {
  /**
   * `put back`: it was gone though we had written it. `updated`: it is written anew because of the default network
   * or of a plugin that others have put in. `corrected`: somebody had changed what is ours.
   */
  readonly action: 'none' | 'created' | 'updated' | 'put back' | 'corrected'
  /** Name that somebody has given to our file, when one is there. */
  readonly renamedTo: string | undefined
}

/** Our list in the runtime's folder. */
export interface NodeConflistFile {
  readonly path: string
  /**
   * Makes the file what it has to be; one that is so already is not touched. Plugins that others have put in
   * are kept, also over the file's removal.
   *
   * @throws What the file system says.
   */
  put(make: (kept: KeptOfConflist) => string): PutOutcome
  /** Files that the runtime finds before ours: it does not call Plexus then. */
  before(): string[]
}

/** Kubeconfig paths and the like are nobody else's business. */
const MODE = 0o600
/** A file that changes that often while it is written is somebody's fight, not a race. */
const TRIES = 3

/** @param folder The runtime's folder of conf files. */
export function openNodeConflistFile(folder: string): NodeConflistFile {
  const path = join(folder, NODE_CONFLIST_FILE)
  let kept: KeptOfConflist | undefined
  let written: string | undefined
  let isClean = false

  const read = (): string | undefined => {
    try {
      return readFileSync(path, 'utf8')
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
      throw error
    }
  }
  const put = (make: (kept: KeptOfConflist) => string): PutOutcome => {
    if (!isClean) removeHalfWritten(path)
    isClean = true
    for (let tries = 1; ; tries++) {
      const present = read()
      const found = present === undefined ? undefined : parseKept(present)
      const isTheirs = found !== undefined && JSON.stringify(found) !== JSON.stringify(kept)
      kept = found ?? kept
      const text = make(kept ?? NOTHING_KEPT)
      if (present === text) {
        if ((statSync(path).mode & 0o7777) !== MODE) chmodSync(path, MODE)
        written = text
        return { action: 'none', renamedTo: undefined }
      }
      // Who appends a plugin at this very moment must not lose it.
      if (read() !== present && tries < TRIES) continue
      writeDurably(path, text, MODE)
      const action = actionOf(present, written, isTheirs)
      written = text
      return { action, renamedTo: renamedName(folder) }
    }
  }
  return {
    path,
    put,
    before: () => {
      const paths = listConfFiles(folder)
      const ours = paths.indexOf(path)
      return ours < 0 ? [] : paths.slice(0, ours).map((other) => basename(other))
    },
  }
}

function actionOf(
  present: string | undefined,
  written: string | undefined,
  isTheirs: boolean,
): PutOutcome['action'] {
  if (present === undefined) return written === undefined ? 'created' : 'put back'
  return present === written || written === undefined || isTheirs ? 'updated' : 'corrected'
}

function parseKept(text: string): KeptOfConflist | undefined {
  try {
    return keptOf(parseJson(text, NODE_CONFLIST_FILE))
  } catch {
    // Half written or spoilt: it is replaced, and what it had before is remembered.
    return undefined
  }
}

function renamedName(folder: string): string | undefined {
  return readdirSync(folder).find((name) => name.startsWith(`${NODE_CONFLIST_FILE}.`))
}
