import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))

/** What `npm run check` runs, fastest first; each is reported even when one before it failed. */
const CHECKS: readonly (readonly [title: string, command: string, ...args: string[]])[] = [
  ['import direction, names and sizes', process.execPath, 'test/architecture.test.ts'],
  ['format and lint', 'node_modules/.bin/biome', 'check', '--error-on-warnings'],
  ['types', 'node_modules/.bin/tsc', '-p', '.'],
  ['unused files, exports and dependencies', 'node_modules/.bin/knip', '--no-progress'],
]

let failed = 0
for (const [title, command, ...args] of CHECKS) {
  const startedAt = performance.now()
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, NO_COLOR: '1' },
    maxBuffer: 64 * 1024 * 1024,
    timeout: 300_000,
  })
  // uvu exits 0 when a hook throws; its counts are what can be trusted.
  const good = status === 0 && (!args[0]?.endsWith('.test.ts') || /^ *Total: +[1-9]/m.test(stdout))
  if (!good) {
    failed += 1
    process.stdout.write(`${stdout}${stderr}${error === undefined ? '' : `${error.message}\n`}`)
  }
  console.log(`${good ? 'ok  ' : 'FAIL'}  ${title}  ${((performance.now() - startedAt) / 1000).toFixed(1)} s`)
}
process.exitCode = failed > 0 ? 1 : 0
