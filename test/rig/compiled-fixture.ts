import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { CACHE_DIR } from './temp-dir.ts'

/**
 * Compiles a C program of `test/fixtures/` once per content into the cache; safe when several processes do.
 *
 * @param source Path below `test/fixtures/`.
 * @returns Path of the executable.
 * @throws When there is no C compiler, or the program does not compile without a warning.
 */
export function compileFixture(source: string): string {
  const path = fileURLToPath(new URL(`../fixtures/${source}`, import.meta.url))
  const digest = createHash('sha256').update(readFileSync(path)).digest('hex').slice(0, 16)
  const folder = join(CACHE_DIR, 'compiled')
  const binary = join(folder, digest)
  if (existsSync(binary)) return binary
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const aside = `${binary}.${process.pid}`
  // Static: the stubs are started thousands of times, and the dynamic linker is half of their time.
  const options = ['-std=gnu11', '-O2', '-static', '-Wall', '-Wextra', '-Werror', '-Wno-format-truncation']
  try {
    execFileSync('gcc', [...options, '-o', aside, path], { stdio: ['ignore', 'ignore', 'pipe'] })
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new Error(`cannot compile ${source} (needs gcc and libc6-dev): ${reason}`, { cause: error })
  }
  renameSync(aside, binary)
  return binary
}
