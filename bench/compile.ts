import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { CACHE_DIR } from './work-dir.ts'

const OPTIONS = ['-O2', '-Wall', '-Wextra', '-Werror', '-pthread']

/**
 * Compiles `bench/NAME.c` into the cache, unless it is there.
 *
 * @returns Path of the executable.
 * @throws {Error} With the compiler's words.
 */
export function compile(name: string, options: readonly string[] = []): string {
  const source = join(import.meta.dirname, `${name}.c`)
  const all = [...OPTIONS, ...options]
  const hash = createHash('sha256').update(readFileSync(source)).update(all.join(' '))
  const path = join(CACHE_DIR, `${name}-${hash.digest('hex').slice(0, 16)}`)
  if (!existsSync(path)) {
    mkdirSync(CACHE_DIR, { recursive: true, mode: 0o700 })
    const temporary = `${path}.${process.pid}`
    execFileSync('gcc', [...all, '-o', temporary, source], { stdio: ['ignore', 2, 2] })
    renameSync(temporary, path)
  }
  return path
}
