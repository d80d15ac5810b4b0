import { isDeepStrictEqual } from 'node:util'
import { CniError, toCniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import type { JsonObject } from '../cni/json.ts'
import { redact, redactArgs } from '../cni/redact.ts'
import type { CallReport } from '../engine/engine.ts'
import type { RecordedAttachment } from '../engine/recorded-plan.ts'
import { pendingUndo } from '../journal/record.ts'
import type { NetworkStatusEntry } from '../network/network-status.ts'
import type { Pod } from '../network/pod.ts'
import {
  readSandboxRecords,
  recordsOfPod,
  type SandboxRecord,
  type SandboxState,
} from '../node/sandbox-records.ts'
import { manifestStore } from '../store/manifests.ts'
import { readStatus } from '../store/status-files.ts'
import type { ClusterOptions } from './asked-cluster.ts'
import { attachmentOutcome } from './attachment-outcome.ts'
import { askCluster, type ClusterAnswer } from './cluster-answer.ts'
import { ExitCode } from './failure.ts'
import { formatDocument, type OutputFormat, type Styler } from './output.ts'
import { showText } from './show-text.ts'

/** What `plexus show` is told. */
export interface ShowOptions extends ClusterOptions {
  readonly pod: PodName
  readonly stateDir: string
  /** Folders of manifests, to tell why a pod is not there; with them no cluster is asked. */
  readonly manifests: readonly string[]
  readonly format: OutputFormat
  readonly style: Styler
  readonly write: (text: string) => void
}

export interface PodName {
  readonly namespace: string
  readonly name: string
}

/** One attachment of a pod. `null`: not known. Secrets are redacted. */
interface ShownAttachment {
  readonly ifName: string
  readonly network: string
  /** What network-status calls it. */
  readonly label: string
  readonly source: string
  readonly cniVersion: string
  readonly isDefault: boolean
  readonly isAttached: boolean
  readonly addresses: readonly string[]
  readonly macs: readonly string[]
  readonly gateways: readonly string[]
  /** CNI_ARGS */
  readonly args: string
  /** Type, configuration as written, and what was added to it. */
  readonly plugins: readonly JsonObject[]
  readonly reasons: readonly string[]
}

/** One sandbox of a pod: normally there is exactly one. */
export interface ShownSandbox {
  readonly containerId: string
  /** The runtime's interface name. */
  readonly ifName: string
  readonly netns: string | null
  readonly state: SandboxState
  readonly time: string | null
  readonly durationMs: number | null
  readonly failedDels: number
  /** Plugin calls that still have to be undone after a DEL that failed. */
  readonly pendingUndo: readonly { readonly plugin: string; readonly ifName: string }[]
  readonly attachments: readonly ShownAttachment[]
  /** Calls of ADD in the order of their ends. */
  readonly calls: readonly CallReport[]
  readonly file: string
  readonly problem: string | null
  readonly hint: string | null
}

/** The pod as the API server has it. */
export interface ShownInCluster extends ClusterAnswer {
  /** `null` when it could not be asked. */
  readonly isPodKnown: boolean | null
  readonly podUid: string | null
  /** Whether it is the pod that the journal tells of; `null` when one of them tells of none. */
  readonly isSamePod: boolean | null
  /** `null` when the pod has none. */
  readonly networkStatus: readonly NetworkStatusEntry[] | null
  /** Whether that is what the journal has; `null` when the journal has none or the cluster was not asked. */
  readonly isAsRecorded: boolean | null
}

/** What `plexus show -o json` prints: the newest usable sandbox, and older ones in `others`. */
export interface ShownPod extends Partial<ShownSandbox> {
  /** `namespace/name` */
  readonly pod: string
  readonly podUid: string | null
  readonly networkStatus: readonly NetworkStatusEntry[]
  /** Where `networkStatus` is from; `null` when there is none. */
  readonly networkStatusSource: 'journal' | 'published file' | 'cluster' | null
  /** What the cluster says of it; `null` when none was asked. */
  readonly cluster: ShownInCluster | null
  readonly others: readonly ShownSandbox[]
}

/**
 * `plexus show NAMESPACE/POD`: what one pod has, from the journal, and beside it what its network-status in
 * the cluster says; its network-status from the published file, or the cluster, when the journal has none.
 * The exit code is 1 when the cluster could not be asked.
 *
 * @throws {CniError} InvalidNetworkConfig when nothing is known of the pod; Io when what is known cannot be
 *   read.
 */
export async function show(options: ShowOptions): Promise<number> {
  const { format, style, write } = options
  const shown = await readPod(options)
  write(formatDocument(shown, format, (document) => showText(document, style)))
  return (shown.cluster?.problem ?? null) === null ? ExitCode.good : ExitCode.finding
}

async function readPod(options: ShowOptions): Promise<ShownPod> {
  const { pod, stateDir } = options
  const [first, ...others] = recordsOfPod(readSandboxRecords(stateDir), pod.namespace, pod.name)
  const recorded = first?.complete?.networkStatus
  const published = recorded === undefined ? await readStatus(stateDir, pod.namespace, pod.name) : undefined
  const cluster = await readCluster(options, first?.meta?.pod?.uid, recorded)
  const inCluster = cluster?.networkStatus ?? undefined
  const networkStatus = recorded ?? published ?? inCluster
  if (first === undefined && networkStatus === undefined) throw await notFound(options, cluster)
  return {
    pod: `${pod.namespace}/${pod.name}`,
    podUid: first?.meta?.pod?.uid ?? cluster?.podUid ?? null,
    ...(first === undefined ? { attachments: [], calls: [] } : toShown(first)),
    networkStatus: networkStatus ?? [],
    networkStatusSource:
      recorded !== undefined
        ? 'journal'
        : published !== undefined
          ? 'published file'
          : inCluster !== undefined
            ? 'cluster'
            : null,
    cluster,
    others: others.map(toShown),
  }
}

/** Asks for the pod and its network-status; a fault is part of the answer. */
async function readCluster(
  options: ShowOptions,
  uid: string | undefined,
  recorded: readonly NetworkStatusEntry[] | undefined,
): Promise<ShownInCluster | null> {
  if (options.manifests.length > 0) return null
  const { namespace, name } = options.pod
  let found: Pod | undefined
  let networkStatus: NetworkStatusEntry[] | undefined
  let isSamePod: boolean | null = null
  const answer = await askCluster(options, async (cluster) => {
    found = await cluster.pod(namespace, name)
    if (found === undefined) return
    networkStatus = await cluster.networkStatus(namespace, name)
    if (uid !== undefined) isSamePod = cluster.isSamePod(found, uid)
  })
  if (answer === null) return null
  const isAsked = answer.problem === null
  return {
    ...answer,
    isPodKnown: isAsked ? found !== undefined : null,
    podUid: found?.uid ?? null,
    isSamePod,
    networkStatus: networkStatus ?? null,
    isAsRecorded: isAsked && recorded !== undefined ? isDeepStrictEqual(networkStatus, recorded) : null,
  }
}

function toShown(sandbox: SandboxRecord): ShownSandbox {
  const { containerId, ifName, state, path, failedDels, meta, complete, record, fault } = sandbox
  const hasDelBegun = state !== 'live' && state !== 'netns gone'
  return {
    containerId,
    ifName,
    netns: meta?.netns ?? null,
    state,
    time: meta?.time ?? null,
    durationMs: complete?.durationMs ?? null,
    failedDels,
    pendingUndo:
      record !== undefined && hasDelBegun
        ? pendingUndo(record).map(({ exec }) => ({ plugin: exec.type, ifName: exec.ifName }))
        : [],
    attachments: (meta?.attachments ?? []).map((attachment) => toShownAttachment(sandbox, attachment)),
    calls: complete?.calls ?? [],
    file: path,
    problem: fault?.message ?? null,
    hint: fault?.hint ?? null,
  }
}

function toShownAttachment(sandbox: SandboxRecord, attachment: RecordedAttachment): ShownAttachment {
  const { ifName, network, label, source, cniVersion, isDefault, args, plugins, reasons } = attachment
  return {
    ifName,
    network,
    label,
    source,
    cniVersion,
    isDefault,
    ...attachmentOutcome(sandbox, attachment),
    args: redactArgs(args),
    plugins: plugins.map(({ type, conf, runtimeConfig, cniArgs, extra }) => ({
      type,
      conf: redact(conf),
      ...(runtimeConfig === undefined ? {} : { runtimeConfig: redact(runtimeConfig) }),
      ...(cniArgs === undefined ? {} : { cniArgs: redact(cniArgs) }),
      ...(extra === undefined ? {} : { extra: redact(extra) }),
    })),
    reasons,
  }
}

async function notFound(
  { pod, stateDir, manifests }: ShowOptions,
  cluster: ShownInCluster | null,
): Promise<CniError> {
  const title = `pod ${pod.namespace}/${pod.name}`
  if (cluster !== null) {
    const { problem, hint, isPodKnown, server } = cluster
    const nothing = `nothing of it is attached on this node (${stateDir} knows nothing of it)`
    if (problem !== null) {
      const options = hint === null ? {} : { hint }
      return new CniError(CniErrorCode.TryAgainLater, `${title}: ${nothing}, and ${problem}`, options)
    }
    return isPodKnown
      ? new CniError(
          CniErrorCode.InvalidNetworkConfig,
          `${title} is in the cluster, without network-status, and ${nothing}`,
          { hint: `see what it would get: plexus explain --pod ${pod.namespace}/${pod.name}` },
        )
      : new CniError(
          CniErrorCode.InvalidNetworkConfig,
          `${title} is not in the cluster of the API server ${server}, and ${nothing}`,
          { hint: 'correct the name, or name another cluster by --kubeconfig and --context' },
        )
  }
  if (manifests.length > 0) {
    try {
      const store = manifestStore({ manifests, stateDir })
      if ((await store.pod(pod.namespace, pod.name)) !== undefined) {
        const what = manifests.map((path) => `--manifests ${path}`).join(' ')
        return new CniError(
          CniErrorCode.InvalidNetworkConfig,
          `${title} is in the manifests, but nothing of it is attached on this node`,
          { hint: `see what it would get: plexus explain ${what} --pod ${pod.namespace}/${pod.name}` },
        )
      }
    } catch (error) {
      return toCniError(error)
    }
  }
  return new CniError(
    CniErrorCode.InvalidNetworkConfig,
    `${title} has no attachment on this node: ${stateDir} knows nothing of it`,
    {
      hint: 'plexus list shows the pods that have; with another "stateDir" in the net-conf, name it by --state-dir',
    },
  )
}
