import { daemonMode } from './daemon-mode.ts'
import { KUBERNETES, kubernetesMode } from './kubernetes-mode.ts'
import type { Recording } from './recording.ts'
import type { Program } from './runner.ts'
import { type BenchPod, pluginCall, type Verb, type Workload } from './workload.ts'

/** Delays of a daemon's event loop, milliseconds; `null` what it does not tell. */
export interface LoopDelay {
  readonly p50: number | null
  readonly p90: number | null
  readonly p99: number | null
  readonly max: number | null
}

/** A process that serves the requests of a mode. */
interface Service {
  readonly pid: number
  /** Since it was last asked. */
  loopDelay(): Promise<LoopDelay>
}

/** A way to give pods their networks. */
export interface Mode {
  readonly name: string
  /** It takes part in each so many rounds only: what is slow and far from the limit needs fewer. */
  readonly every?: number
  /** It is left out when more pods are started at once. */
  readonly mostAtOnce?: number
  readonly service?: Service
  /** How long its service works on after its answers; by default a moment. */
  readonly settleMs?: number
  /** Called before its first block, outside the clock. */
  start?(): Promise<void>
  /** Called once, whatever happened. */
  stop?(): Promise<void>
  /**
   * What a runtime would start for one pod, one after the other.
   * @param blockSize How many pods are started at once.
   */
  programs(verb: Verb, pod: BenchPod, blockSize: number): readonly Program[]
  /** What they printed. */
  answered?(verb: Verb, pod: BenchPod, outputs: readonly string[]): void
}

/** What a mode is made of. */
export interface ModeContext {
  readonly workload: Workload
  readonly recording: Recording
  /** The repository's `bin/plexus`. */
  readonly plexus: string
}

/** Every mode by its name; a new one is one more entry. */
export const MODES: Readonly<Record<string, (context: ModeContext) => Mode>> = {
  limit: (context) => delegatesAlone('limit', context),
  standalone: ({ workload, plexus }) => ({
    name: 'standalone',
    every: 4,
    mostAtOnce: 30,
    programs: (verb, pod, blockSize) => [
      pluginCall(workload, verb, pod, { executable: plexus, manifests: workload.manifests(blockSize) }),
    ],
  }),
  daemon: (context) => daemonMode('daemon', context),
  'daemon-parallel': (context) => daemonMode('daemon-parallel', context, { conf: { parallel: true } }),
  [KUBERNETES]: kubernetesMode,
  'limit-aa': (context) => delegatesAlone('limit-aa', context),
}

/** Modes that are measured unless others are asked for: what needs an API server is not. */
export const USUAL_MODES = Object.keys(MODES).filter((name) => name !== KUBERNETES)

/** The mode that the others are compared with; always measured. */
export const LIMIT = 'limit'

/** The delegates alone: same programs, environment and stdin, and nobody in between. */
function delegatesAlone(name: string, { recording }: ModeContext): Mode {
  const outputsOf = new Map<string, readonly string[]>()
  return {
    name,
    programs: (verb, pod) =>
      verb === 'ADD' ? recording.add(pod) : recording.del(pod, outputsOf.get(pod.containerId) ?? []),
    answered(verb, pod, outputs) {
      if (verb === 'ADD') outputsOf.set(pod.containerId, outputs)
      else outputsOf.delete(pod.containerId)
    },
  }
}
