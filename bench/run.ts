import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { CHAOS_HELP, chaos } from './chaos.ts'
import { measure, type ResultRow } from './measure.ts'
import { LIMIT, MODES, type Mode } from './modes.ts'
import { record } from './recording.ts'
import { formatReport, type Report } from './report.ts'
import { compileRunner, Runner } from './runner.ts'
import { measureStartup } from './startup.ts'
import { makeWorkDir, removeWorkDir } from './work-dir.ts'
import { findPluginDir, makeWorkload } from './workload.ts'

const PLEXUS = join(import.meta.dirname, '..', 'bin', 'plexus')

const HELP = `npm run bench -- [options]

Measures ADD and DEL of a pod with three networks (bridge, macvlan, bridge; addresses of host-local)
beside the delegates alone. Needs root; works in network namespaces of its own.

  --json               one JSON document on stdout instead of tables
  --concurrency LIST   how many pods at once (1,8,30)
  --modes LIST         of ${Object.keys(MODES).join(', ')} (all; ${LIMIT} is always among them)
  --rounds N           blocks of each mode (40 of one pod, 13 of eight, 5 of thirty)
  --help

${CHAOS_HELP}`

interface BenchOptions {
  readonly isJson: boolean
  readonly concurrencies: readonly number[]
  readonly modes: readonly string[]
  readonly rounds: number | undefined
}

/** @throws {Error} What is wrong with the command line. */
function parseOptions(): BenchOptions | undefined {
  const { values } = parseArgs({
    options: {
      json: { type: 'boolean', default: false },
      concurrency: { type: 'string', default: '1,8,30' },
      modes: { type: 'string', default: Object.keys(MODES).join(',') },
      rounds: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return undefined
  const modes = [...new Set([LIMIT, ...values.modes.split(',')])]
  for (const name of modes) {
    if (!Object.hasOwn(MODES, name))
      throw new Error(`there is no mode "${name}", only ${Object.keys(MODES).join(', ')}`)
  }
  return {
    isJson: values.json,
    concurrencies: values.concurrency.split(',').map((text) => toCount('--concurrency', text, 1000)),
    modes,
    rounds: values.rounds === undefined ? undefined : toCount('--rounds', values.rounds, 100_000),
  }
}

function toCount(option: string, text: string, most: number): number {
  const count = Number(text)
  if (!/^\d+$/.test(text) || count < 1 || count > most)
    throw new Error(`${option}: ${text} is not from 1 to ${most}`)
  return count
}

function defaultRounds(concurrency: number): number {
  return Math.min(40, Math.max(5, Math.ceil(100 / concurrency)))
}

function say(line: string): void {
  process.stderr.write(`bench: ${line}\n`)
}

/** @param signal Between two steps the benchmark looks whether it is to end. */
async function runBench(options: BenchOptions, dir: string, signal: AbortSignal): Promise<Report> {
  const workload = makeWorkload(dir, findPluginDir())
  const runner = new Runner(compileRunner())
  const modes: Mode[] = []
  // The runner ends what is under way; then every order that follows fails.
  const stop = (): void => void runner.close()
  signal.addEventListener('abort', stop)
  try {
    const recording = await record(runner, workload, PLEXUS)
    for (const name of options.modes) {
      const mode = MODES[name]?.({ workload, recording, plexus: PLEXUS })
      if (mode === undefined) continue
      modes.push(mode)
      await mode.start?.()
    }
    say('start-up')
    const startup = await measureStartup(runner, PLEXUS, options.rounds ?? 30)
    const results: ResultRow[] = []
    for (const concurrency of options.concurrencies) {
      const rounds = options.rounds ?? defaultRounds(concurrency)
      say(`${concurrency} at once, ${rounds} rounds of ${options.modes.join(', ')}`)
      results.push(...(await measure(runner, workload, { modes, concurrency, rounds, complain: say })))
    }
    return { results, startup }
  } finally {
    for (const mode of modes) await mode.stop?.()
    await runner.close()
  }
}

async function main(): Promise<void> {
  if (process.argv.includes('--chaos')) {
    process.exitCode = await chaos(PLEXUS, say)
    return
  }
  const options = parseOptions()
  if (options === undefined) {
    process.stdout.write(HELP)
    return
  }
  if (process.getuid?.() !== 0) throw new Error('it makes network namespaces: run it as root')
  const controller = new AbortController()
  for (const name of ['SIGHUP', 'SIGINT', 'SIGTERM'] as const) process.on(name, () => controller.abort())
  const dir = makeWorkDir()
  let report: Report
  try {
    report = await runBench(options, dir, controller.signal)
  } catch (error) {
    throw controller.signal.aborted ? new Error('ended before it was done', { cause: error }) : error
  } finally {
    removeWorkDir(dir)
  }
  process.stdout.write(options.isJson ? `${JSON.stringify(report, null, 2)}\n` : formatReport(report))
}

try {
  await main()
} catch (error) {
  say(error instanceof Error ? error.message : String(error))
  process.exitCode = 1
}
