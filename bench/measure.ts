import { setTimeout as delay } from 'node:timers/promises'
import { LIMIT, type Mode } from './modes.ts'
import type { Runner } from './runner.ts'
import { quantile } from './statistics.ts'
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
  readonly errors: number
}

/** All requests of one mode and verb. */
interface Sample {
  readonly timesMs: number[]
  wallMs: number
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

/** Time for the kernel to take namespaces apart, and for a guard to end, before the next clock starts. */
const SETTLE_MS = 25
const SETTLE_POD_MS = 5

const VERBS: readonly Verb[] = ['ADD', 'DEL']

/**
 * Measures the modes in turns, in each round in the reverse order of the one before: a block of pods gets
 * its networks and loses them, then the next mode's. Each pod has a namespace of its own, made and removed
 * outside the clock. One round before the first is thrown away.
 */
export async function measure(
  runner: Runner,
  workload: Workload,
  { modes, concurrency, rounds, complain }: MeasureOptions,
): Promise<ResultRow[]> {
  const samples = new Map<string, Sample>()
  const sampleOf = (mode: Mode, verb: Verb): Sample => {
    const key = `${mode.name} ${verb}`
    const sample = samples.get(key) ?? { timesMs: [], wallMs: 0, errors: 0 }
    samples.set(key, sample)
    return sample
  }
  for (let round = -1; round < rounds; round++) {
    const order = round % 2 === 0 ? modes : modes.toReversed()
    const blocks = order.map((mode) => ({
      mode,
      pods: Array.from({ length: concurrency }, (_, index) => workload.pod(index)),
    }))
    const paths = blocks.flatMap(({ pods }) => pods.map(({ netns }) => netns))
    await runner.makeNamespaces(paths)
    await delay(SETTLE_MS)
    for (const { mode, pods } of blocks) {
      for (const verb of VERBS) {
        const sample = sampleOf(mode, verb)
        const errors = sample.errors
        const outcome = await runBlock(runner, mode, verb, pods, round < 0 ? undefined : sample)
        if (errors === 0 && outcome !== undefined) complain(`${mode.name} ${verb}: ${outcome}`)
        await delay(SETTLE_MS)
      }
    }
    await runner.dropNamespaces(paths)
    await delay(paths.length * SETTLE_POD_MS)
  }
  return VERBS.flatMap((verb) => {
    const limit = modes.find(({ name }) => name === LIMIT)
    const base = limit === undefined ? undefined : quantile(sampleOf(limit, verb).timesMs, 0.5)
    return modes.map((mode) => toRow(mode.name, verb, concurrency, sampleOf(mode, verb), base))
  })
}

/** @returns What the first request that failed said. */
async function runBlock(
  runner: Runner,
  mode: Mode,
  verb: Verb,
  pods: readonly BenchPod[],
  sample: Sample | undefined,
): Promise<string | undefined> {
  const block = await runner.run(pods.map((pod) => mode.programs(verb, pod, pods.length)))
  let fault: string | undefined
  for (const [index, pod] of pods.entries()) {
    const run = block.pods[index]
    if (run === undefined) continue
    mode.answered?.(verb, pod, run.outputs)
    if (run.failure !== undefined) {
      fault ??= `status ${run.failure.status}: ${(run.outputs[run.failure.index] ?? '').trim()}`
      if (sample !== undefined) sample.errors += 1
    } else sample?.timesMs.push(run.elapsedMs)
  }
  if (sample !== undefined) sample.wallMs += block.wallMs
  return fault
}

function toRow(
  mode: string,
  verb: Verb,
  concurrency: number,
  { timesMs, wallMs, errors }: Sample,
  limitMs: number | undefined,
): ResultRow {
  const p50Ms = quantile(timesMs, 0.5)
  return {
    mode,
    verb,
    concurrency,
    p50Ms: round(p50Ms, 2),
    p90Ms: round(quantile(timesMs, 0.9), 2),
    perSecond: round(wallMs === 0 ? 0 : (timesMs.length * 1000) / wallMs, 2) ?? 0,
    ratioToLimit: round(p50Ms === undefined || limitMs === undefined ? undefined : p50Ms / limitMs, 3),
    errors,
  }
}

function round(value: number | undefined, digits: number): number | null {
  return value === undefined ? null : Number(value.toFixed(digits))
}
