import type { JsonObject } from '../cni/json.ts'
import type { RecordedAttachment } from '../engine/recorded-plan.ts'
import { deviceText } from '../map/device-text.ts'
import type {
  MappedAttachment,
  MappedInterface,
  MappedNetwork,
  MappedPod,
  NetworkMap,
  PodMap,
} from '../map/network-map.ts'
import { pluginFacts } from '../map/plugin-facts.ts'
import type { SandboxRecord } from '../node/sandbox-records.ts'
import { attachmentOutcome, remainingAttachments } from './attachment-outcome.ts'

/** What the journal of a node says of its pods and networks; nothing that it holds makes it throw. */
export function mapJournal(records: readonly SandboxRecord[]): NetworkMap {
  const networks = new Map<string, MappedNetwork>()
  const pods = records.map((record): MappedPod => {
    const { containerId, ifName, state, meta } = record
    const pod = meta?.pod
    const remark = state === 'live' ? null : state
    const bare = {
      namespace: pod?.namespace ?? null,
      name: pod?.name ?? `${containerId} ${ifName}`,
      containerId,
      remark,
    }
    try {
      const attachments = remainingAttachments(record)
      for (const attachment of attachments) {
        if (!networks.has(attachment.label)) networks.set(attachment.label, toNetwork(attachment))
      }
      return { ...bare, interfaces: attachments.map((attachment) => toInterface(record, attachment)) }
    } catch {
      // The file passes its checksum and says what we never wrote: `list` tells the details.
      return { ...bare, remark: 'unreadable', interfaces: [] }
    }
  })
  return { origin: 'journal', networks: [...networks.values()], pods }
}

/** One sandbox of a pod, with its plugins and their calls. @throws {CniError} When its record is malformed. */
export function mapRecordedPod(record: SandboxRecord): PodMap {
  const { containerId, state, meta, complete } = record
  return {
    origin: 'journal',
    namespace: meta?.pod?.namespace ?? '',
    name: meta?.pod?.name ?? '',
    containerId,
    remark: state === 'live' ? null : state,
    time: meta?.time ?? null,
    durationMs: complete?.durationMs ?? null,
    attachments: (meta?.attachments ?? []).map(
      (attachment): MappedAttachment => ({
        ...toInterface(record, attachment),
        plugins: attachment.plugins.map(({ type, conf }) => ({ type, facts: pluginFacts(conf) })),
      }),
    ),
    calls: (complete?.calls ?? []).map(
      ({ network, ifName, plugin, command, startMs, durationMs, error }) => ({
        network,
        ifName,
        plugin,
        command,
        startMs,
        durationMs,
        error: error ?? null,
      }),
    ),
  }
}

function toNetwork({ label, isDefault, plugins }: RecordedAttachment): MappedNetwork {
  const facts = plugins.flatMap(({ conf }) => pluginFacts(conf))
  return {
    name: label,
    isDefault,
    plugins: plugins.map(({ type }) => type),
    facts: [...new Set(facts)],
    problem: null,
  }
}

function toInterface(record: SandboxRecord, attachment: RecordedAttachment): MappedInterface {
  const { isAttached, addresses, macs, gateways } = attachmentOutcome(record, attachment)
  const { label, ifName, plugins } = attachment
  const status = record.complete?.networkStatus.find(
    (entry) => entry.name === label && entry.interface === ifName,
  )
  return {
    network: label,
    ifName,
    addresses,
    mac: macs[0] ?? null,
    device:
      deviceText(status?.['device-info']) ??
      plugins.map(({ extra }) => givenDevice(extra)).find(Boolean) ??
      null,
    hasDefaultRoute: gateways.length > 0,
    state: isAttached ? 'attached' : record.state === 'live' ? 'not attached' : 'planned',
  }
}

/** What Plexus told a plugin of the device that the kubelet gave the pod. */
function givenDevice(extra: JsonObject | undefined): string | undefined {
  const given = extra?.deviceID ?? extra?.pciBusID
  return typeof given === 'string' ? given : undefined
}
