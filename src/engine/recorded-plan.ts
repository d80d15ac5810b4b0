import type { PodIdentity } from '../cni/cni-args.ts'
import { injectConf } from '../cni/delegate-conf.ts'
import { isJsonObject, type JsonObject } from '../cni/json.ts'
import { isAtLeast } from '../cni/version.ts'
import { type ExecFields, ExecMode } from '../executor/frame.ts'
import type { NetworkStatusEntry } from '../network/network-status.ts'
import type { PlannedAttachment, PlannedPlugin } from '../plan/plan.ts'
import type { Publication } from '../store/cluster-store.ts'
import type { CallReport } from './engine.ts'

/** An attachment as the journal keeps it: the plan, and the ids of its calls. */
export interface RecordedAttachment extends PlannedAttachment {
  readonly calls: readonly number[]
}

/** Meta JSON of the journal's `planned` frame. */
export interface PlannedMeta {
  readonly containerId: string
  readonly ifName: string
  readonly netns: string
  readonly netnsId: string
  /** `name` of our own net-conf. */
  readonly name: string
  readonly cniVersion: string
  readonly pod: PodIdentity | undefined
  /** Directories of plugins at ADD; DEL searches them after its own. */
  readonly searchPath: readonly string[]
  /** ISO 8601, UTC; for people: a clock may be set. */
  readonly time: string
  /** Microseconds since the node was started: of two records of a boot the later one has more. Absent in records of before. */
  readonly uptimeUs?: number
  readonly attachments: readonly RecordedAttachment[]
}

/** Meta JSON of the journal's `complete` frame. */
export interface CompleteMeta {
  /** For each attachment that is up: its index and the prevResult of CHECK, in its own version. */
  readonly results: readonly { readonly index: number; readonly prevResult: JsonObject }[]
  readonly networkStatus: readonly NetworkStatusEntry[]
  /** What is wrong with each optional network that is left out; absent in records of before. */
  readonly missing?: readonly string[]
  /** The mark of the network-status that the pod had before; absent when it was not known. */
  readonly replaces?: string
  readonly calls: readonly CallReport[]
  readonly warnings: readonly string[]
  readonly durationMs: number
}

/** What the cluster is told of a pod that is attached. */
export function toPublication(
  { namespace, name, uid }: PodIdentity,
  containerId: string,
  time: string,
  { networkStatus, missing, replaces }: CompleteMeta,
): Publication {
  return {
    namespace,
    name,
    ...(uid === undefined ? {} : { uid }),
    containerId,
    networkStatus: [...networkStatus],
    time,
    ...(missing === undefined ? {} : { missing }),
    ...(replaces === undefined ? {} : { replaces }),
  }
}

/** A plugin's whole stdin; what is absent from `injected` is not there. CNI-070 to CNI-080. */
export function delegateStdin(
  attachment: PlannedAttachment,
  plugin: PlannedPlugin,
  injected: { readonly prevResult?: unknown; readonly isPodRequest: boolean; readonly extra?: JsonObject },
): string {
  const { conf, runtimeConfig, cniArgs, extra } = plugin
  const list = { name: attachment.network, cniVersion: attachment.cniVersion }
  return JSON.stringify(
    injected.isPodRequest
      ? injectConf(conf, list, { runtimeConfig, cniArgs, extra, prevResult: injected.prevResult })
      : injectConf(conf, list, { extra: injected.extra }),
  )
}

/**
 * The DEL of one recorded plugin call. Lists below 0.4.0 get no prevResult (CNI-072).
 *
 * @param prevResult Final result of the attachment's ADD; `undefined` before it succeeded.
 */
export function undoExec(
  attachment: PlannedAttachment,
  plugin: PlannedPlugin,
  call: {
    readonly id: number
    readonly containerId: string
    readonly netns: string
    readonly timeoutMs: number
  },
  prevResult: unknown,
): ExecFields {
  const isKnown = prevResult !== undefined && isAtLeast(attachment.cniVersion, '0.4.0')
  return {
    ...call,
    // DELs go on whatever became of the one before.
    mode: ExecMode.afterEnd,
    type: plugin.type,
    command: 'DEL',
    ifName: attachment.ifName,
    args: attachment.args,
    stdin: delegateStdin(attachment, plugin, { isPodRequest: true, ...(isKnown ? { prevResult } : {}) }),
  }
}

/** Reads the `planned` meta back; `undefined` when it is not what we write. */
export function readPlannedMeta(meta: JsonObject | undefined): PlannedMeta | undefined {
  if (meta === undefined || !Array.isArray(meta.attachments) || !meta.attachments.every(isJsonObject))
    return undefined
  if (typeof meta.containerId !== 'string' || typeof meta.ifName !== 'string') return undefined
  return meta as unknown as PlannedMeta
}

/** Reads the `complete` meta back; `undefined` when it is not what we write. */
export function readCompleteMeta(meta: JsonObject | undefined): CompleteMeta | undefined {
  if (meta === undefined || !Array.isArray(meta.results) || !Array.isArray(meta.networkStatus))
    return undefined
  return meta as unknown as CompleteMeta
}
