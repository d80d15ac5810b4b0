import { statSync } from 'node:fs'
import { CniError, toCniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import { manifestStore } from '../store/manifests.ts'
import { attachmentOutcome, remainingAttachments } from './attachment-outcome.ts'
import { ExitCode } from './failure.ts'
import { formatDocument, type OutputFormat, type Style, type Styler, statePaint } from './output.ts'
import { readSandboxRecords, type SandboxRecord, type SandboxState } from './sandbox-records.ts'
import { formatTable, indent } from './table.ts'

/** What `plexus list` is told. */
export interface ListOptions {
  readonly stateDir: string
  /** Folders of manifests: pods that are not in them are marked. Empty: nothing is known of pods. */
  readonly manifests: readonly string[]
  readonly format: OutputFormat
  readonly style: Styler
  readonly write: (text: string) => void
}

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
  /** Whether the manifests have the pod. */
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
  readonly attachments: readonly ListedAttachment[]
}

/**
 * `plexus list`: everything that the journal of this node says is attached, one row each. A record that
 * cannot be read is a row too and no failure: the exit code is that of the listing.
 *
 * @throws {CniError} Io when the state directory or the manifests cannot be read.
 */
export async function list(options: ListOptions): Promise<number> {
  const { stateDir, format, style, write } = options
  const attachments = await listAttachments(options)
  write(formatDocument({ stateDir, attachments }, format, (document) => listText(document, style)))
  return ExitCode.good
}

async function listAttachments({
  stateDir,
  manifests,
}: Pick<ListOptions, 'stateDir' | 'manifests'>): Promise<ListedAttachment[]> {
  assertFolder(stateDir)
  const store = manifests.length === 0 ? undefined : manifestStore({ manifests, stateDir })
  const listed: ListedAttachment[] = []
  for (const record of readSandboxRecords(stateDir)) {
    const pod = record.meta?.pod
    const found = pod === undefined ? undefined : await store?.pod(pod.namespace, pod.name)
    const isPodKnown = store === undefined || pod === undefined ? null : found !== undefined
    listed.push(...toListed(record, isPodKnown))
  }
  return listed.sort(
    (left, right) =>
      compare(left.pod ?? '~', right.pod ?? '~') || compare(left.containerId, right.containerId),
  )
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

/** The table, and below it what is to be said of single files. */
function listText({ stateDir, attachments }: AttachmentList, style: Styler): string {
  if (attachments.length === 0) return `Nothing is attached: ${stateDir} has no records.\n`
  const head = ['POD', 'CONTAINER', 'INTERFACE', 'NETWORK', 'SOURCE', 'ADDRESSES', 'STATE']
  const rows = attachments.map((attachment) => [
    attachment.pod ?? undefined,
    attachment.containerId.slice(0, 12),
    attachment.ifName,
    attachment.network ?? undefined,
    attachment.source ?? undefined,
    attachment.addresses.join(','),
    stateText(attachment),
  ])
  const problems = new Map(
    attachments.flatMap(({ problem, hint }) => (problem === null ? [] : [[problem, hint]])),
  )
  const remarks = [...problems].map(
    ([problem, hint]) => `${problem}\n${hint === null ? '' : indent(`What to do: ${hint}.\n`, 2)}`,
  )
  return [
    formatTable(head, rows, statePaint(style, head.length - 1, stateStyle)),
    ...(remarks.length === 0 ? [] : ['\n', ...remarks]),
  ].join('')
}

function stateText({ state, failedDels, isPodKnown }: ListedAttachment): string {
  const dels = failedDels === 0 ? '' : ` (${failedDels} failed DEL${failedDels === 1 ? '' : 's'})`
  return `${state}${state === 'undo pending' ? dels : ''}${isPodKnown === false ? ', pod not in the manifests' : ''}`
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
