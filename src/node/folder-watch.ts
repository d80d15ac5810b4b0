import { type FSWatcher, readdirSync, statSync, watch } from 'node:fs'
import { join } from 'node:path'
import { toCniError } from '../cni/cni-error.ts'

/** A folder that is watched. */
export interface FolderWatch {
  close(): void
}

/** What {@link watchFolder} tells of. */
export interface FolderWatchEvents {
  /** Something in the folder is other than it was, or was so for a moment. */
  changed(): void
  /** The kernel's notice cannot be had: from now on changes are seen by looking alone. */
  blind(reason: string): void
}

/**
 * How often the folder is looked at: sees what the kernel's notice does not (a folder that was replaced, a
 * link that leads elsewhere, a full queue).
 */
const LOOK_INTERVAL_MS = 500
/** Who writes a file does so in several steps. */
const SETTLE_MS = 30
/** A folder of more entries than that is no conf folder; the rest is not looked at. */
const MOST_ENTRIES = 1000

/**
 * Tells of every change of a folder of conf files and of the folders in it, also when it does not exist yet,
 * is replaced, or is a link. The first look is told of too.
 */
export function watchFolder(path: string, events: FolderWatchEvents): FolderWatch {
  let watcher: FSWatcher | undefined
  let watched = ''
  let isBlind = false
  let seen: string | undefined
  let soon: NodeJS.Timeout | undefined

  const look = (): void => {
    renew()
    const now = folderSignature(path)
    if (now === seen) return
    seen = now
    events.changed()
  }
  // What came and went again leaves the folder as it was, and is told of all the same.
  const noticed = (): void => {
    soon = undefined
    renew()
    seen = folderSignature(path)
    events.changed()
  }
  const renew = (): void => {
    const id = folderId(path)
    if (id === watched) return
    watcher?.close()
    watcher = undefined
    watched = id
    if (id === '' || isBlind) return
    try {
      watcher = watch(path, { persistent: false }, () => {
        soon ??= setTimeout(noticed, SETTLE_MS)
      })
      watcher.on('error', (error) => {
        watcher?.close()
        watcher = undefined
        watched = ''
        if (folderId(path) !== '') goBlind(error)
      })
    } catch (error) {
      if (folderId(path) !== '') goBlind(error)
    }
  }
  const goBlind = (error: unknown): void => {
    if (isBlind) return
    isBlind = true
    events.blind(toCniError(error).message)
  }

  const timer = setInterval(look, LOOK_INTERVAL_MS)
  timer.unref()
  look()
  return {
    close() {
      clearInterval(timer)
      clearTimeout(soon)
      watcher?.close()
    },
  }
}

/** Which folder a path leads to now; '' when to none. */
function folderId(path: string): string {
  try {
    const stat = statSync(path, { bigint: true })
    return stat.isDirectory() ? `${stat.dev}:${stat.ino}` : ''
  } catch {
    return ''
  }
}

/** Something that changes with the folder, the files in it and in the folders in it. */
function folderSignature(path: string): string {
  const parts = [folderId(path)]
  const visit = (folder: string, depth: number): void => {
    for (const name of namesIn(folder)) {
      if (parts.length > MOST_ENTRIES) return
      const entry = join(folder, name)
      try {
        const stat = statSync(entry, { bigint: true })
        const { dev, ino, mode } = stat
        if (stat.isDirectory()) {
          parts.push([entry, dev, ino].join(':'))
          if (depth > 0) visit(entry, depth - 1)
        } else parts.push([entry, dev, ino, mode, stat.size, stat.mtimeNs, stat.ctimeNs].join(':'))
      } catch (error) {
        // A link to nothing, or it went while we looked.
        parts.push(`${entry}:${toCniError(error).message}`)
      }
    }
  }
  visit(path, 1)
  return parts.join('\n')
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder).sort()
  } catch {
    return []
  }
}
