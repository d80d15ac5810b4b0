import type { ShimRun } from './shim-call.ts'

/** What a run of chaos found. */
export interface ChaosReport {
  readonly seed: number
  readonly cycles: number
  readonly seconds: number
  /** How the calls of each verb ended: `ok`, `error 11`, `SIGKILL` and so on, with how often. */
  readonly ended: Readonly<Record<string, Readonly<Record<string, number>>>>
  /** What was killed, and in how many calls it hit. */
  readonly kills: Readonly<Record<string, number>>
  readonly daemonStarts: number
  /** Tries until a DEL succeeded, and how often it took so many. */
  readonly delTries: Readonly<Record<string, number>>
  /** From the first DEL of a sandbox to the one that succeeded. */
  readonly longestDelMs: number
  /** What was there at the end, with what had happened to its sandbox. */
  readonly leaks: readonly string[]
  /** Leases in which host-local, killed, wrote no holder: no DEL can find them. */
  readonly emptyLeases: number
  /** What did not end in its bound of tries or time. */
  readonly stuck: readonly string[]
  /** What failed with nothing killed, and daemons that ended by themselves. */
  readonly unexpected: readonly string[]
}

type Counts = Record<string, number>

/** Counts, and remembers what happened to each sandbox. */
export class Tally {
  readonly #begin = performance.now()
  readonly #histories = new Map<string, string[]>()
  readonly #ended: Record<string, Counts> = {}
  readonly #kills: Counts = {}
  readonly #delTries: Counts = {}
  readonly #stuck: string[] = []
  readonly #unexpected: string[] = []
  #longestDelMs = 0

  history(containerId: string, event: string): void {
    const events = this.#histories.get(containerId)
    if (events === undefined) this.#histories.set(containerId, [event])
    else events.push(event)
  }

  called(verb: string, { ended, code }: ShimRun, killed: string | undefined): void {
    const how = ended === 0 ? 'ok' : typeof ended === 'string' ? ended : `error ${code ?? 'unknown'}`
    this.#ended[verb] = addOne(this.#ended[verb], how)
    if (killed !== undefined) addOne(this.#kills, killed)
  }

  deleted(tries: number, tookMs: number): void {
    addOne(this.#delTries, String(tries))
    this.#longestDelMs = Math.max(this.#longestDelMs, tookMs)
  }

  stuck(containerId: string, what: string): void {
    this.#stuck.push(`${what}: ${this.#told(containerId)}`)
  }

  unexpected(containerId: string, what: string): void {
    this.#unexpected.push(`${what}: ${this.#told(containerId)}`)
  }

  /** @param leaks Each is told with the history of the sandbox whose id is in it. */
  report(
    run: Pick<ChaosReport, 'seed' | 'cycles' | 'daemonStarts' | 'leaks' | 'emptyLeases'> & {
      daemonFaults: readonly string[]
    },
  ): ChaosReport {
    const { daemonFaults, leaks, ...rest } = run
    return {
      ...rest,
      seconds: Math.round((performance.now() - this.#begin) / 100) / 10,
      ended: this.#ended,
      kills: this.#kills,
      delTries: this.#delTries,
      longestDelMs: Math.round(this.#longestDelMs),
      leaks: leaks.map((leak) => {
        const id = /[0-9a-f]{64}/.exec(leak)?.[0]
        return id === undefined ? leak : `${leak}: ${this.#told(id)}`
      }),
      stuck: this.#stuck,
      unexpected: [...this.#unexpected, ...daemonFaults],
    }
  }

  #told(containerId: string): string {
    return [containerId.slice(0, 12), ...(this.#histories.get(containerId) ?? [])].join(' | ')
  }
}

function addOne(counts: Counts = {}, what: string): Counts {
  counts[what] = (counts[what] ?? 0) + 1
  return counts
}
