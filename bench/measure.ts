import { setTimeout as delay } from 'node:timers/promises'
import { LIMIT, type LoopDelay, type Mode } from './modes.ts'
import { cpuMs } from './process-cost.ts'
import type { Block, Runner } from './runner.ts'
import { type Estimate, estimateMedian, quantile, rounded } from './statistics.ts'
import { makeTurns } from './turns.ts'
import type { BenchPod, Verb, Workload } from './workload.ts'

/** One line of the outcome. */
export interface ResultRow {
  readonly mode: string
  readonly verb: Verb
  /** How many pods are started at once. */
  readonly concurrency: number
  readonly p50Ms: number | null
  readonly p90Ms: number | null
  /** Requests answered in a second while a block runs. */
  readonly perSecond: number
  /** p50 as a multiple of the limit's. */
  readonly ratioToLimit: number | null
  /** perSecond as a multiple of the limit's. */
  readonly rateToLimit: number | null
  /** Of each round's median as a multiple of the limit's in the same round. */
  readonly pairedRatio: Estimate | null
  /** Of each round's rate as a multiple of the limit's in the same round. */
  readonly pairedRate: Estimate | null
  readonly errors: number
  /** Of the daemon, for each request; only modes with one have it. */
  readonly cpuMsPerRequest?: number | null
  /** Of the daemon's event loop: p50, p90 and p99 are medians over the blocks, max is of all. */
  readonly eventLoopDelayMs?: LoopDelay
}

/** What one block of one round came to. */
interface BlockSample {
  readonly round: number
  readonly timesMs: readonly number[]
  readonly wallMs: number
  readonly cpuMs: number | undefined
  readonly loopDelay: LoopDelay | undefined
}

/** All blocks of one mode and verb. */
interface Sample {
  readonly blocks: BlockSample[]
  errors: number
}

/** What {@link measure} goes by. */
export interface MeasureOptions {
  readonly modes: readonly Mode[]
  readonly concurrency: number
  /** Blocks of each mode. */
  readonly rounds: number
  /** Told the first failure of each mode. */
  readonly complain: (message: string) => void
}

/** Time for what a block leaves behind, such as a guard, to end before the next clock starts. */
const SETTLE_MS = 25

const VERBS: readonly Verb[] = ['ADD', 'DEL']

/**
 * Measures the modes in turns: a block of pods gets its networks and loses them, then the next mode's, in an
 * order of which nobody has the best place. Each pod has a namespace of its own, made and removed outside the
 * clock; no clock runs before the kernel has taken those of the last block apart. One round before the first
 * is thrown away.
 */
export async function measure(
  runner: Runner,
  workload: Workload,
  { modes, concurrency, rounds, complain }: MeasureOptions,
): Promise<ResultRow[]> {
  const taking = modes.filter(({ mostAtOnce = Number.POSITIVE_INFINITY }) => concurrency <= mostAtOnce)
  const samples = new Map<string, Sample>()
  const sampleOf = (name: string, verb: Verb): Sample => {
    const key = `${name} ${verb}`
    const sample = samples.get(key) ?? { blocks: [], errors: 0 }
    samples.set(key, sample)
    return sample
  }
  const complained = new Set<string>()
  const takeTurns = makeTurns()
  for (let round = -1; round < rounds; round++) {
    const present = taking.filter(({ every = 1 }) => round < 0 || round % every === 0)
    for (const mode of round < 0 ? present : takeTurns(present)) {
      const pods = Array.from({ length: concurrency }, (_, index) => workload.pod(index))
      const paths = pods.map(({ netns }) => netns)
      await runner.makeNamespaces(paths)
      await delay(SETTLE_MS)
      for (const verb of VERBS) {
        const { block, fault, errors } = await runBlock(runner, mode, verb, pods, round)
        const key = `${mode.name} ${verb}`
        if (fault !== undefined && !complained.has(key)) complain(`${key}: ${fault}`)
        if (fault !== undefined) complained.add(key)
        if (round < 0) continue
        const sample = sampleOf(mode.name, verb)
        sample.blocks.push(block)
        sample.errors += errors
      }
      await runner.dropNamespaces(paths)
      await runner.drain(workload.pod(0).netns)
    }
  }
  return VERBS.flatMap((verb) => {
    const limit = sampleOf(LIMIT, verb)
    return taking.map(({ name }) => toRow({ mode: name, verb, concurrency }, sampleOf(name, verb), limit))
  })
}

async function runBlock(
  runner: Runner,
  mode: Mode,
  verb: Verb,
  pods: readonly BenchPod[],
  round: number,
): Promise<{ block: BlockSample; fault: string | undefined; errors: number }> {
  const { service } = mode
  // One request alone would find the daemon warm from this question.
  const isAsked = service !== undefined && pods.length > 1
  if (isAsked) {
    await service.loopDelay()
    await delay(SETTLE_MS)
  }
  const programs = pods.map((pod) => mode.programs(verb, pod, pods.length))
  const cpuBeforeMs = service && cpuMs(service.pid)
  const outcome = await runner.run(programs)
  // What a daemon does after its answer is its cost as well.
  await delay(mode.settleMs ?? SETTLE_MS)
  const cpuAfterMs = service && cpuMs(service.pid)
  const loopDelay = isAsked ? await service.loopDelay() : undefined
  if (isAsked) await delay(SETTLE_MS)
  for (const [index, pod] of pods.entries()) mode.answered?.(verb, pod, outcome.pods[index]?.outputs ?? [])
  const failed = outcome.pods.filter(({ failure }) => failure !== undefined)
  return {
    block: {
      round,
      timesMs: outcome.pods.flatMap(({ failure, elapsedMs }) => (failure === undefined ? [elapsedMs] : [])),
      wallMs: outcome.wallMs,
      cpuMs:
        cpuBeforeMs === undefined || cpuAfterMs === undefined
          ? undefined
          : (cpuAfterMs - cpuBeforeMs) / pods.length,
      loopDelay,
    },
    fault: firstFault(outcome),
    errors: failed.length,
  }
}

/** @returns What the first request that failed said. */
function firstFault({ pods }: Block): string | undefined {
  for (const { failure, outputs } of pods) {
    if (failure !== undefined) return `status ${failure.status}: ${(outputs[failure.index] ?? '').trim()}`
  }
  return undefined
}

function toRow(
  head: Pick<ResultRow, 'mode' | 'verb' | 'concurrency'>,
  { blocks, errors }: Sample,
  limit: Sample,
): ResultRow {
  const timesMs = blocks.flatMap((block) => block.timesMs)
  const p50Ms = quantile(timesMs, 0.5)
  const limitMs = quantile(
    limit.blocks.flatMap((block) => block.timesMs),
    0.5,
  )
  const perSecond = rateOf(blocks)
  const limitPerSecond = rateOf(limit.blocks)
  const loopDelay = poolLoopDelays(blocks.flatMap((block) => block.loopDelay ?? []))
  const cpu = blocks.flatMap((block) => block.cpuMs ?? [])
  return {
    ...head,
    p50Ms: rounded(p50Ms, 2),
    p90Ms: rounded(quantile(timesMs, 0.9), 2),
    perSecond: rounded(perSecond, 2) ?? 0,
    ratioToLimit: rounded(ratio(p50Ms, limitMs), 3),
    rateToLimit: rounded(ratio(perSecond, limitPerSecond), 3),
    pairedRatio: pair(blocks, limit.blocks, (block) => quantile(block.timesMs, 0.5)),
    pairedRate: pair(blocks, limit.blocks, (block) => rateOf([block])),
    errors,
    ...(cpu.length === 0
      ? {}
      : { cpuMsPerRequest: rounded(cpu.reduce((sum, value) => sum + value, 0) / cpu.length, 3) }),
    ...(loopDelay === undefined ? {} : { eventLoopDelayMs: loopDelay }),
  }
}

function rateOf(blocks: readonly BlockSample[]): number {
  const answered = blocks.reduce((sum, { timesMs }) => sum + timesMs.length, 0)
  const wallMs = blocks.reduce((sum, block) => sum + block.wallMs, 0)
  return wallMs === 0 ? 0 : (answered * 1000) / wallMs
}

function ratio(value: number | undefined, base: number | undefined): number | undefined {
  return value === undefined || base === undefined || base === 0 ? undefined : value / base
}

/** Compares what stood in the same round, a second or two apart: what slows all down for a while cancels out. */
function pair(
  blocks: readonly BlockSample[],
  bases: readonly BlockSample[],
  read: (block: BlockSample) => number | undefined,
): Estimate | null {
  const baseOf = new Map(bases.map((base) => [base.round, read(base)]))
  const estimate = estimateMedian(
    blocks.flatMap((block) => ratio(read(block), baseOf.get(block.round)) ?? []),
  )
  if (estimate === undefined) return null
  return {
    median: Number(estimate.median.toFixed(3)),
    low: Number(estimate.low.toFixed(3)),
    high: Number(estimate.high.toFixed(3)),
  }
}

function poolLoopDelays(delays: readonly LoopDelay[]): LoopDelay | undefined {
  if (delays.length === 0) return undefined
  const median = (key: keyof LoopDelay): number | null =>
    rounded(
      quantile(
        delays.flatMap((one) => one[key] ?? []),
        0.5,
      ),
      2,
    )
  const highest = delays.reduce((most, { max }) => Math.max(most, max ?? 0), 0)
  return { p50: median('p50'), p90: median('p90'), p99: median('p99'), max: rounded(highest, 2) }
}
