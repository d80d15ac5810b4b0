import { statSync } from 'node:fs'
import type { PodIdentity } from '../cni/cni-args.ts'
import { CniError, toCniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import { readSandboxRecords, type SandboxRecord, type SandboxState } from '../node/sandbox-records.ts'
import { manifestStore } from '../store/manifests.ts'
import type { ClusterOptions } from './asked-cluster.ts'
import { attachmentOutcome, remainingAttachments } from './attachment-outcome.ts'
import { askCluster, type ClusterAnswer, clusterProblemText } from './cluster-answer.ts'
import { ExitCode } from './failure.ts'
import { formatDocument, type OutputFormat, type Style, type Styler, statePaint } from './output.ts'
import { formatTable, indent } from './table.ts'

/** What `plexus list` is told. */
export interface ListOptions extends ClusterOptions {
  readonly stateDir: string
  /** Folders of manifests: pods that are not in them are marked. Empty: the cluster is asked, if there is one. */
  readonly manifests: readonly string[]
  readonly format: OutputFormat
  readonly style: Styler
  readonly write: (text: string) => void
}

/** Pods that are asked for at the same time. */
const PODS_AT_ONCE = 16

/** One attachment, or a file that does not tell of any. `null`: not known. */
interface ListedAttachment {
  /** `namespace/name` */
  readonly pod: string | null
  readonly containerId: string
  readonly ifName: string
  readonly network: string | null
  readonly source: string | null
  readonly isDefault: boolean
  readonly addresses: readonly string[]
  readonly macs: readonly string[]
  readonly state: SandboxState | 'not attached'
  /** DELs of the sandbox that failed so far. */
  readonly failedDels: number
  /** Whether the manifests have the pod, or the cluster has it with the same UID. */
  readonly isPodKnown: boolean | null
  readonly netns: string | null
  /** When ADD began, ISO 8601. */
  readonly time: string | null
  /** The journal's file. */
  readonly file: string
  readonly problem: string | null
  readonly hint: string | null
}

/** What `plexus list -o json` prints. */
interface AttachmentList {
  readonly stateDir: string
  /** `null` when none was asked. */
  readonly cluster: ClusterAnswer | null
  readonly attachments: readonly ListedAttachment[]
}

/** Of each `namespace/name UID`, whether there is such a pod. */
interface KnownPods {
  readonly where: 'manifests' | 'cluster'
  readonly cluster: ClusterAnswer | null
  isKnown(pod: PodIdentity): boolean | null
}

/**
 * `plexus list`: everything that the journal of this node says is attached, one row each. A record that
 * cannot be read is a row too and no failure. A cluster that cannot be asked does not hide what is attached,
 * but the exit code is 1.
 *
 * @throws {CniError} Io when the state directory or the manifests cannot be read.
 */
export async function list(options: ListOptions): Promise<number> {
  const { stateDir, format, style, write } = options
  assertFolder(stateDir)
  const records = readSandboxRecords(stateDir)
  const known = await knownPods(options, records)
  const attachments = records
    .flatMap((record) =>
      toListed(record, record.meta?.pod === undefined ? null : known.isKnown(record.meta.pod)),
    )
    .sort(
      (left, right) =>
        compare(left.pod ?? '~', right.pod ?? '~') || compare(left.containerId, right.containerId),
    )
  const document: AttachmentList = { stateDir, cluster: known.cluster, attachments }
  write(formatDocument(document, format, (list) => listText(list, known.where, style)))
  return (known.cluster?.problem ?? null) === null ? ExitCode.good : ExitCode.finding
}

async function knownPods(options: ListOptions, records: readonly SandboxRecord[]): Promise<KnownPods> {
  const { manifests, stateDir } = options
  const pods = records.flatMap(({ meta }) => meta?.pod ?? [])
  const known = new Map<string, boolean>()
  const idOf = ({ namespace, name, uid }: PodIdentity): string => `${namespace}/${name} ${uid ?? ''}`
  const isKnown = (pod: PodIdentity): boolean | null => known.get(idOf(pod)) ?? null
  if (manifests.length > 0) {
    const store = manifestStore({ manifests, stateDir })
    for (const pod of pods) known.set(idOf(pod), (await store.pod(pod.namespace, pod.name)) !== undefined)
    return { where: 'manifests', cluster: null, isKnown }
  }
  const cluster = await askCluster(options, async (asked) => {
    const distinct = [...new Map(pods.map((pod) => [idOf(pod), pod])).values()]
    while (distinct.length > 0) {
      const answers = distinct.splice(0, PODS_AT_ONCE).map(async (pod) => {
        const found = await asked.pod(pod.namespace, pod.name)
        known.set(idOf(pod), found !== undefined && asked.isSamePod(found, pod.uid))
      })
      await Promise.all(answers)
    }
  })
  return { where: 'cluster', cluster, isKnown }
}

function toListed(record: SandboxRecord, isPodKnown: boolean | null): ListedAttachment[] {
  const { containerId, path, failedDels, meta, fault } = record
  const pod = meta?.pod
  const bare = (ifName: string): ListedAttachment => ({
    pod: pod === undefined ? null : `${pod.namespace}/${pod.name}`,
    containerId,
    ifName,
    network: null,
    source: null,
    isDefault: false,
    addresses: [],
    macs: [],
    state: record.state,
    failedDels,
    isPodKnown,
    netns: meta?.netns ?? null,
    time: meta?.time ?? null,
    file: path,
    problem: fault?.message ?? null,
    hint: fault?.hint ?? null,
  })
  try {
    const attachments = remainingAttachments(record)
    if (attachments.length === 0) return [bare(record.ifName)]
    return attachments.map((attachment) => {
      const { isAttached, addresses, macs } = attachmentOutcome(record, attachment)
      const { ifName, network, source, isDefault } = attachment
      const listed = { ...bare(ifName), network, source, isDefault, addresses, macs }
      if (isAttached || record.state !== 'live') return listed
      const problem = `optional network "${network}" of container ${containerId} failed and was left out`
      return { ...listed, state: 'not attached', problem }
    })
  } catch (error) {
    // What one record holds must not hide the others.
    const { message, hint = null } = toCniError(error)
    return [{ ...bare(record.ifName), state: 'unreadable', problem: message, hint }]
  }
}

/** The table, and below it what is to be said of single files and of the cluster. */
function listText(
  { stateDir, cluster, attachments }: AttachmentList,
  where: KnownPods['where'],
  style: Styler,
): string {
  const problem = clusterProblemText(cluster, style)
  if (attachments.length === 0) return `Nothing is attached: ${stateDir} has no records.\n${problem}`
  const head = ['POD', 'CONTAINER', 'INTERFACE', 'NETWORK', 'SOURCE', 'ADDRESSES', 'STATE']
  const rows = attachments.map((attachment) => [
    attachment.pod ?? undefined,
    attachment.containerId.slice(0, 12),
    attachment.ifName,
    attachment.network ?? undefined,
    attachment.source ?? undefined,
    attachment.addresses.join(','),
    stateText(attachment, where),
  ])
  const remarked = new Map(
    attachments.flatMap(({ problem, hint }) => (problem === null ? [] : [[problem, hint]])),
  )
  const remarks = [...remarked].map(
    ([remark, hint]) => `${remark}\n${hint === null ? '' : indent(`What to do: ${hint}.\n`, 2)}`,
  )
  return [
    formatTable(head, rows, statePaint(style, head.length - 1, stateStyle)),
    ...(remarks.length === 0 ? [] : ['\n', ...remarks]),
    ...(problem === '' ? [] : ['\n', problem]),
  ].join('')
}

function stateText({ state, failedDels, isPodKnown }: ListedAttachment, where: KnownPods['where']): string {
  const dels = failedDels === 0 ? '' : ` (${failedDels} failed DEL${failedDels === 1 ? '' : 's'})`
  return `${state}${state === 'undo pending' ? dels : ''}${isPodKnown === false ? `, pod not in the ${where}` : ''}`
}

function stateStyle(text: string): Style {
  if (text === 'live') return 'green'
  return /^(damaged|unreadable|newer|undo)/.test(text) ? 'red' : 'yellow'
}

function assertFolder(stateDir: string): void {
  const stat = statSync(stateDir, { throwIfNoEntry: false })
  if (stat !== undefined && !stat.isDirectory()) {
    throw new CniError(CniErrorCode.Io, `state directory ${stateDir} is no directory`, {
      hint: 'name the folder that "stateDir" of the net-conf names',
    })
  }
}

function compare(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0
}
