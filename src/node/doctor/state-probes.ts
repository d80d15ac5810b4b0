import { accessSync, chmodSync, constants, statfsSync } from 'node:fs'
import { join, relative } from 'node:path'
import { toCniError } from '../../cni/cni-error.ts'
import { lockSandbox } from '../../journal/lock.ts'
import { STATE_ENTRIES } from '../uninstall.ts'
import { entryAt, modeText, namesIn, ownerAndMode } from './bounded-reading.ts'
import type { ExaminedNode } from './examined-node.ts'
import { evidenceOf, type Found, shellWord } from './finding.ts'

const LEAST_FREE_BYTES = 16 * 1024 * 1024
const LEAST_FREE_INODES = 500
const MOST_ENTRIES = 20_000
const DEEPEST = 3
/** Whoever holds it for longer is another matter. */
const LOCK_STALE_AFTER_MS = 10 * 60_000
const LOCK_WAIT_MS = 200
/** What Plexus has in its state directory. */
const STATE_NAMES: ReadonlySet<string> = new Set(STATE_ENTRIES)

/** The state directory: there, writable, for root alone, with room left. */
export function stateProbe({ stateDir, isPod }: ExaminedNode): Found[] {
  if (entryAt(stateDir) === undefined) {
    const what = `the state directory ${stateDir} is not there`
    if (isPod) return [{ id: 'partial-view', what: `${what}, or not mounted here` }]
    return [
      {
        id: 'state-dir-missing',
        what: `${what}: no daemon and no pod has used it yet`,
        fix: 'name the one that the daemon has by --state-dir, or start the daemon',
      },
    ]
  }
  return [...writeFaults(stateDir), ...modeFaults(stateDir), ...spaceFaults(stateDir)]
}

function* writeFaults(stateDir: string): Iterable<Found> {
  try {
    accessSync(stateDir, constants.W_OK)
  } catch (error) {
    yield {
      id: 'state-not-writable',
      what: `the state directory ${stateDir} cannot be written: no pod can be attached`,
      evidence: [toCniError(error).message],
      fix: `findmnt -T ${shellWord(stateDir)}; mount it writable`,
    }
  }
}

function* modeFaults(stateDir: string): Iterable<Found> {
  const open: { readonly path: string; readonly mode: number; readonly shown: string }[] = []
  let looked = 0
  const visit = (path: string, depth: number): void => {
    looked += 1
    const entry = entryAt(path)
    if (entry === undefined || looked > MOST_ENTRIES) return
    const isTheirs = entry.uid !== 0 || (entry.mode & 0o077) !== 0
    if (isTheirs && (entry.isFile() || entry.isDirectory()))
      open.push({ path, mode: entry.mode & 0o7700, shown: `${path}: ${ownerAndMode(entry)}` })
    if (!entry.isDirectory() || depth === DEEPEST) return
    for (const name of namesIn(path, MOST_ENTRIES - looked)) visit(join(path, name), depth + 1)
  }
  visit(stateDir, 0)
  if (open.length === 0) return
  const mayClose = open.filter(({ path }) => isOurs(stateDir, path) && entryAt(path)?.uid === 0)
  yield {
    id: 'state-mode',
    what: `state of Plexus is not for root alone: ${open.length} of its files and folders`,
    evidence: evidenceOf(open.map(({ shown }) => shown)),
    fix: `chown -R root ${shellWord(stateDir)} && chmod -R go= ${shellWord(stateDir)}`,
    ...(mayClose.length === 0
      ? {}
      : {
          repair: () =>
            mayClose.map(({ path, mode }) => {
              chmodSync(path, mode)
              return `chmod ${modeText(mode)} ${path}`
            }),
        }),
  }
}

/** Whether a path is certainly of Plexus's state, and not of another folder that was named by mistake. */
function isOurs(stateDir: string, path: string): boolean {
  const [top = ''] = relative(stateDir, path).split('/')
  if (top !== '') return STATE_NAMES.has(top) && isStateDir(stateDir)
  return (
    isStateDir(stateDir) && namesIn(stateDir).every((name) => STATE_NAMES.has(name) || name.startsWith('.'))
  )
}

/** Whether Plexus has used the folder. */
function isStateDir(stateDir: string): boolean {
  return ['sandboxes', 'locks', 'default-network.json'].some(
    (name) => entryAt(join(stateDir, name)) !== undefined,
  )
}

function* spaceFaults(stateDir: string): Iterable<Found> {
  const { bavail, bsize, ffree, files } = statfsSync(stateDir)
  const free = bavail * bsize
  if (free < LEAST_FREE_BYTES) {
    yield {
      id: 'state-space',
      what: `the file system of ${stateDir} is full: no pod can be attached`,
      evidence: [`${Math.floor(free / 1024)} KiB are free, ${LEAST_FREE_BYTES / 1024} KiB should be`],
      fix: `du -xh --max-depth 2 $(findmnt -no TARGET -T ${shellWord(stateDir)}) | sort -h | tail`,
    }
  }
  // Some file systems make inodes as they need them, and tell of none.
  if (files > 0 && ffree < LEAST_FREE_INODES) {
    yield {
      id: 'state-inodes',
      what: `the file system of ${stateDir} has hardly any inodes left: no pod can be attached`,
      evidence: [`${ffree} of ${files} are free, ${LEAST_FREE_INODES} should be`],
      fix: `du -x --inodes --max-depth 2 $(findmnt -no TARGET -T ${shellWord(stateDir)}) | sort -n | tail`,
    }
  }
}

/** Lock files of containers of which nothing else is left. */
export function lockProbe({ stateDir }: ExaminedNode): Found[] {
  const folder = join(stateDir, 'locks')
  const isRecorded = (name: string): boolean => entryAt(join(stateDir, 'sandboxes', name)) !== undefined
  const now = Date.now()
  const stale = namesIn(folder).filter((name) => {
    const entry = entryAt(join(folder, name))
    return entry !== undefined && now - entry.mtimeMs > LOCK_STALE_AFTER_MS && !isRecorded(name)
  })
  if (stale.length === 0) return []
  return [
    {
      id: 'lock-stale',
      what: `lock files of ${stale.length} containers are left that are gone`,
      evidence: evidenceOf(stale.map((name) => join(folder, name))),
      fix: 'plexus doctor --fix',
      async repair() {
        const done: string[] = []
        for (const name of stale) {
          // Held by nobody else it may go, unless a record has come meanwhile.
          const lock = await lockSandbox(stateDir, name, LOCK_WAIT_MS, false)
          const isFree = !isRecorded(name)
          lock.release(isFree)
          if (isFree) done.push(`removed ${join(folder, name)}`)
        }
        return done
      },
    },
  ]
}
