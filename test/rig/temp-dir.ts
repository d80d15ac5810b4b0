import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { atEnd, isAlive } from './teardown.ts'

/** The rig's cache: `${XDG_CACHE_HOME:-$HOME/.cache}/plexus`. */
export const CACHE_DIR = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'plexus')

// Below the cache and not in /tmp: a plugin is only run from directories that nobody but root can write to,
// and /run is mounted noexec on many machines.
const BASE = join(CACHE_DIR, 'tmp')
let count = 0

/**
 * Makes an empty directory (mode 0700) that is removed when the process ends. What a killed test process
 * left is swept by the next one.
 *
 * @param name Last part of its name, for people.
 */
export function tempDir(name = 'dir'): string {
  if (count === 0) {
    mkdirSync(BASE, { recursive: true, mode: 0o700 })
    for (const entry of readdirSync(BASE)) {
      if (isAlive(Number.parseInt(entry, 10))) continue
      try {
        rmSync(join(BASE, entry), { recursive: true, force: true })
      } catch {
        // Another test process sweeps it too, or somebody still writes there.
      }
    }
  }
  count += 1
  const dir = join(BASE, `${process.pid}-${count}-${name}`)
  rmSync(dir, { recursive: true, force: true })
  mkdirSync(dir, { mode: 0o700 })
  atEnd(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}
