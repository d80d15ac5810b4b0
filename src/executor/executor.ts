import { CniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import type { HostFacts } from '../plan/host-facts.ts'
import type { DefaultRouteChange } from '../plan/route-change.ts'

/** One call of one delegate's plugin. */
export interface DelegateCall {
  readonly command: 'ADD' | 'DEL' | 'CHECK' | 'GC' | 'STATUS' | 'VERSION'
  /** Plugin type; never a path. */
  readonly type: string
  readonly containerId: string
  readonly netns: string
  readonly ifName: string
  /** CNI_ARGS in strict form. */
  readonly args: string
  /** The whole config, JSON. */
  readonly stdin: string
  readonly timeoutMs: number
  /** Directories searched after the executor's own: those that the ADD of a DEL had. */
  readonly searchAlso?: readonly string[]
}

/** How a delegate's call ended. */
export interface DelegateExit {
  /** Exit status; `undefined` when a signal ended it. */
  readonly status: number | undefined
  readonly signal: string | undefined
  readonly stdout: string
  readonly stderr: string
  /** Why Plexus itself ended the delegate; `undefined` when it ended on its own. */
  readonly ended: 'timeout' | 'output' | 'cancelled' | undefined
  readonly durationMs: number
}

/** The place where delegates run is lost: whether the call has begun, or had effects, cannot be known. */
export class ExecutorLostError extends CniError {}

/** A call of a series that was not started, because the one before it failed or the time was over. */
export class DroppedError extends CniError {}

/** @returns The error of a call that was not started. */
export function dropped({ type }: Pick<DelegateCall, 'type'>): DroppedError {
  return new DroppedError(CniErrorCode.TryAgainLater, `plugin "${type}" was not started`)
}

/** Whether a call ended as a plugin's success does (CNI-097). */
export function hasSucceeded({ status, ended }: DelegateExit): boolean {
  return status === 0 && ended === undefined
}

/** Calls that need nothing of each other's answers, one after another, the last ones together if wished. */
export interface CallSeries {
  readonly calls: readonly DelegateCall[]
  /** `success`: after a call that failed nothing more is started. `end`: the next starts whatever became of it. */
  readonly next: 'success' | 'end'
  /** How many of the last calls start together, when the one before them lets the first of them start. */
  readonly together?: number
  /** Milliseconds for all of them: what runs then is ended, the rest is not started. */
  readonly withinMs: number
  /** Ends what runs when aborted; the rest is not started. */
  readonly signal?: AbortSignal
  /** Told of the calls, by their places in the list, before they may start: one by one, or all when the executor is elsewhere. */
  readonly starting?: (indexes: readonly number[]) => void
}

/** Runs delegates for one request, in the place where the runtime's plugins run. */
export interface Executor {
  /** @param types Plugin types whose executables are looked up. */
  probe(netns: string, types: readonly string[]): Promise<HostFacts>
  /**
   * @throws {CniError} PluginNotFound (CNI-091), TryAgainLater when the executable stays busy (CNI-099),
   * Io when it cannot be started.
   * @param signal Ends the delegate when aborted.
   */
  exec(call: DelegateCall, signal?: AbortSignal): Promise<DelegateExit>
  /**
   * A series handed over at once, so that no call waits for us.
   *
   * @returns A promise for each call, in their order; one that rejects with {@link DroppedError} was not started.
   * The others are as of {@link exec}. None needs a handler of its own.
   */
  execSeries(series: CallSeries): readonly Promise<DelegateExit>[]
  /** Identity of a netns path as {@link HostFacts.netnsId}. */
  netnsId(netns: string): Promise<string | undefined>
  /**
   * Moves the default route in the netns, verified afterwards; on failure the routes are as before.
   *
   * @throws {CniError} RouteChange.
   */
  changeRoutes(netns: string, change: DefaultRouteChange): Promise<void>
}
