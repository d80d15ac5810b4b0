import { capabilitiesOf } from '../cni/delegate-conf.ts'
import { isJsonObject, type JsonObject } from '../cni/json.ts'
import { asPluginConf, type PluginConf } from '../cni/plugin-conf.ts'
import { type CniVersion, isCniVersion } from '../cni/version.ts'
import { META_PLUGIN_TYPES } from './plugin-quirks.ts'

/** Name of the file that the runtime finds first, and of the network in it. */
export const NODE_CONFLIST_FILE = '00-plexus.conflist'
const NETWORK_NAME = 'plexus'

/** Capability by which the runtime hands over the pod's annotations, so that no request asks the cluster. */
const POD_ANNOTATIONS = 'io.kubernetes.cri.pod-annotations'

/** What the list on a node is made of. */
export interface NodeConflistInput {
  readonly cniVersion: CniVersion
  /** The default network's plugins: what they are capable of, the runtime is told for us. */
  readonly defaultPlugins: readonly PluginConf[]
  /** Further keys of our own entry. */
  readonly netConf: JsonObject
  /** From {@link keptOf}. */
  readonly kept: KeptOfConflist
}

/** What of a list that is there already is not ours to change. */
export interface KeptOfConflist {
  /** `undefined` when it is none that is released. */
  readonly cniVersion: CniVersion | undefined
  /** A name once given stays: runtimes file their results under it. */
  readonly name: string
  /** Plugins that others put before and behind ours, each type once. */
  readonly before: readonly PluginConf[]
  readonly behind: readonly PluginConf[]
}

/** What is kept of nothing. */
export const NOTHING_KEPT: KeptOfConflist = {
  cniVersion: undefined,
  name: NETWORK_NAME,
  before: [],
  behind: [],
}

/**
 * The list that makes the runtime call Plexus: one entry of ours with the union of the default network's
 * capabilities, and the plugins that others have put beside it, each once. The same input gives the same text.
 */
export function nodeConflist({ cniVersion, defaultPlugins, netConf, kept }: NodeConflistInput): string {
  const capabilities = [...new Set([...defaultPlugins.flatMap(capabilitiesOf), POD_ANNOTATIONS])].sort()
  const own = {
    ...netConf,
    type: 'plexus',
    capabilities: Object.fromEntries(capabilities.map((capability) => [capability, true])),
  }
  const beside = calledByRuntime(kept)
  const list = {
    cniVersion,
    name: kept.name,
    plugins: [
      ...kept.before,
      beside.length === 0 ? own : { ...own, calledByRuntime: beside },
      ...kept.behind,
    ],
  }
  return `${JSON.stringify(list, null, 2)}\n`
}

/** Types of the plugins that the runtime calls itself, which the default network must not call again. */
function calledByRuntime({ before, behind }: KeptOfConflist): string[] {
  return [...before, ...behind].map(({ type }) => type).sort()
}

/** What is kept of a list on the node; `undefined` when it is not one of ours any more. */
export function keptOf(list: unknown): KeptOfConflist | undefined {
  if (!isJsonObject(list) || !Array.isArray(list.plugins)) return undefined
  const plugins = list.plugins.flatMap((plugin) => asPluginConf(plugin) ?? [])
  const at = plugins.findIndex(({ type }) => type === 'plexus')
  if (at < 0) return undefined
  const isTheirs = ({ type }: PluginConf): boolean => !META_PLUGIN_TYPES.has(type)
  const before = onceEach(plugins.slice(0, at).filter(isTheirs), new Set())
  const behind = onceEach(plugins.slice(at).filter(isTheirs), new Set(before.map(({ type }) => type)))
  const name = typeof list.name === 'string' && list.name !== '' ? list.name : NETWORK_NAME
  return { cniVersion: isCniVersion(list.cniVersion) ? list.cniVersion : undefined, name, before, behind }
}

/** Of several of a type the last one: who appends anew means the newer one. */
function onceEach(plugins: readonly PluginConf[], taken: ReadonlySet<string>): PluginConf[] {
  return plugins.filter(
    ({ type }, index) =>
      !taken.has(type) && plugins.findLastIndex((plugin) => plugin.type === type) === index,
  )
}
