import type { Growth } from './growth.ts'
import { KUBERNETES, type KubernetesCost } from './kubernetes-mode.ts'
import type { ResultRow } from './measure.ts'
import type { LoopDelay } from './modes.ts'
import type { ShimCost } from './shim.ts'
import type { StartupRow } from './startup.ts'
import { formatEstimate } from './statistics.ts'
import type { Target } from './targets.ts'

/** What the daemon of a mode cost. */
export interface DaemonCost {
  /** Some seconds after its start, before its first request. */
  readonly idleRssMiB: number | null
  /** After all rounds. */
  readonly afterRssMiB: number | null
  /** How many it served, also those of rounds that were thrown away. */
  readonly requests: number
  /** How many ADDs were started at once for what follows: 30, or the most that were measured. */
  readonly concurrency: number
  readonly cpuMsPerAdd: number | null
  /** While these ADDs run. */
  readonly eventLoopDelayMs: LoopDelay | null
}

/** All that one run of the benchmark found. */
export interface Report {
  readonly results: readonly ResultRow[]
  readonly startup: readonly StartupRow[]
  readonly daemon?: DaemonCost
  readonly kubernetes?: DaemonCost & KubernetesCost
  readonly growth?: Growth
  readonly shim?: ShimCost
  readonly targets: readonly Target[]
}

/** All of it as Markdown tables, which are also readable as they are. */
export function formatReport(report: Report): string {
  const { results, startup, daemon, kubernetes, growth, shim, targets } = report
  const lines = table(
    2,
    [
      ...['mode', 'verb', 'at once', 'p50 ms', 'p90 ms', 'per second'],
      ...['× limit', 'paired (95 %)', 'rate × limit', 'paired (95 %)', 'errors'],
    ],
    results.map((row) => [
      row.mode,
      row.verb,
      String(row.concurrency),
      row.p50Ms?.toFixed(1) ?? '-',
      row.p90Ms?.toFixed(1) ?? '-',
      row.perSecond.toFixed(1),
      row.ratioToLimit?.toFixed(2) ?? '-',
      row.pairedRatio === null ? '-' : formatEstimate(row.pairedRatio),
      row.rateToLimit?.toFixed(2) ?? '-',
      row.pairedRate === null ? '-' : formatEstimate(row.pairedRate),
      String(row.errors),
    ]),
  )
  const starts = table(
    1,
    ['start to end of', 'p50 ms', 'p90 ms'],
    startup.map(({ program, p50Ms, p90Ms }) => [program, p50Ms.toFixed(1), p90Ms.toFixed(1)]),
  )
  const costs = table(
    1,
    ['cost', 'measured'],
    [
      ...daemonLines('daemon', daemon),
      ...daemonLines(KUBERNETES, kubernetes),
      ...kubernetesLines(kubernetes),
      ...shimLines(shim),
    ],
  )
  const points = table(
    0,
    ['ADD/DEL cycles', 'daemon MiB'],
    (growth?.rss ?? []).map(({ cycles, rssMiB }) => [String(cycles), String(rssMiB)]),
  )
  const judged = table(
    1,
    ['target', 'wanted', 'measured', 'met'],
    targets.map(({ what, target, measured, isMet }) => [what, target, measured, isMet ? 'yes' : 'NO']),
  )
  const tables = [lines, starts, costs, points, judged].filter((rows) => rows.length > HEAD_LINES)
  return `${tables.map((rows) => rows.join('\n')).join('\n\n')}\n`
}

const HEAD_LINES = 2

function daemonLines(name: string, cost: DaemonCost | undefined): string[][] {
  if (cost === undefined) return []
  const { p50, p90, p99, max } = cost.eventLoopDelayMs ?? { p50: null, p90: null, p99: null, max: null }
  return [
    [`${name}, MiB at idle`, `${cost.idleRssMiB ?? '-'}`],
    [`${name}, MiB after ${cost.requests} requests`, `${cost.afterRssMiB ?? '-'}`],
    [`${name}, CPU ms of an ADD, ${cost.concurrency} at once`, `${cost.cpuMsPerAdd ?? '-'}`],
    [
      `${name}, event-loop delay ms, ${cost.concurrency} at once, p50 / p90 / p99 / max`,
      [p50, p90, p99, max].map((value) => value ?? '-').join(' / '),
    ],
  ]
}

function kubernetesLines(cost: KubernetesCost | undefined): string[][] {
  if (cost === undefined) return []
  const { calls, crowd } = cost
  const { wholeMs, turnMs, delegatesMs, ownMs } = crowd
  const all = [wholeMs, turnMs, delegatesMs, ownMs]
  return [
    [
      `API calls for ${calls.adds} ADDs: reads / patches of pods / events`,
      [calls.reads, calls.patches, calls.events].join(' / '),
    ],
    ...(['p50', 'p99'] as const).map((part) => [
      `${crowd.pods} pods × ${crowd.networks} networks, ms of an ADD, ${part}: whole / turn / delegates / own`,
      all.map((spread) => spread[part] ?? '-').join(' / '),
    ]),
    [`${crowd.pods} pods × ${crowd.networks} networks, errors`, String(crowd.errors)],
  ]
}

function shimLines(cost: ShimCost | undefined): string[][] {
  if (cost === undefined) return []
  const { p50, p90 } = cost.startToHelloMs
  return [
    ['shim, ms from start to hello, p50 / p90', `${p50 ?? '-'} / ${p90 ?? '-'}`],
    ['shim, KiB of memory at most', String(cost.peakRssKiB)],
    ['shim, KiB of the file', String(cost.sizeKiB)],
  ]
}

/** @param textColumns How many columns from the left are text; the others are numbers. */
function table(textColumns: number, head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)),
  )
  const line = (cells: readonly string[]): string =>
    `| ${cells
      .map((cell, column) =>
        column < textColumns ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join(' | ')} |`
  const rule = `|${widths
    .map((width, column) => (column < textColumns ? '-'.repeat(width + 2) : `${'-'.repeat(width + 1)}:`))
    .join('|')}|`
  return [line(head), rule, ...rows.map(line)]
}
