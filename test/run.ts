import { spawn } from 'node:child_process'
import { globSync, readFileSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'

/** Files under a folder: run by default or only when asked for by path, how many at once, how long each may take. */
interface Tier {
  readonly folder: string
  readonly byDefault: boolean
  readonly atOnce: number
  readonly timeLimitMs: number
}

/**
 * The first one that fits counts. Tiers run one after the other, from the last to the first. Tests of whole requests
 * mostly wait, for limits and for the kernel: more of them than there are processors run at once. A limit is there to
 * end what hangs: on a slow machine the longest file needs a third of it.
 */
const TIERS: readonly Tier[] = [
  { folder: 'chaos', byDefault: false, atOnce: 1, timeLimitMs: 900_000 },
  { folder: 'runtime', byDefault: false, atOnce: 1, timeLimitMs: 900_000 },
  { folder: 'cluster', byDefault: false, atOnce: 1, timeLimitMs: 600_000 },
  { folder: 'pictures', byDefault: false, atOnce: 1, timeLimitMs: 300_000 },
  { folder: 'examples', byDefault: true, atOnce: 2, timeLimitMs: 300_000 },
  { folder: 'plugin', byDefault: true, atOnce: 3, timeLimitMs: 300_000 },
  { folder: 'daemon', byDefault: true, atOnce: 3, timeLimitMs: 300_000 },
  { folder: 'node', byDefault: true, atOnce: 3, timeLimitMs: 300_000 },
  { folder: '', byDefault: true, atOnce: 2, timeLimitMs: 180_000 },
]

/** What became of one file. */
interface Outcome {
  readonly passed: number
  readonly failed: number
  /** `name: kernel lacks feature`, one for each test that the file left out. */
  readonly skipped: readonly string[]
  /** Why the file failed although its own counts look good. */
  readonly faults: readonly string[]
  readonly output: string
}

const GRACE_MS = 1000

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { root: { type: 'string', default: import.meta.dirname }, 'time-limit-ms': { type: 'string' } },
})
const root = resolve(values.root)
const timeLimitMs = values['time-limit-ms'] === undefined ? undefined : Number(values['time-limit-ms'])
const running = new Set<number>()

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    for (const group of running) killGroup(group)
    process.exit(1)
  })
}

process.exitCode = (await main()) ? 0 : 1

/** Runs what was asked for and prints it; the last line is `N passed, N failed, N skipped`. */
async function main(): Promise<boolean> {
  const files = globSync('**/*.test.ts', { cwd: root, exclude: (path) => path === 'fixtures' }).sort()
  const chosen = files.filter((file) => isChosen(file))
  let passed = 0
  let failed = 0
  const skipped: string[] = []
  for (const tier of TIERS.toReversed()) {
    const queue = chosen.filter((file) => tierOf(file) === tier)
    const worker = async () => {
      for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
        const startedAt = performance.now()
        const outcome = await runFile(file, timeLimitMs ?? tier.timeLimitMs)
        report(file, outcome, performance.now() - startedAt)
        passed += outcome.passed
        failed += outcome.failed
        skipped.push(...outcome.skipped.map((reason) => `${file}: ${reason}`))
      }
    }
    await Promise.all(Array.from({ length: tier.atOnce }, worker))
  }
  for (const filter of positionals) {
    if (files.some((file) => matches(file, filter))) continue
    console.log(`FAIL  no test file matches "${filter}"`)
    failed += 1
  }
  if (files.length === 0) {
    console.log(`FAIL  no test files in ${root}`)
    failed += 1
  }
  if (skipped.length > 0) console.log(`\nskipped:\n${skipped.map((line) => `  ${line}`).join('\n')}`)
  console.log(`${passed} passed, ${failed} failed, ${skipped.length} skipped`)
  return failed === 0
}

function tierOf(file: string): Tier | undefined {
  return TIERS.find(({ folder }) => folder === '' || file.startsWith(`${folder}/`))
}

/** A filter is part of a path, from the repository (`test/cni`) or from the test folder (`cni`). */
function matches(file: string, filter: string): boolean {
  return join(relative(join(root, '..'), root), file).includes(filter.replace(/^\.\//, ''))
}

function isChosen(file: string): boolean {
  if (positionals.length === 0) return tierOf(file)?.byDefault ?? true
  const folder = file.split('/')[0] ?? ''
  // "add" must not start a cluster because test/cluster/add.test.ts is one of its matches.
  return positionals.some(
    (filter) => matches(file, filter) && (tierOf(file)?.byDefault || filter.split('/').includes(folder)),
  )
}

/**
 * Runs one file in a process of its own and judges it by its counts: uvu exits 0 when a hook throws,
 * when a test throws something that is no Error, and when a suite is never run.
 */
async function runFile(file: string, limitMs: number): Promise<Outcome> {
  const path = join(root, file)
  const text = readFileSync(path, 'utf8')
  for (const word of ['only', 'skip']) {
    if (new RegExp(`\\.${word}\\(`).test(text)) {
      const fault = word === 'only' ? 'hides the other tests' : 'leaves out a test without a reason'
      return { passed: 0, failed: 1, skipped: [], faults: [`.${word}( ${fault}`], output: '' }
    }
  }
  const { status, timedOut, left, output } = await runProcess(path, limitMs)
  const counts = (label: string) =>
    [...output.matchAll(new RegExp(`^ *${label}: +(\\d+)$`, 'gm'))].map((m) => Number(m[1]))
  const [total = 0, ...more] = counts('Total')
  const [passed = 0] = counts('Passed')
  const skipped = [...output.matchAll(/^# skipped: (.+: kernel lacks .+)$/gm)].map((match) => match[1] ?? '')
  const faults: string[] = []
  if (timedOut) faults.push(`took more than ${limitMs} ms and was killed`)
  else if (counts('Total').length === 0)
    faults.push('printed no counts: a hook threw, or a suite was not run')
  else if (total + skipped.length === 0) faults.push('has no test')
  // uvu counts such a test, but has nothing to say about it.
  const explained = output.split('✘').length - 1
  if (total - passed > explained)
    faults.push('failed without a word: a hook threw, or a test threw what is no Error')
  if (more.length > 0) faults.push('ran its suites in several rounds: put no await between them')
  if (left) faults.push('left processes behind')
  if (status !== 0 && !timedOut && total === passed) faults.push(`exited with ${status}`)
  return { passed, failed: Math.max(total - passed, Math.min(faults.length, 1)), skipped, faults, output }
}

interface Ended {
  readonly status: number | string
  readonly timedOut: boolean
  readonly left: boolean
  readonly output: string
}

/** Runs a file as the leader of a process group, so that nothing it started outlives it. */
async function runProcess(path: string, limitMs: number): Promise<Ended> {
  const { FORCE_COLOR: _, ...env } = process.env
  const child = spawn(process.execPath, [path], {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...env, NO_COLOR: '1' },
  })
  const group = child.pid
  if (group === undefined)
    return { status: 'not started', timedOut: false, left: false, output: `cannot start ${path}\n` }
  running.add(group)
  const chunks: Buffer[] = []
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => chunks.push(chunk))
  let timedOut = false
  const timer = setTimeout(() => {
    timedOut = true
    killGroup(group)
  }, limitMs)
  // 'close' would wait for whoever inherited the pipes.
  const status = await new Promise<number | string>((done) => {
    child.once('exit', (code, signal) => done(code ?? signal ?? 'unknown'))
  })
  clearTimeout(timer)
  const deadline = performance.now() + GRACE_MS
  while (!timedOut && isGroupAlive(group) && performance.now() < deadline) await sleep(20)
  const left = !timedOut && isGroupAlive(group)
  killGroup(group)
  running.delete(group)
  await Promise.race([
    Promise.all([ended(child.stdout), ended(child.stderr)]),
    sleep(GRACE_MS, undefined, { ref: false }),
  ])
  child.stdout.destroy()
  child.stderr.destroy()
  return { status, timedOut, left, output: Buffer.concat(chunks).toString('utf8') }
}

function ended(stream: NodeJS.ReadableStream & { readableEnded?: boolean }): Promise<void> {
  return new Promise((done) => (stream.readableEnded ? done() : stream.once('end', () => done())))
}

/** Whether a process of the group still runs; one that only waits for its parent to notice does not. */
function isGroupAlive(group: number): boolean {
  try {
    process.kill(-group, 0)
  } catch {
    return false
  }
  return globSync('/proc/[0-9]*/stat').some((path) => {
    const [state, , processGroup] = readStat(path)
    return state !== 'Z' && state !== 'X' && Number(processGroup) === group
  })
}

/** The fields of proc(5)'s stat from the state on; the name before it may hold blanks and brackets. */
function readStat(path: string): string[] {
  try {
    return readFileSync(path, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ')
  } catch {
    return ['X']
  }
}

function killGroup(group: number): void {
  try {
    process.kill(-group, 'SIGKILL')
  } catch {
    // It is gone.
  }
}

function report(file: string, { passed, failed, skipped, faults, output }: Outcome, tookMs: number): void {
  const counts = `${passed} passed${skipped.length > 0 ? `, ${skipped.length} skipped` : ''}, ${(tookMs / 1000).toFixed(2)} s`
  if (failed === 0) {
    console.log(`ok    ${file}  ${counts}`)
    return
  }
  console.log(`FAIL  ${file}  ${counts}, ${failed} failed`)
  if (output !== '') console.log(output.trimEnd().replace(/^(?=.)/gm, '      '))
  for (const fault of faults) console.log(`      ${file} ${fault}`)
}
