import { CniError, toCniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import { isJsonObject, type JsonObject } from '../cni/json.ts'
import { isAtLeast } from '../cni/version.ts'
import type { JournalKey } from '../journal/journal.ts'
import { networkTitle } from '../plan/plan.ts'
import { execDelegate } from './delegate.ts'
import type { EngineContext } from './engine.ts'
import { delegateStdin, type RecordedAttachment, readPlannedMeta } from './recorded-plan.ts'
import { undoError } from './undo.ts'
import { undoRecorded } from './undo-recorded.ts'

const GC_TIMEOUT_MS = 100_000

/** An attachment as GC names it; the runtime knows only the primary interface (CNI-064). */
interface ValidAttachment {
  readonly containerID: string
  readonly ifname: string
}

/**
 * GC: undoes the recorded attachments that the runtime no longer lists, then hands GC on to every network
 * of 1.1.0 that has records, with the valid attachments as our own records name them. Without a list
 * nothing is stale. The list is of one network: what a net-conf of another name has attached on this node is valid.
 * CNI-062 to CNI-069, CNI-087.
 *
 * @throws {CniError} With every delegate's fault, when all were tried.
 */
export async function gc(context: EngineContext): Promise<void> {
  const { request, journal, now } = context
  const valid = parseValid(request.stdin)
  if (valid === undefined) return
  const deadline = now() + GC_TIMEOUT_MS
  const isListed = ({ containerId, ifName }: JournalKey): boolean =>
    valid.some((entry) => entry.containerID === containerId && entry.ifname === ifName)

  const faults: CniError[] = []
  const networks = new Map<string, NetworkRecords>()
  for (const key of journal.keys()) {
    try {
      const lookup = journal.lookup(key)
      if (lookup.state === 'absent') continue
      if (lookup.state === 'newer') throw lookup.error
      const meta = readPlannedMeta(lookup.record.planned)
      const attachments = meta?.attachments ?? []
      const isValid = isListed(key) || (meta !== undefined && meta.name !== request.name)
      for (const attachment of attachments) {
        // The same network name with another config is another network to its plugins.
        const id = JSON.stringify([
          attachment.network,
          attachment.cniVersion,
          attachment.plugins.map(({ conf }) => conf),
        ])
        const records: NetworkRecords = networks.get(id) ?? { attachment, valid: [] }
        networks.set(id, records)
        if (isValid) records.valid.push({ containerID: key.containerId, ifname: attachment.ifName })
      }
      if (isValid || attachments.some(({ disableGC }) => disableGC)) continue
      const outcome = await undoRecorded(context, key, lookup, meta?.netns ?? '', deadline)
      faults.push(...outcome.faults)
    } catch (error) {
      faults.push(toCniError(error))
    }
  }
  for (const records of networks.values()) faults.push(...(await collect(context, records, networks)))
  if (faults.length > 0) throw undoError(faults)
}

interface NetworkRecords {
  readonly attachment: RecordedAttachment
  readonly valid: ValidAttachment[]
}

async function collect(
  context: EngineContext,
  { attachment, valid }: NetworkRecords,
  networks: ReadonlyMap<string, NetworkRecords>,
): Promise<CniError[]> {
  if (attachment.disableGC || !isAtLeast(attachment.cniVersion, '1.1.0')) return []
  // Stores keyed by the network's name are shared by configs of that name: all their attachments are valid.
  const named = [...networks.values()].filter((other) => other.attachment.network === attachment.network)
  const attachments = named.length > 1 ? named.flatMap((other) => other.valid) : valid
  const extra: JsonObject = { 'cni.dev/valid-attachments': attachments, 'cni.dev/attachments': attachments }
  const faults: CniError[] = []
  for (const plugin of attachment.plugins) {
    try {
      await execDelegate(context, {
        network: attachment.network,
        call: {
          command: 'GC',
          type: plugin.type,
          containerId: '',
          netns: '',
          ifName: '',
          args: '',
          stdin: delegateStdin(attachment, plugin, { isPodRequest: false, extra }),
          timeoutMs: context.conf.delegateTimeoutMs,
        },
        title: networkTitle(attachment),
        cniVersion: attachment.cniVersion,
      })
    } catch (error) {
      faults.push(toCniError(error))
    }
  }
  return faults
}

/**
 * @returns `undefined` when the runtime gave no list: then nothing is known to be stale (CNI-063).
 * @throws {CniError} Decoding for a list that is none.
 */
function parseValid(conf: JsonObject): ValidAttachment[] | undefined {
  const key = 'cni.dev/valid-attachments' in conf ? 'cni.dev/valid-attachments' : 'cni.dev/attachments'
  if (!(key in conf)) return undefined
  const list = conf[key] ?? []
  const isAttachment = (entry: unknown): entry is JsonObject & ValidAttachment =>
    isJsonObject(entry) && typeof entry.containerID === 'string' && typeof entry.ifname === 'string'
  if (Array.isArray(list) && list.every(isAttachment)) return list
  throw new CniError(
    CniErrorCode.Decoding,
    `${key} must be a list of {"containerID", "ifname"}; nothing was collected`,
  )
}
