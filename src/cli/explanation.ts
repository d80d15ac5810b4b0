import type { CniError } from '../cni/cni-error.ts'
import { isJsonObject, type JsonObject, parseJson } from '../cni/json.ts'
import { redact, redactArgs } from '../cni/redact.ts'
import { delegateStdin } from '../engine/recorded-plan.ts'
import type { Pod } from '../network/pod.ts'
import { decideDefaultRoutes } from '../plan/default-route.ts'
import type { Plan, PlannedAttachment, PlannedPlugin } from '../plan/plan.ts'

/** What `plexus explain -o json` prints. Keys are only ever added. */
export interface Explanation {
  /** File of the net-conf, `null` when there was none. */
  readonly conf: string | null
  /** The cluster that was asked for what no file has; `null` when none was. */
  readonly cluster: { readonly source: string; readonly server: string } | null
  /** Whether no pod has a fault. */
  readonly isGood: boolean
  /** What was not looked at, and how to have it looked at. */
  readonly notes: readonly string[]
  /** What is odd in the net-conf. */
  readonly warnings: readonly string[]
  readonly pods: readonly ExplainedPod[]
}

/** The plan of one pod. Nothing of it would run while there is a fault. */
export interface ExplainedPod {
  /** `namespace/name` */
  readonly pod: string
  readonly uid: string | null
  readonly attachments: readonly ExplainedAttachment[]
  readonly defaultRoute: { readonly ipv4: DefaultRouteOwner; readonly ipv6: DefaultRouteOwner }
  readonly warnings: readonly string[]
  readonly faults: readonly ExplainedFault[]
}

/** Who has the default route of a family. */
export interface DefaultRouteOwner {
  /** `null` when the pod has no network at all. */
  readonly ifName: string | null
  /** Those the pod asked for; empty: what the network's own configuration makes. */
  readonly gateways: readonly string[]
  /** Whether the pod's annotation moved it. */
  readonly isRequested: boolean
}

export interface ExplainedAttachment {
  readonly index: number
  readonly ifName: string
  readonly isDefault: boolean
  /** False for a default network that nobody named. */
  readonly isKnown: boolean
  readonly network: string | null
  /** What network-status will call it. */
  readonly label: string | null
  readonly source: string
  readonly cniVersion: string | null
  readonly isOptional: boolean
  /** Limit of one call, when the pod asked for one. */
  readonly timeoutMs: number | null
  /** Interfaces of the pod that have to be there first. */
  readonly waitsFor: readonly string[]
  /** CNI_ARGS */
  readonly args: string
  readonly plugins: readonly ExplainedPlugin[]
  readonly reasons: readonly string[]
}

/** What one plugin gets. Secrets are redacted. */
interface ExplainedPlugin {
  readonly type: string
  readonly runtimeConfig: JsonObject
  /** Keys added to `args.cni`. */
  readonly cniArgs: JsonObject
  /** Further keys added: `deviceID`, `pciBusID`. */
  readonly extra: JsonObject
  /** stdin of ADD, but for `prevResult`. */
  readonly stdin: JsonObject
}

export interface ExplainedFault {
  readonly code: number
  readonly message: string
  readonly hint: string | null
  /** Single faults, when the message sums up several. */
  readonly faults: readonly string[]
}

/**
 * Puts a plan into the words of the document.
 *
 * @param known `openIfName`: interface of a default network that nobody named, which the plan does not have.
 */
export function explainedPod(
  pod: Pod,
  plan: Plan,
  known: { readonly clusterCIDRs: readonly string[]; readonly openIfName: string | undefined },
): ExplainedPod {
  const { openIfName } = known
  const ifNames = new Map(plan.attachments.map(({ index, ifName }) => [index, ifName]))
  const open = openIfName === undefined ? [] : [openDefault(openIfName)]
  const candidates = [
    ...(openIfName === undefined ? [] : [{ ifName: openIfName, isDefault: true, defaultRoute: undefined }]),
    ...plan.attachments,
  ]
  return {
    pod: `${pod.namespace}/${pod.name}`,
    uid: pod.uid ?? null,
    attachments: [...open, ...plan.attachments.map((attachment) => toExplained(attachment, ifNames))],
    defaultRoute: {
      ipv4: ownerOf(4, candidates, known.clusterCIDRs),
      ipv6: ownerOf(6, candidates, known.clusterCIDRs),
    },
    warnings: plan.warnings,
    faults: toExplainedFaults(plan.faults),
  }
}

/** Faults as the document has them. */
export function toExplainedFaults(faults: readonly CniError[]): ExplainedFault[] {
  return faults.map(({ code, message, hint, faults: single }) => ({
    code,
    message,
    hint: hint ?? null,
    faults: single,
  }))
}

function toExplained(
  attachment: PlannedAttachment,
  ifNames: ReadonlyMap<number, string>,
): ExplainedAttachment {
  const { index, ifName, isDefault, network, label, source, cniVersion, reasons } = attachment
  return {
    index,
    ifName,
    isDefault,
    isKnown: true,
    network,
    label,
    source,
    cniVersion,
    isOptional: attachment.isOptional,
    timeoutMs: attachment.timeoutMs ?? null,
    waitsFor: attachment.waitsFor.flatMap((other) => ifNames.get(other) ?? []),
    args: redactArgs(attachment.args),
    plugins: attachment.plugins.map((plugin) => toExplainedPlugin(attachment, plugin)),
    reasons,
  }
}

function toExplainedPlugin(attachment: PlannedAttachment, plugin: PlannedPlugin): ExplainedPlugin {
  const { type, runtimeConfig, cniArgs, extra } = plugin
  return {
    type,
    runtimeConfig: redactObject(runtimeConfig),
    cniArgs: redactObject(cniArgs),
    extra: redactObject(extra),
    stdin: redactObject(parseJson(delegateStdin(attachment, plugin, { isPodRequest: true }), 'stdin')),
  }
}

function redactObject(value: unknown): JsonObject {
  const redacted = redact(value)
  return isJsonObject(redacted) ? redacted : {}
}

function openDefault(ifName: string): ExplainedAttachment {
  return {
    index: 0,
    ifName,
    isDefault: true,
    isKnown: false,
    network: null,
    label: null,
    source: 'the default network of the node',
    cniVersion: null,
    isOptional: false,
    timeoutMs: null,
    waitsFor: [],
    args: '',
    plugins: [],
    reasons: ['every pod gets the default network first; without a net-conf it is not known here'],
  }
}

/** The engine decides once the results are known; before that, what the pod asked for decides. */
function ownerOf(
  family: 4 | 6,
  attachments: readonly Pick<PlannedAttachment, 'ifName' | 'isDefault' | 'defaultRoute'>[],
  clusterCIDRs: readonly string[],
): DefaultRouteOwner {
  const result = { version: '1.0.0', interfaces: [], ips: [], routes: [], dns: {} } as const
  const candidates = attachments.map(({ ifName, isDefault, defaultRoute }) => ({
    ifName,
    isDefault,
    defaultRoute,
    result: { ...result, interfaces: [], ips: [], routes: [] },
  }))
  const { change } = decideDefaultRoutes(candidates, clusterCIDRs)
  const moved = change.find((entry) => entry.family === family)
  if (moved?.owner !== undefined) return { ifName: moved.owner, gateways: moved.gateways, isRequested: true }
  const own = attachments.find(({ isDefault }) => isDefault)
  return { ifName: own?.ifName ?? null, gateways: [], isRequested: false }
}
