import { CniError } from '../cni/cni-error.ts'
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
  /** Identity of a netns path as {@link HostFacts.netnsId}. */
  netnsId(netns: string): Promise<string | undefined>
  /**
   * Moves the default route in the netns, verified afterwards; on failure the routes are as before.
   *
   * @throws {CniError} RouteChange.
   */
  changeRoutes(netns: string, change: DefaultRouteChange): Promise<void>
}
