import { readdirSync } from 'node:fs'
import { basename, join } from 'node:path'

/**
 * The lease files below a host-local `dataDir` or a stub's lease folder: paths relative to it, sorted. What
 * host-local keeps for itself (`lock`, `last_reserved_ip.*`) is none. A missing folder has none.
 */
export function leases(dir: string): string[] {
  return filesBelow(dir).filter((file) => !/^(lock|last_reserved_ip\.\d+)$/.test(basename(file)))
}

/** The journal's files, `<containerID>/<ifName>`, sorted; damaged and half-written ones too. */
export function journalFiles(stateDir: string): string[] {
  return filesBelow(join(stateDir, 'sandboxes'))
}

/** All files below a folder, relative to it, sorted; `[]` when it is not there. */
export function filesBelow(dir: string): string[] {
  try {
    return readdirSync(dir, { recursive: true, withFileTypes: true })
      .filter((entry) => !entry.isDirectory())
      .map((entry) => join(entry.parentPath, entry.name).slice(dir.replace(/\/+$/, '').length + 1))
      .sort()
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return []
    throw error
  }
}
