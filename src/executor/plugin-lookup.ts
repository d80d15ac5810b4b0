import { realpathSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { CniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'

/**
 * Finds a plugin's executable: for each directory in order `<directory>/<type>`, links followed, a
 * regular file; the execute bit is not asked for (CNI-091).
 */
export function findPlugin(type: string, searchPath: readonly string[]): string | undefined {
  if (type === '' || type.includes('/') || type === '.' || type === '..') return undefined
  for (const directory of searchPath) {
    const path = join(directory, type)
    if (statSync(path, { throwIfNoEntry: false })?.isFile() !== true) continue
    // A name alone would be looked for in PATH when it is started.
    return path.includes('/') ? path : `./${path}`
  }
  return undefined
}

/** The error for a plugin type without executable, in the reference library's words (CNI-091). */
export function pluginNotFound(type: string, searchPath: readonly string[]): CniError {
  return new CniError(
    CniErrorCode.PluginNotFound,
    searchPath.length === 0
      ? `failed to find plugin "${type}": no paths provided`
      : `failed to find plugin "${type}" in path [${searchPath.join(' ')}]`,
    { hint: `install the "${type}" plugin there, or remove the network` },
  )
}

/** Whether two paths lead to one file; a path that leads nowhere equals none. */
export function isSameFile(left: string, right: string): boolean {
  try {
    return realpathSync(left) === realpathSync(right)
  } catch {
    return false
  }
}
