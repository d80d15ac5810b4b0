import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, globSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { ROOT } from './plexus.ts'

/** Everything that the result depends on; Node.js and the packages are pinned by the lock file. */
const SOURCES = ['src/**/*.ts', 'scripts/*.ts', 'package.json', 'package-lock.json']

/**
 * The single-file executable of these sources: built once per content below `dist/`, safe when several
 * processes do.
 *
 * @throws What the build says when it fails.
 */
export function singleFile(): string {
  const hash = createHash('sha256')
  for (const path of globSync(SOURCES, { cwd: ROOT }).sort())
    hash.update(`${path}\0`).update(readFileSync(join(ROOT, path)))
  const name = `plexus-${hash.digest('hex').slice(0, 16)}`
  const folder = join(ROOT, 'dist/binaries')
  const file = join(folder, name)
  if (existsSync(file)) return file
  execFileSync(process.execPath, ['scripts/build-binary.ts', file], { cwd: ROOT, stdio: 'pipe' })
  // Those of other sources are large and of no use any more.
  for (const other of readdirSync(folder)) {
    if (other.startsWith('plexus-') && other !== name) rmSync(join(folder, other), { force: true })
  }
  return file
}
