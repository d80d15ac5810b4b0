import { spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Orders } from './chaos/inside.ts'
import type { ChaosReport } from './chaos/tally.ts'
import { makeWorkDir, removeWorkDir } from './work-dir.ts'
import { findPluginDir } from './workload.ts'

/** What `npm run bench -- --help` says of it. */
export const CHAOS_HELP = `npm run bench -- --chaos [options]

Kills shim, daemon and delegates while pods come and go, and looks for what is left; exit status 1 when
there is something. Needs root; works in network, mount and PID namespaces of its own.

  --cycles N           sandboxes, each with ADD and DEL (10000); Ctrl-C ends them early
  --seed S             the same again (a random one, which the report names)
  --json               one JSON document on stdout instead of a text
`

const MOST_CYCLES = 10_000_000
const SEEDS = 2 ** 31

/** Runs it with the options of the command line, and gives the exit status. */
export async function chaos(plexus: string, say: (line: string) => void): Promise<number> {
  const { values } = parseArgs({
    options: {
      chaos: { type: 'boolean' },
      cycles: { type: 'string', default: '10000' },
      seed: { type: 'string', default: String(randomInt(SEEDS)) },
      json: { type: 'boolean', default: false },
    },
  })
  const cycles = toNumber('--cycles', values.cycles, 1, MOST_CYCLES)
  const seed = toNumber('--seed', values.seed, 0, SEEDS - 1)
  if (process.getuid?.() !== 0) throw new Error('it makes namespaces: run it as root')
  const dir = makeWorkDir()
  let report: ChaosReport
  try {
    say(`chaos: ${cycles} cycles, seed ${seed}`)
    report = await runInside({ dir, plexus, pluginDir: findPluginDir(), cycles, seed })
  } finally {
    removeWorkDir(dir)
  }
  process.stdout.write(values.json ? `${JSON.stringify(report, null, 2)}\n` : formatChaos(report))
  return report.leaks.length + report.stuck.length + report.unexpected.length > 0 ? 1 : 0
}

function toNumber(option: string, text: string, least: number, most: number): number {
  const number = Number(text)
  if (!/^\d+$/.test(text) || number < least || number > most)
    throw new Error(`${option}: ${text} is not from ${least} to ${most}`)
  return number
}

/**
 * Process 1 of the PID namespace is a shell, which reaps whatever lost its parent. When it ends, the kernel
 * ends everything in there and drops the namespaces with all that they hold.
 */
async function runInside(orders: Orders): Promise<ChaosReport> {
  const program = [process.execPath, join(import.meta.dirname, 'chaos/inside.ts'), JSON.stringify(orders)]
  const namespaces = ['--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc']
  // Its stdin ends with this process, however that ends. In a group of its own: a terminal's Ctrl-C is for
  // this process alone, which then wants a report of what was done so far.
  const script = 'exec 3<&0; "$@" <&3 3<&- & wait $!'
  const child = spawn('unshare', [...namespaces, 'sh', '-c', script, 'sh', ...program], {
    stdio: ['pipe', 'pipe', 'inherit'],
    detached: true,
  })
  const end = (): void => void child.stdin.end()
  const signals = ['SIGHUP', 'SIGINT', 'SIGTERM'] as const
  for (const name of signals) process.on(name, end)
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  try {
    const status = await new Promise((resolve, reject) => {
      child.once('error', reject)
      child.once('close', resolve)
    })
    if (status !== 0) throw new Error('chaos ended before it was done')
    return JSON.parse(output) as ChaosReport
  } finally {
    for (const name of signals) process.off(name, end)
  }
}

function formatChaos(report: ChaosReport): string {
  const { seed, cycles, seconds, ended, kills, daemonStarts, delTries, longestDelMs } = report
  const counts = (numbers: Readonly<Record<string, number>>): string =>
    Object.entries(numbers)
      .sort(([, left], [, right]) => right - left)
      .map(([what, count]) => `${count} ${what}`)
      .join(', ')
  const lines = [
    `${cycles} cycles in ${seconds} s, seed ${seed}`,
    ...Object.entries(ended).map(([verb, hows]) => `${verb}: ${counts(hows)}`),
    `killed: ${counts(kills)}; ${daemonStarts} daemons`,
    `tries of DEL: ${Object.entries(delTries)
      .map(([tries, count]) => `${tries}: ${count}`)
      .join(', ')}; the longest took ${longestDelMs} ms`,
  ]
  for (const [title, found] of [
    ['leaks', report.leaks],
    ['stuck', report.stuck],
    ['unexpected', report.unexpected],
  ] as const) {
    lines.push(`${title}: ${found.length}`, ...found.map((line) => `  ${line}`))
  }
  lines.push(`empty leases, which no DEL can find: ${report.emptyLeases}`)
  return `${lines.join('\n')}\n`
}
