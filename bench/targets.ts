import { KUBERNETES } from './kubernetes-mode.ts'
import type { ResultRow } from './measure.ts'
import type { Report } from './report.ts'
import { type Estimate, formatEstimate, quantile } from './statistics.ts'
import type { Verb } from './workload.ts'

/** A number that Plexus wants to reach. */
export interface Target {
  readonly what: string
  readonly target: string
  readonly measured: string
  readonly isMet: boolean
}

const GROWTH_SHARE = 0.05

/** Compares what was measured with the targets; what was not measured is left out. */
export function judgeTargets(report: Omit<Report, 'targets'>): Target[] {
  const { results, daemon, kubernetes, growth, shim } = report
  const find = (mode: string, verb: Verb, concurrency: number): ResultRow | undefined =>
    results.find((row) => row.mode === mode && row.verb === verb && row.concurrency === concurrency)
  const targets: Target[] = []
  const latency = (mode: string, verb: Verb, most: number): void => {
    const row = find(mode, verb, 1)
    if (row?.ratioToLimit == null) return
    targets.push({
      what: `${mode} ${verb}, 1 at once, × limit`,
      target: `≤ ${most.toFixed(2)}`,
      measured: withPairs(row.ratioToLimit, row.pairedRatio),
      isMet: row.ratioToLimit <= most,
    })
  }
  const most = (what: string, unit: string, limit: number, value: number | null | undefined): void => {
    if (value == null) return
    targets.push({ what, target: `≤ ${limit} ${unit}`, measured: `${value} ${unit}`, isMet: value <= limit })
  }
  latency('daemon', 'ADD', 1.1)
  latency('daemon', 'DEL', 1.05)
  latency('daemon-parallel', 'ADD', 0.9)
  const rate = (mode: string, least: number): void => {
    const crowd = find(mode, 'ADD', 30)
    if (crowd?.rateToLimit == null) return
    const control = find('limit-aa', 'ADD', 30)?.pairedRate
    const noise = control == null ? 0 : Math.max(1 - control.low, control.high - 1, 0)
    targets.push({
      what: `${mode} ADD, 30 at once, rate × limit`,
      target: `≥ ${least.toFixed(2)} − ${noise.toFixed(2)} noise`,
      measured: withPairs(crowd.rateToLimit, crowd.pairedRate),
      isMet: crowd.rateToLimit >= least - noise,
    })
  }
  rate('daemon', 1)
  rate(KUBERNETES, 0.95)
  if (daemon?.concurrency === 30) most('daemon, CPU of an ADD, 30 at once', 'ms', 1.5, daemon.cpuMsPerAdd)
  most('daemon, memory at idle', 'MiB', 80, daemon?.idleRssMiB)
  if (kubernetes !== undefined) {
    const { calls, networks, pods } = kubernetes
    if (kubernetes.concurrency === 30)
      most(`${KUBERNETES}, CPU of an ADD, 30 at once`, 'ms', 3, kubernetes.cpuMsPerAdd)
    most(`${KUBERNETES}, memory with ${networks} NADs and ${pods} pods`, 'MiB', 80, kubernetes.idleRssMiB)
    most(`${KUBERNETES}, reads for an ADD`, 'API calls', 0, calls.reads / calls.adds)
    most(`${KUBERNETES}, writes for an ADD`, 'API calls', 1, (calls.patches + calls.events) / calls.adds)
  }
  if (growth !== undefined) targets.push(judgeGrowth(growth.rss.map(({ rssMiB }) => rssMiB ?? 0)))
  most('shim, start to hello, p50', 'ms', 0.5, shim?.startToHelloMs.p50)
  most('shim, memory', 'KiB', 512, shim?.peakRssKiB)
  const errors = countErrors(report)
  targets.push({ what: 'errors', target: '0', measured: String(errors), isMet: errors === 0 })
  return targets
}

/** Requests that failed, in all of the run. */
export function countErrors({
  results,
  kubernetes,
  growth,
}: Pick<Report, 'results' | 'kubernetes' | 'growth'>): number {
  const rows = results.reduce((sum, { errors }) => sum + errors, 0)
  return rows + (kubernetes?.crowd.errors ?? 0) + (growth?.errors ?? 0)
}

/** The last quarter beside the second one: by then a heap has its size, and a leak of half the run shows. */
function judgeGrowth(points: readonly number[]): Target {
  const median = (from: number, to: number): number =>
    quantile(points.slice(Math.floor(points.length * from), Math.ceil(points.length * to)), 0.5) ?? 0
  const early = median(0.25, 0.5)
  const late = median(0.75, 1)
  return {
    what: 'daemon, memory in the last quarter of the cycles beside the second',
    target: `≤ ${1 + GROWTH_SHARE}`,
    measured: `${(late / early).toFixed(3)} (${early.toFixed(0)} → ${late.toFixed(0)} MiB)`,
    isMet: late <= early * (1 + GROWTH_SHARE),
  }
}

function withPairs(value: number, estimate: Estimate | null): string {
  return `${value.toFixed(3)}${estimate === null ? '' : `, paired ${formatEstimate(estimate)}`}`
}
