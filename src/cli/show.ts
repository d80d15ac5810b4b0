import { CniError, toCniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import type { JsonObject } from '../cni/json.ts'
import { redact, redactArgs } from '../cni/redact.ts'
import type { CallReport } from '../engine/engine.ts'
import type { RecordedAttachment } from '../engine/recorded-plan.ts'
import { pendingUndo } from '../journal/record.ts'
import type { NetworkStatusEntry } from '../network/network-status.ts'
import { manifestStore } from '../store/manifests.ts'
import { readStatus } from '../store/status-files.ts'
import { attachmentOutcome } from './attachment-outcome.ts'
import { ExitCode } from './failure.ts'
import { formatDocument, type OutputFormat, type Styler } from './output.ts'
import { readSandboxRecords, type SandboxRecord, type SandboxState } from './sandbox-records.ts'
import { showText } from './show-text.ts'

/** What `plexus show` is told. */
export interface ShowOptions {
  readonly pod: PodName
  readonly stateDir: string
  /** Folders of manifests, to tell why a pod is not there. */
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

/** What `plexus show -o json` prints: the newest usable sandbox, and older ones in `others`. */
export interface ShownPod extends Partial<ShownSandbox> {
  /** `namespace/name` */
  readonly pod: string
  readonly podUid: string | null
  readonly networkStatus: readonly NetworkStatusEntry[]
  /** Where `networkStatus` is from; `null` when there is none. */
  readonly networkStatusSource: 'journal' | 'published file' | null
  readonly others: readonly ShownSandbox[]
}

/**
 * `plexus show NAMESPACE/POD`: what one pod has, from the journal; its network-status from the published
 * file when the journal has none.
 *
 * @throws {CniError} InvalidNetworkConfig when nothing is known of the pod; Io when what is known cannot be
 *   read.
 */
export async function show(options: ShowOptions): Promise<number> {
  const { format, style, write } = options
  const shown = await readPod(options)
  write(formatDocument(shown, format, (document) => showText(document, style)))
  return ExitCode.good
}

async function readPod(options: ShowOptions): Promise<ShownPod> {
  const { pod, stateDir } = options
  const records = readSandboxRecords(stateDir)
    .filter(({ meta }) => meta?.pod?.namespace === pod.namespace && meta.pod.name === pod.name)
    .sort((left, right) => rank(right) - rank(left) || compareTime(right, left))
  const [first, ...others] = records
  const recorded = first?.complete?.networkStatus
  const published = recorded === undefined ? await readStatus(stateDir, pod.namespace, pod.name) : undefined
  const networkStatus = recorded ?? published
  if (first === undefined && networkStatus === undefined) throw await notFound(options)
  return {
    pod: `${pod.namespace}/${pod.name}`,
    podUid: first?.meta?.pod?.uid ?? null,
    ...(first === undefined ? { attachments: [], calls: [] } : toShown(first)),
    networkStatus: networkStatus ?? [],
    networkStatusSource:
      recorded !== undefined ? 'journal' : published !== undefined ? 'published file' : null,
    others: others.map(toShown),
  }
}

/** What is in use comes before what is left over. */
function rank({ state }: SandboxRecord): number {
  return ['damaged', 'netns gone', 'undo pending', 'incomplete', 'live'].indexOf(state)
}

function compareTime(left: SandboxRecord, right: SandboxRecord): number {
  return Date.parse(left.meta?.time ?? '') - Date.parse(right.meta?.time ?? '') || 0
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

async function notFound({ pod, stateDir, manifests }: ShowOptions): Promise<CniError> {
  const title = `pod ${pod.namespace}/${pod.name}`
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
