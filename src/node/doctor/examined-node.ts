import { join } from 'node:path'
import { type CniError, toCniError } from '../../cni/cni-error.ts'
import { isJsonObject, type JsonObject } from '../../cni/json.ts'
import { DAEMON_CONF_DEFAULTS, type DaemonConf, overlayNetConf } from '../../config/daemon-conf.ts'
import { type NetConf, parseNetConf } from '../../config/net-conf.ts'
import type { NetworkAttachmentDefinition } from '../../network/nad.ts'
import { NODE_CONFLIST_FILE } from '../../plan/node-conflist.ts'
import type { ClusterStore } from '../../store/cluster-store.ts'
import { type ConfFile, readConfFolder } from '../../store/conf-files.ts'
import { readSandboxRecords, type SandboxRecord } from '../sandbox-records.ts'
import { entryAt, textOf } from './bounded-reading.ts'
import { askDaemon, type DaemonAnswers } from './daemon-answers.ts'
import type { Found } from './finding.ts'
import { parseShimConf, type ShimConf } from './shim-conf.ts'

/** What the doctor is told; what is left out is found out, else as by default. */
export interface DoctorOptions {
  readonly binDir?: string | undefined
  readonly confDir?: string | undefined
  readonly stateDir?: string | undefined
  readonly socket?: string | undefined
  /** The daemon's configuration, when there is a file of it. */
  readonly daemonConf?: DaemonConf | undefined
  /** Why that file cannot be used. */
  readonly daemonConfFault?: CniError | undefined
  readonly cluster?: ClusterNetworks | undefined
  /** Whether this runs in a pod: it sees of the host what is mounted, and no other process's namespaces. */
  readonly isPod: boolean
  /** Of this Plexus. */
  readonly version: string
}

/** The networks of the cluster, or why they are not known. */
export interface ClusterNetworks {
  /** Who was asked. */
  readonly source: string
  readonly store: Pick<ClusterStore, 'nad'>
  readonly nads: readonly NetworkAttachmentDefinition[]
  /** What is wrong with single networks. */
  readonly faults: readonly string[]
  /** Why it cannot be asked. */
  readonly problem: string | undefined
}

/** The runtime's list of ours. */
interface OwnList {
  readonly file: ConfFile
  /** Our entry in it, with name and version as the runtime hands it over. */
  readonly entry: JsonObject
}

/** A node and what several probes want to know of it. */
export interface ExaminedNode {
  readonly binDir: string
  readonly shim: string
  readonly shimConf: ShimConf | undefined
  readonly shimConfFile: string
  /** Folders that are searched for plugins. */
  readonly pluginDirs: readonly string[]
  readonly confDir: string
  readonly conflist: string
  readonly confFiles: readonly ConfFile[]
  readonly invalidConfFiles: readonly { readonly path: string; readonly reason: string }[]
  readonly ownList: OwnList | undefined
  /** As a request would have it. */
  readonly netConf: NetConf
  readonly stateDir: string
  readonly socket: string
  readonly daemonConf: DaemonConf | undefined
  readonly daemon: DaemonAnswers
  readonly cluster: ClusterNetworks | undefined
  readonly isPod: boolean
  readonly version: string
  /** The journal, read once. @throws {CniError} */
  records(): readonly SandboxRecord[]
}

/** Looks at what the other probes build upon. */
export async function examineNode(
  options: DoctorOptions,
): Promise<{ readonly node: ExaminedNode; readonly found: readonly Found[] }> {
  const { daemonConf, isPod, version, cluster } = options
  const found: Found[] = []
  if (options.daemonConfFault !== undefined) {
    const { message, faults } = options.daemonConfFault
    found.push({
      id: 'configuration-invalid',
      what: `the daemon cannot use its configuration: ${message}`,
      evidence: faults,
      fix: 'correct it; docs/configuration.md lists every key',
    })
  }
  if (process.getuid?.() !== 0) {
    found.push({
      id: 'partial-view',
      what: 'this is not run as root: what is for root alone cannot be seen',
      fix: 'sudo plexus doctor',
    })
  }
  const binDir = options.binDir ?? '/opt/cni/bin'
  const shimConfFile = join(binDir, 'plexus.shim')
  const shimConf = readShimConf(shimConfFile)
  const confDir = options.confDir ?? daemonConf?.conflist?.folder ?? DAEMON_CONF_DEFAULTS.conflistDir
  const { files, ignored } = readConfFiles(confDir)
  const ownList = findOwnList(files)
  const netConf = readNetConf(ownList, daemonConf, found)
  const isStateNamed = 'stateDir' in (daemonConf?.netConf ?? {})
  const stateDir =
    options.stateDir ?? (isStateNamed ? netConf.stateDir : (shimConf?.stateDir ?? netConf.stateDir))
  let records: readonly SandboxRecord[] | undefined
  return {
    node: {
      ...{ binDir, shimConf, shimConfFile, confDir, ownList, netConf, stateDir, isPod, version, cluster },
      shim: join(binDir, 'plexus'),
      pluginDirs: [...new Set([binDir, ...(shimConf?.binDirs ?? [])])],
      conflist: join(confDir, NODE_CONFLIST_FILE),
      confFiles: files,
      invalidConfFiles: ignored,
      socket: options.socket ?? daemonConf?.socket ?? shimConf?.socket ?? DAEMON_CONF_DEFAULTS.socket,
      daemonConf,
      daemon: await askDaemon(daemonConf === undefined ? defaultAddress() : daemonConf.metricsAddress),
      records() {
        records ??= readSandboxRecords(stateDir)
        return records
      },
    },
    found,
  }
}

function readShimConf(path: string): ShimConf | undefined {
  try {
    // A probe of its own looks at the file itself, and tells what is wrong with it.
    if (entryAt(path)?.isFile() !== true) return undefined
    return parseShimConf(textOf(path) ?? '')
  } catch (error) {
    return { ...parseShimConf(''), faults: [toCniError(error).message] }
  }
}

/** A folder that cannot be read is told of like a file that cannot. */
function readConfFiles(confDir: string): ReturnType<typeof readConfFolder> {
  try {
    return readConfFolder(confDir)
  } catch (error) {
    return { files: [], ignored: [{ path: confDir, reason: toCniError(error).message }] }
  }
}

function findOwnList(files: readonly ConfFile[]): OwnList | undefined {
  for (const file of files) {
    const entry = file.conflist.plugins.find(({ type }) => type === 'plexus')
    const { name, cniVersion } = file.conflist
    if (entry !== undefined) return { file, entry: { ...entry, name, cniVersion } }
  }
  return undefined
}

function readNetConf(
  ownList: OwnList | undefined,
  daemonConf: DaemonConf | undefined,
  found: Found[],
): NetConf {
  const entry = ownList?.entry ?? { type: 'plexus' }
  try {
    return parseNetConf(overlayNetConf(entry, daemonConf?.netConf ?? {}))
  } catch (error) {
    const { message, faults } = toCniError(error)
    found.push({
      id: 'configuration-invalid',
      what: `the configuration of Plexus in ${ownList?.file.path ?? 'its daemon'} is wrong`,
      evidence: faults.length > 0 ? faults : [message],
      fix: 'correct it; docs/configuration.md lists every key',
    })
    return parseNetConf({ type: 'plexus', ...(isJsonObject(daemonConf?.netConf) ? daemonConf.netConf : {}) })
  }
}

function defaultAddress(): { readonly host: string; readonly port: number } {
  const [host = '', port] = DAEMON_CONF_DEFAULTS.metricsAddress.split(':')
  return { host, port: Number(port) }
}
