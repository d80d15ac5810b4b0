import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

/** What the benchmark keeps and makes is below `${XDG_CACHE_HOME:-$HOME/.cache}/plexus/bench`. */
export const CACHE_DIR = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'plexus/bench')

/**
 * Makes an empty directory for one run, on the disk of the user's cache: the journal's fsync is part of
 * what is measured, and `/tmp` is often memory. What a killed run left behind is removed first.
 */
export function makeWorkDir(): string {
  mkdirSync(CACHE_DIR, { recursive: true, mode: 0o700 })
  for (const name of readdirSync(CACHE_DIR)) {
    const pid = /^run-(\d+)$/.exec(name)?.[1]
    if (pid !== undefined && !isAlive(Number(pid))) removeWorkDir(join(CACHE_DIR, name))
  }
  const dir = join(CACHE_DIR, `run-${process.pid}`)
  mkdirSync(dir, { mode: 0o700 })
  return dir
}

/** Removes it with all that is in it. */
export function removeWorkDir(dir: string): void {
  rmSync(dir, { recursive: true, force: true, maxRetries: 3 })
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
