import { existsSync, lstatSync, renameSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { isJsonObject, toJsonObject } from '../cni/json.ts'
import { syncFolder } from './durable-file.ts'
import { namesIn, readText } from './foreign-pods.ts'

/** Ending of another meta-plugin's conf file that we have taken over: no runtime reads it. */
const ENDING = '.before-plexus'

/** Puts a conf file out of the runtime's sight; what an earlier take-over left under that name goes. */
export function setAside(confDir: string, name: string): string {
  const path = join(confDir, `${name}${ENDING}`)
  renameSync(join(confDir, name), path)
  syncFolder(confDir)
  return path
}

/**
 * Brings back every file that was set aside, unless somebody has written one of that name since, or its plugin is not
 * on the node any more: no pod would start then.
 *
 * @param binDirs Folders of plugins.
 */
export function putBack(confDir: string, binDirs: readonly string[]): string[] {
  const names = namesIn(confDir).filter((name) => name.endsWith(ENDING))
  const paths = names.flatMap((name) => {
    const [aside, path] = [join(confDir, name), join(confDir, name.slice(0, -ENDING.length))]
    const isTaken = lstatSync(path, { throwIfNoEntry: false }) !== undefined
    const isInstalled = (type: string): boolean => binDirs.some((folder) => existsSync(join(folder, type)))
    if (isTaken || typesIn(aside)?.every(isInstalled) !== true) return []
    return isRenamed(aside, path) ? [path] : []
  })
  if (paths.length > 0) syncFolder(confDir)
  return paths
}

/** `false` when somebody else has done so just now. */
function isRenamed(from: string, to: string): boolean {
  try {
    renameSync(from, to)
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false
    throw error
  }
}

/** The plugins of a conf file; `undefined` when it is not the valid one any more that was set aside. */
function typesIn(path: string): string[] | undefined {
  // It may have been a link, to a file that is gone.
  if (statSync(path, { throwIfNoEntry: false })?.isFile() !== true) return undefined
  const conf = toJsonObject(readText(path) ?? '')
  if (conf === undefined) return undefined
  const plugins: unknown[] = Array.isArray(conf.plugins) ? conf.plugins : [conf]
  return plugins.map((plugin) => (isJsonObject(plugin) ? String(plugin.type) : ''))
}
