import type { CniRequest } from '../cni/request.ts'
import type { NetConf } from '../config/net-conf.ts'
import type { Executor } from '../executor/executor.ts'
import type { Journal } from '../journal/journal.ts'
import type { ClusterStore } from '../store/cluster-store.ts'
import type { ConfFile } from '../store/conf-files.ts'

/** What one request works with. The caller holds the container's lock (GC: the lock of all). */
export interface EngineContext {
  readonly request: CniRequest
  readonly conf: NetConf
  readonly executor: Executor
  readonly journal: Journal
  /** `undefined` when the net-conf names no cluster. */
  readonly store: ClusterStore | undefined
  /** A conf file that is watched, as it was last valid: nothing is read anew for it. */
  readonly knownFile?: ((path: string) => ConfFile | undefined) | undefined
  /** Aborted when the runtime wants the call to end. */
  readonly signal: AbortSignal
  /** Milliseconds on a clock that never jumps. */
  readonly now: () => number
  /** When the request came, on that clock: what waited for a lock or a turn is part of its time. */
  readonly startedAt: number
  /** Tells what we went on without; never throws. */
  readonly warn: (message: string) => void
  /** Told of every call of a plugin when it is over; never throws. */
  readonly called: (report: CallReport) => void
  /** How long an answer may wait for a publication that is done later. */
  readonly publishWaitMs: number
  /**
   * Does what the runtime need not wait for: after the answer where there is an "after", else at once. Tasks run
   * in their order; a process that dies before one has not done it.
   */
  readonly afterAnswer: (task: () => void | Promise<void>) => Promise<void>
}

/** One call of one plugin, for `show` and the log. Milliseconds. */
export interface CallReport {
  readonly network: string
  readonly plugin: string
  readonly command: string
  readonly ifName: string
  /** Since the request began. */
  readonly startMs: number
  readonly durationMs: number
  /** CNI error code of a call that failed. */
  readonly error?: number
}
