import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { CHAOS_HELP, chaos } from './chaos.ts'
import { compile } from './compile.ts'
import { measureGrowth } from './growth.ts'
import { KUBERNETES, type KubernetesMode } from './kubernetes-mode.ts'
import { measure, type ResultRow } from './measure.ts'
import { LIMIT, MODES, type Mode, USUAL_MODES } from './modes.ts'
import { rssMiB } from './process-cost.ts'
import { record } from './recording.ts'
import { type DaemonCost, formatReport, type Report } from './report.ts'
import { Runner } from './runner.ts'
import { measureShim } from './shim.ts'
import { measureStartup } from './startup.ts'
import { rounded } from './statistics.ts'
import { countErrors, judgeTargets } from './targets.ts'
import { makeWorkDir, removeWorkDir } from './work-dir.ts'
import { findPluginDir, makeWorkload } from './workload.ts'

const PLEXUS = join(import.meta.dirname, '..', 'bin', 'plexus')
const SHIM = join(import.meta.dirname, '..', 'dist', 'native', 'plexus')
/** The mode whose daemon and shim are measured beside their speed. */
const DAEMON = 'daemon'
/** What the daemon costs is told for as many ADDs at once. */
const CROWD = 30
const IDLE_MS = 3000

const HELP = `npm run bench -- [options]

Measures ADD and DEL of a pod with three networks (bridge, macvlan, bridge; addresses of host-local)
beside the delegates alone. Needs root; works in network namespaces of its own.

  --json               one JSON document on stdout instead of tables
  --concurrency LIST   how many pods at once (1,8,30); at more than 30 without standalone
  --modes LIST         of ${Object.keys(MODES).join(', ')}
                       (all but ${KUBERNETES}; ${LIMIT} is always among them)
  --rounds N           blocks of each mode (80 of one pod, 20 of eight, 12 of thirty and more);
                       standalone has a quarter of them
  --memory N           also the daemon's memory over N ADDs and DELs with delegates that do nothing
  --help

Ends with 1 when a request failed. Targets that are not met are only told.

${CHAOS_HELP}`

interface BenchOptions {
  readonly isJson: boolean
  readonly concurrencies: readonly number[]
  readonly modes: readonly string[]
  readonly rounds: number | undefined
  readonly memoryCycles: number | undefined
}

/** @throws {Error} What is wrong with the command line. */
function parseOptions(): BenchOptions | undefined {
  const { values } = parseArgs({
    options: {
      json: { type: 'boolean', default: false },
      concurrency: { type: 'string', default: '1,8,30' },
      modes: { type: 'string', default: USUAL_MODES.join(',') },
      rounds: { type: 'string' },
      memory: { type: 'string' },
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
    memoryCycles: values.memory === undefined ? undefined : toCount('--memory', values.memory, 1_000_000),
  }
}

function toCount(option: string, text: string, most: number): number {
  const count = Number(text)
  if (!/^\d+$/.test(text) || count < 1 || count > most)
    throw new Error(`${option}: ${text} is not from 1 to ${most}`)
  return count
}

function defaultRounds(concurrency: number): number {
  return Math.min(80, Math.max(12, Math.ceil(160 / concurrency)))
}

function say(line: string): void {
  process.stderr.write(`bench: ${line}\n`)
}

/** @param signal Between two steps the benchmark looks whether it is to end. */
async function runBench(options: BenchOptions, dir: string, signal: AbortSignal): Promise<Report> {
  const workload = makeWorkload(dir, findPluginDir())
  const runner = new Runner(compile('runner'))
  const modes: Mode[] = []
  // The runner ends what is under way; then every order that follows fails.
  const stop = (): void => void runner.close()
  signal.addEventListener('abort', stop)
  try {
    const context = { workload, plexus: PLEXUS, recording: await record(runner, workload, PLEXUS) }
    for (const name of options.modes) {
      const mode = MODES[name]?.(context)
      if (mode === undefined) continue
      modes.push(mode)
      await mode.start?.()
    }
    const daemon = modes.find(({ name }) => name === DAEMON)
    const kubernetes = modes.find((mode): mode is KubernetesMode => mode.name === KUBERNETES)
    const idle = delay(IDLE_MS)
    say('start-up')
    const startup = await measureStartup(runner, PLEXUS, options.rounds ?? 30)
    await idle
    const idleRssMiB = readRss(daemon)
    const kubernetesIdleRssMiB = readRss(kubernetes)
    const results: ResultRow[] = []
    let requests = 0
    for (const concurrency of options.concurrencies) {
      const rounds = options.rounds ?? defaultRounds(concurrency)
      say(`${concurrency} at once, ${rounds} rounds`)
      results.push(...(await measure(runner, workload, { modes, concurrency, rounds, complain: say })))
      // ADD and DEL, and the round that is thrown away.
      requests += 2 * concurrency * (rounds + 1)
    }
    const cost = daemon && costOf(DAEMON, results, { idleRssMiB, afterRssMiB: readRss(daemon), requests })
    const kubernetesCost = kubernetes && {
      ...costOf(KUBERNETES, results, {
        idleRssMiB: kubernetesIdleRssMiB,
        afterRssMiB: readRss(kubernetes),
        requests,
      }),
      ...(await kubernetes.measureCost(runner, say)),
    }
    const shim = daemon && (await measureShim(runner, workload, SHIM, daemon))
    const cycles = options.memoryCycles
    if (cycles !== undefined) say(`memory over ${cycles} cycles`)
    const growth = cycles === undefined ? undefined : await measureGrowth(runner, context, cycles, say)
    const found = {
      results,
      startup,
      ...(cost === undefined ? {} : { daemon: cost }),
      ...(kubernetesCost === undefined ? {} : { kubernetes: kubernetesCost }),
      ...(growth === undefined ? {} : { growth }),
      ...(shim === undefined ? {} : { shim }),
    }
    return { ...found, targets: judgeTargets(found) }
  } finally {
    for (const mode of modes) await mode.stop?.()
    await runner.close()
  }
}

function readRss(mode: Mode | undefined): number | null {
  return mode?.service === undefined ? null : rounded(rssMiB(mode.service.pid), 1)
}

function costOf(
  mode: string,
  results: readonly ResultRow[],
  memory: Pick<DaemonCost, 'idleRssMiB' | 'afterRssMiB' | 'requests'>,
): DaemonCost {
  const adds = results.filter((row) => row.mode === mode && row.verb === 'ADD')
  const most = Math.max(...adds.map(({ concurrency }) => concurrency))
  const row =
    adds.find(({ concurrency }) => concurrency === CROWD) ?? adds.find((one) => one.concurrency === most)
  return {
    ...memory,
    concurrency: row?.concurrency ?? most,
    cpuMsPerAdd: row?.cpuMsPerRequest ?? null,
    eventLoopDelayMs: row?.eventLoopDelayMs ?? null,
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
  if (countErrors(report) > 0) process.exitCode = 1
}

try {
  await main()
} catch (error) {
  say(error instanceof Error ? error.message : String(error))
  process.exitCode = 1
}
