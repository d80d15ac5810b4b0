import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { JsonObject } from '../../src/cni/json.ts'
import { type RecordedAttachment, undoExec } from '../../src/engine/recorded-plan.ts'
import { readNetnsId } from '../../src/executor/netns.ts'
import { openJournalDir } from '../../src/journal/journal.ts'
import { toNetworkStatus } from '../../src/network/network-status.ts'

/** One network of a sandbox on paper. */
interface PaperNetwork {
  readonly ifName: string
  readonly network: string
  readonly address: string
  readonly plugins?: readonly (JsonObject & { type: string })[]
  /** Left out by an ADD that succeeded. */
  readonly isOptional?: boolean
}

/** A sandbox on paper: what the journal would hold of it, without any real network. */
export interface PaperSandbox {
  readonly containerId: string
  /** `namespace/name` */
  readonly pod?: string
  /** Default `uid-<name>`. */
  readonly podUid?: string
  readonly networks: readonly PaperNetwork[]
  /** How far it came; default `complete`. */
  readonly progress?: 'planned' | 'started' | 'complete'
  /** Calls that a DEL has undone. */
  readonly undone?: readonly number[]
  readonly failedDels?: number
  /** Whether the recorded namespace is no longer there. */
  readonly isNetnsGone?: boolean
  readonly time?: string
}

/** Writes the journal file of a sandbox with the journal itself; gives its path. */
export function recordSandbox(stateDir: string, sandbox: PaperSandbox): string {
  const { containerId, networks, progress = 'complete', undone = [], failedDels = 0 } = sandbox
  const folder = `${stateDir}-netns`
  mkdirSync(folder, { recursive: true })
  const netns = join(folder, containerId)
  if (sandbox.isNetnsGone !== true) writeFileSync(netns, '')
  const [namespace = '', name = ''] = sandbox.pod?.split('/') ?? []
  const attachments = toAttachments(networks)
  const call = { containerId, netns, timeoutMs: 1000 }
  const undos = attachments.flatMap((attachment) =>
    attachment.plugins.map((plugin, index) =>
      undoExec(attachment, plugin, { id: attachment.calls[index] ?? 0, ...call }, undefined),
    ),
  )
  const meta = {
    containerId,
    ifName: 'eth0',
    netns,
    netnsId: readNetnsId(netns) ?? 'gone',
    name: 'plexus-net',
    cniVersion: '1.0.0',
    ...(sandbox.pod === undefined ? {} : { pod: { namespace, name, uid: sandbox.podUid ?? `uid-${name}` } }),
    searchPath: ['/opt/cni/bin'],
    time: sandbox.time ?? '2026-01-02T03:04:05.678Z',
    attachments,
  }
  const open = openJournalDir(stateDir).plan(
    { containerId, ifName: 'eth0' },
    { meta, netns, netnsId: meta.netnsId, files: [] },
    undos,
  )
  if (progress !== 'planned') open.started(attachments.flatMap(({ calls }) => calls))
  if (progress === 'complete') open.complete(completeMeta(attachments, networks, netns))
  for (const id of undone) open.undone(id)
  for (let count = 0; count < failedDels; count++) open.attempted()
  open.close()
  return join(stateDir, 'sandboxes', containerId, 'eth0')
}

function toAttachments(networks: readonly PaperNetwork[]): RecordedAttachment[] {
  let next = 0
  return networks.map(({ ifName, network, plugins = [{ type: 'bridge' }], isOptional = false }, index) => ({
    index,
    isDefault: index === 0,
    network,
    label: network,
    source: index === 0 ? 'file /etc/cni/net.d/10-default.conflist' : `NAD default/${network}`,
    ifName,
    cniVersion: '1.0.0',
    disableCheck: false,
    disableGC: false,
    args: 'IgnoreUnknown=1',
    plugins: plugins.map((conf) => ({
      type: conf.type,
      conf,
      runtimeConfig: undefined,
      cniArgs: undefined,
      extra: undefined,
    })),
    defaultRoute: undefined,
    waitsFor: [],
    isOptional,
    timeoutMs: undefined,
    deviceInfoFile: undefined,
    devicePluginFile: undefined,
    reasons: [`reason for ${network}`],
    calls: plugins.map(() => next++),
  }))
}

function completeMeta(
  attachments: readonly RecordedAttachment[],
  networks: readonly PaperNetwork[],
  netns: string,
): JsonObject {
  const attached = attachments.filter(({ isOptional }) => !isOptional)
  const mac = (index: number): string => `02:00:00:00:00:0${index}`
  return {
    results: attached.map(({ index, ifName }) => ({
      index,
      prevResult: {
        cniVersion: '1.0.0',
        interfaces: [
          { name: 'br0', mac: '02:ff:ff:ff:ff:ff' },
          { name: ifName, mac: mac(index), sandbox: netns },
        ],
        ips: [{ address: networks[index]?.address, interface: 1 }],
      },
    })),
    networkStatus: toNetworkStatus(
      attached.map(({ index, label, ifName, isDefault }) => ({
        name: label,
        ifName,
        isDefault,
        result: {
          version: '1.0.0',
          interfaces: [{ name: ifName, mac: mac(index), sandbox: netns }],
          ips: [{ address: networks[index]?.address ?? '', interface: 0 }],
          routes: [],
          dns: {},
        },
      })),
      netns,
    ),
    calls: attached.flatMap(({ network, ifName, plugins, index }) =>
      plugins.map(({ type }) => ({
        network,
        plugin: type,
        command: 'ADD',
        ifName,
        startMs: index * 20.04,
        durationMs: 12.3,
      })),
    ),
    warnings: [],
    durationMs: 61.5,
  }
}
