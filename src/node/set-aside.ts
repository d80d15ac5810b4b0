import { lstatSync, readdirSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { syncFolder } from './durable-file.ts'

/** Ending of another meta-plugin's conf file that we have taken over: no runtime reads it. */
const ENDING = '.before-plexus'

/** Puts a conf file out of the runtime's sight; what an earlier take-over left under that name goes. */
export function setAside(confDir: string, name: string): string {
  const path = join(confDir, `${name}${ENDING}`)
  renameSync(join(confDir, name), path)
  syncFolder(confDir)
  return path
}

/** Brings back every file that was set aside, unless somebody has written one of that name since. */
export function putBack(confDir: string): string[] {
  const names = namesIn(confDir).filter((name) => name.endsWith(ENDING))
  const paths = names.flatMap((name) => {
    const path = join(confDir, name.slice(0, -ENDING.length))
    if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) return []
    renameSync(join(confDir, name), path)
    return [path]
  })
  if (paths.length > 0) syncFolder(confDir)
  return paths
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return []
    throw error
  }
}
