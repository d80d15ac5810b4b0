import { accessSync, constants, lstatSync } from 'node:fs'
import { join } from 'node:path'
import { toCniError } from '../cni/cni-error.ts'
import type { Conflist } from '../cni/conflist.ts'
import type { NetConf } from '../config/net-conf.ts'
import { nadConflist, resolveNetworks } from '../engine/resolution.ts'
import { findPlugin } from '../executor/plugin-lookup.ts'
import { DEFAULT_NETWORK_ANNOTATION, NETWORKS_ANNOTATION } from '../network/annotations.ts'
import { type NodeNetworksReady, nodeCondition, type PluginProblem } from '../network/node-condition.ts'
import type { Pod } from '../network/pod.ts'
import type { PluginFile } from '../plan/host-facts.ts'
import { executedTypes } from '../plan/plugin-faults.ts'
import { chooseNetworks } from '../plan/requested-network.ts'
import type { ClusterStore } from '../store/cluster-store.ts'
import type { NodeView } from '../store/node-view.ts'
import type { Agents } from './agents.ts'

/** What the report is made of. */
interface NodeReportSources {
  readonly conf: NetConf
  readonly store: ClusterStore | undefined
  readonly node: NodeView
  /** Whether anything says what the default network is. */
  readonly isNetworkKnown: boolean
  readonly agents: Pick<Agents, 'plugins'>
  /** Folders of plugins as this process sees them. */
  readonly pluginDirs: readonly string[]
  /** What was last found of a type: counts while nobody can look. Kept from one report to the next. */
  readonly lastSeen: Map<string, string | undefined>
}

/**
 * Whether the node has what its networks need: the default network, and the plugins of that and of every NAD that
 * a pod of the node names. A NAD that is missing or wrong is its pods' trouble and no node's.
 */
async function nodeReport(sources: NodeReportSources): Promise<NodeNetworksReady> {
  const { conf, store, isNetworkKnown } = sources
  const users = new Map<string, string[]>()
  const use = (title: string, { plugins }: Conflist): void => {
    const types = plugins.flatMap((plugin) => executedTypes({ type: plugin.type, conf: plugin }))
    for (const type of new Set(types)) users.set(type, [...(users.get(type) ?? []), title])
  }
  let defaultNetwork: string | undefined
  if (isNetworkKnown) {
    try {
      const [first] = chooseNetworks(conf, undefined).networks
      const [resolved] = await resolveNetworks(first === undefined ? [] : [first], { conf, store })
      if (resolved?.fault !== undefined) throw resolved.fault
      if (resolved?.conflist !== undefined) use('the default network', resolved.conflist)
    } catch (error) {
      defaultNetwork = `the default network is not available: ${toCniError(error).message}`
    }
  }
  for (const [title, conflist] of usedNads(sources)) use(title, conflist)
  return nodeCondition({ defaultNetwork, plugins: await pluginProblems(sources, users) })
}

function usedNads({ conf, node }: NodeReportSources): Map<string, Conflist> {
  const used = new Map<string, Conflist>()
  for (const pod of node.pods()) {
    for (const { namespace, name } of namedNads(conf, pod)) {
      const title = `NAD ${namespace}/${name}`
      if (used.has(title)) continue
      const nad = node.nad(namespace, name)
      if (nad === undefined) continue
      try {
        used.set(title, nadConflist(nad, conf.confDirs))
      } catch {
        // Its pods are told what is wrong with it.
      }
    }
  }
  return used
}

function namedNads(
  conf: NetConf,
  { namespace, annotations }: Pod,
): { readonly namespace: string; readonly name: string }[] {
  if (!(NETWORKS_ANNOTATION in annotations || DEFAULT_NETWORK_ANNOTATION in annotations)) return []
  try {
    const { networks } = chooseNetworks(conf, { namespace, annotations })
    return networks.flatMap(({ reference }) =>
      reference.kind === 'nad' || reference.kind === 'named' ? [reference] : [],
    )
  } catch {
    // The pod is told what is wrong with its annotation.
    return []
  }
}

async function pluginProblems(
  { agents, pluginDirs, lastSeen }: NodeReportSources,
  users: ReadonlyMap<string, readonly string[]>,
): Promise<PluginProblem[]> {
  const types = [...users.keys()].sort()
  for (const type of lastSeen.keys()) if (!users.has(type)) lastSeen.delete(type)
  if (types.length === 0) return []
  const byAgent = await agents.plugins(types)
  if (byAgent !== undefined) {
    for (const type of types) lastSeen.set(type, faultOf(byAgent.get(type)))
  } else if (pluginDirs.length > 0 && pluginDirs.every(isReadable)) {
    for (const type of types) lastSeen.set(type, isThere(type, pluginDirs) ? undefined : NOT_INSTALLED)
  }
  return types.flatMap((type) => {
    const what = lastSeen.get(type)
    return what === undefined ? [] : [{ type, what, neededBy: users.get(type) ?? [] }]
  })
}

const NOT_INSTALLED = 'is not installed'

function faultOf(file: PluginFile | undefined): string | undefined {
  if (file === undefined) return NOT_INSTALLED
  return file.refusal === undefined ? undefined : `is refused: ${file.refusal}`
}

/** A link that leads nowhere from a container may well lead somewhere on the node. */
function isThere(type: string, folders: readonly string[]): boolean {
  const isLink = (folder: string): boolean =>
    lstatSync(join(folder, type), { throwIfNoEntry: false })?.isSymbolicLink() === true
  return findPlugin(type, folders) !== undefined || folders.some(isLink)
}

function isReadable(folder: string): boolean {
  try {
    accessSync(folder, constants.R_OK)
    return true
  } catch {
    return false
  }
}

/** What {@link openNodeReports} needs. */
export interface NodeReportsOptions {
  /** `undefined` while nothing is to be told. */
  readonly sources: () => Omit<NodeReportSources, 'lastSeen'> | undefined
  readonly fault: (message: string) => void
}

const LOOK_INTERVAL_MS = 2000
/** What is bad for a moment only, as while a default CNI starts, is not told. */
const BAD_FOR_MS = 6000

/** Looks at the node from time to time and tells the cluster. */
export function openNodeReports({ sources, fault }: NodeReportsOptions): { close(): void } {
  const lastSeen: NodeReportSources['lastSeen'] = new Map()
  let badSince: number | undefined
  let isClosed = false
  let timer: NodeJS.Timeout | undefined
  const look = async (): Promise<void> => {
    try {
      const found = sources()
      if (found === undefined) return
      const condition = await nodeReport({ ...found, lastSeen })
      const now = performance.now()
      badSince = condition.status === 'True' ? undefined : (badSince ?? now)
      if (!isClosed && (badSince === undefined || now - badSince >= BAD_FOR_MS))
        found.node.status.report(condition)
    } catch (error) {
      fault(`the node's networks cannot be looked at: ${toCniError(error).message}`)
    } finally {
      again()
    }
  }
  const again = (): void => {
    if (!isClosed) timer = setTimeout(() => void look(), LOOK_INTERVAL_MS).unref()
  }
  again()
  return {
    close() {
      isClosed = true
      clearTimeout(timer)
    },
  }
}
