import type { BenchPod, Verb } from '../workload.ts'
import type { Daemons } from './daemons.ts'
import { drawFault, type Fault, inflict } from './faults.ts'
import type { ChaosNode } from './node.ts'
import { seededRandom } from './random.ts'
import { type ShimRun, startShim } from './shim-call.ts'
import type { Tally } from './tally.ts'

/** Tries of a DEL in which something may be killed, and all of them: by then it has to have succeeded. */
const DISTURBED_DELS = 3
const MOST_DELS = 10
/** A call that takes longer is stuck. The lock alone may take 30 s. */
const CALL_LIMIT_MS = 60_000

/** What the cycles share. */
export interface Chaos {
  readonly seed: number
  readonly node: ChaosNode
  readonly daemons: Daemons
  readonly tally: Tally
}

/** A sandbox's way: namespace, ADD, perhaps CHECK, DEL until it succeeds, each disturbed or not. */
export class Cycle {
  readonly pod: BenchPod
  readonly #chaos: Chaos
  readonly #number: number
  /** Whether the pod's next sandbox is made while this one is still being deleted. */
  readonly isForced: boolean
  // All drawn at once: how the calls end must not change what comes next.
  readonly #repeatsAdd: boolean
  readonly #checks: boolean
  readonly #losesNetns: boolean
  readonly #repeatsDel: boolean
  #calls = 0

  /** @param index Which of the pods it is a sandbox of. */
  constructor(chaos: Chaos, number: number, index: number) {
    this.#chaos = chaos
    this.#number = number
    const random = seededRandom(chaos.seed, number)
    this.isForced = random.chance(0.1)
    this.#repeatsAdd = random.chance(0.1)
    this.#checks = random.chance(0.15)
    this.#losesNetns = random.chance(0.1)
    this.#repeatsDel = random.chance(0.1)
    this.pod = chaos.node.pod(index)
  }

  async add(): Promise<void> {
    const { node, tally } = this.#chaos
    tally.history(this.pod.containerId, `cycle ${this.#number}`)
    await node.makeNetns(this.pod.netns)
    let run = await this.#call('ADD', true)
    // CRI-O and podman never do this, but nothing forbids it.
    if (run.ended !== 0 && this.#repeatsAdd) run = await this.#call('ADD', true)
    if (run.ended === 0 && this.#checks) await this.#call('CHECK', true)
  }

  /** As a kubelet: again until it succeeds. */
  async del(): Promise<void> {
    const { node, tally } = this.#chaos
    if (this.#losesNetns) await node.dropNetns(this.pod.netns)
    const begin = performance.now()
    let tries = 1
    while ((await this.#call('DEL', tries <= DISTURBED_DELS)).ended !== 0) {
      if (tries === MOST_DELS) {
        tally.stuck(this.pod.containerId, `DEL has failed ${tries} times`)
        break
      }
      tries += 1
    }
    tally.deleted(tries, performance.now() - begin)
    if (this.#repeatsDel) await this.#call('DEL', false)
    if (!this.#losesNetns) await node.dropNetns(this.pod.netns)
  }

  async #call(verb: Verb | 'CHECK', mayBeDisturbed: boolean): Promise<ShimRun> {
    const { seed, node, daemons, tally } = this.#chaos
    this.#calls += 1
    const random = seededRandom(seed, this.#number * 32 + this.#calls)
    const fault = drawFault(random, verb)
    const { epoch, isReady } = daemons
    const call = startShim(node.program(verb, this.pod), CALL_LIMIT_MS)
    const isHit = mayBeDisturbed && fault !== undefined && (await inflict(fault, call, daemons, random))
    const run = await call.finished
    const isUndisturbed = !isHit && isReady && daemons.epoch === epoch
    tally.history(this.pod.containerId, describe(verb, run, isHit ? fault : undefined))
    tally.called(verb, run, isHit ? fault?.kind : undefined)
    if (run.isStuck) tally.stuck(this.pod.containerId, `${verb} ran for ${CALL_LIMIT_MS / 1000} s`)
    else if (isUndisturbed && run.ended !== 0) {
      tally.unexpected(this.pod.containerId, `${verb} failed though nothing was killed: ${run.output}`)
    }
    return run
  }
}

function describe(verb: string, { ended, code, tookMs, output }: ShimRun, fault: Fault | undefined): string {
  const killed = fault === undefined ? '' : ` (${fault.kind} at ${fault.afterMs} ms)`
  const error = code === undefined ? '' : ` error ${code}: ${output.replaceAll('\n', ' ').slice(0, 300)}`
  return `${verb}${killed} ${ended === 0 ? 'ok' : ended} in ${Math.round(tookMs)} ms${error}`
}
