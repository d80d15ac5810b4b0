import { statSync } from 'node:fs'
import { CniError, toCniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import { type Conflist, parseConflist } from '../cni/conflist.ts'
import { parseJson } from '../cni/json.ts'
import type { NetConf } from '../config/net-conf.ts'
import type { Labels } from '../network/label-selector.ts'
import type { NetworkAttachmentDefinition } from '../network/nad.ts'
import { needsNamespaceLabels } from '../plan/allowed-namespaces.ts'
import type { ResolvedNetwork } from '../plan/plan-attachments.ts'
import { isMetaPlugin } from '../plan/plugin-quirks.ts'
import type { RequestedNetwork } from '../plan/requested-network.ts'
import type { ClusterStore } from '../store/cluster-store.ts'
import {
  findConfByName,
  findFirstConf,
  listConfFiles,
  readChainFolder,
  readConfFile,
} from '../store/conf-files.ts'
import type { EngineContext } from './engine.ts'

/** Where configurations are looked for. */
export interface ResolutionSources {
  readonly conf: Pick<NetConf, 'confDirs'>
  /** `undefined` when no cluster is configured: then no NAD can be had. */
  readonly store: ClusterStore | undefined
  readonly knownFile?: EngineContext['knownFile']
}

interface Found {
  readonly conflist: Conflist
  readonly nad?: NetworkAttachmentDefinition
  readonly source: string
  readonly warnings?: readonly string[]
}

/**
 * Finds the configuration of each network. One that has none, or a wrong one, gets a fault and the
 * others are looked for all the same, so that every fault is reported at once.
 *
 * @throws {CniError} What the store throws when it cannot tell: that is no fault of the network.
 */
export async function resolveNetworks(
  networks: readonly RequestedNetwork[],
  sources: ResolutionSources,
): Promise<ResolvedNetwork[]> {
  // All at once: a slow cluster is waited for once, not once for each network.
  const resolved = await Promise.all(networks.map((requested) => resolveNetwork(requested, sources)))
  return resolved.filter((network) => network !== undefined)
}

/**
 * The labels of the pod's namespace, where a NAD depends on them; most do not, and nobody is asked.
 *
 * @throws {CniError} What the store throws when it cannot tell.
 */
export async function findNamespaceLabels(
  store: ClusterStore | undefined,
  podNamespace: string | undefined,
  networks: readonly ResolvedNetwork[],
): Promise<Labels | undefined> {
  if (podNamespace === undefined || !needsNamespaceLabels(networks, podNamespace)) return undefined
  return await store?.namespaceLabels(podNamespace)
}

async function resolveNetwork(
  requested: RequestedNetwork,
  sources: ResolutionSources,
): Promise<ResolvedNetwork | undefined> {
  const nad = await fetchNad(requested, sources.store)
  try {
    const found = find(requested, nad, sources)
    if (found === undefined) return undefined
    const { conflist, source, warnings = [] } = found
    return { requested, conflist, nad: found.nad, source, fault: undefined, warnings }
  } catch (error) {
    const fault = toCniError(error)
    return { requested, conflist: undefined, nad, source: describe(requested), fault, warnings: [] }
  }
}

async function fetchNad(
  { reference }: RequestedNetwork,
  store: ClusterStore | undefined,
): Promise<NetworkAttachmentDefinition | undefined> {
  if (store === undefined || (reference.kind !== 'nad' && reference.kind !== 'named')) return undefined
  return await store.nad(reference.namespace, reference.name, reference.kind === 'named')
}

function find(
  requested: RequestedNetwork,
  nad: NetworkAttachmentDefinition | undefined,
  { conf, store, knownFile }: ResolutionSources,
): Found | undefined {
  const { reference } = requested
  switch (reference.kind) {
    case 'nad':
      if (nad === undefined) throw nadNotFound(reference, store)
      return fromNad(nad, conf.confDirs)
    case 'named': {
      if (nad !== undefined) return fromNad(nad, conf.confDirs)
      const { file, ignored } = findConfByName(conf.confDirs, reference.name)
      return { conflist: file.conflist, source: `file ${file.path}`, warnings: ignored }
    }
    case 'path': {
      const { path, conflist } = knownFile?.(reference.path) ?? readConfFile(fileAt(reference.path))
      return { conflist, source: `file ${path}` }
    }
    case 'inline': {
      const { what, conf: given } = reference
      const conflist = parsedOnce(given, () => parseConflist(given, { what, form: 'by-content' }))
      return { conflist, source: what }
    }
    case 'first-file':
      return firstFile(reference.directory)
    case 'auxiliary': {
      const { directory, name } = reference
      const plugins = readChainFolder(directory, name)
      if (plugins.length === 0) return undefined
      const what = `folder ${directory}/${name}`
      const list = { name, cniVersion: '1.0.0', plugins: [{ type: 'passthru' }, ...plugins] }
      return { conflist: parseConflist(list, { what, form: 'conflist' }), source: what }
    }
  }
}

function fromNad(nad: NetworkAttachmentDefinition, confDirs: readonly string[]): Found {
  const title = `NAD ${nad.namespace}/${nad.name}`
  if (nad.config === undefined) {
    try {
      const { file, ignored } = findConfByName(confDirs, nad.name)
      return { conflist: file.conflist, nad, source: `${title}, file ${file.path}`, warnings: ignored }
    } catch (error) {
      throw toCniError(error).at(`${title} has no spec.config`)
    }
  }
  const { config } = nad
  const what = `spec.config of ${title}`
  const conflist = parsedOnce(nad, () =>
    parseConflist(parseJson(config, what), { what, fallbackName: nad.name, form: 'by-content' }),
  )
  return { conflist, nad, source: title }
}

/**
 * The configuration of a NAD, of its text or of the file that it stands for.
 *
 * @throws {CniError} What is wrong with it.
 */
export function nadConflist(nad: NetworkAttachmentDefinition, confDirs: readonly string[]): Conflist {
  return fromNad(nad, confDirs).conflist
}

/** Parsed configurations by the object that they are of: stores hand out the same one until it changes. */
const parsed = new WeakMap<object, Conflist>()

function parsedOnce(owner: object, parse: () => Conflist): Conflist {
  const conflist = parsed.get(owner) ?? parse()
  parsed.set(owner, conflist)
  return conflist
}

function firstFile(directory: string): Found {
  const { file, ignored } = findFirstConf(directory, isMetaPlugin)
  if (file !== undefined) return { conflist: file.conflist, source: `file ${file.path}`, warnings: ignored }
  throw new CniError(
    CniErrorCode.InvalidNetworkConfig,
    `no net configurations found in ${directory}: there is no default network`,
    {
      hint: 'install the default CNI, or name it by "defaultNetwork" or "delegates"',
      faults: ignored,
    },
  )
}

function fileAt(path: string): string {
  const stat = statSync(path, { throwIfNoEntry: false })
  if (stat === undefined)
    throw new CniError(CniErrorCode.InvalidNetworkConfig, `cannot find network: ${path} does not exist`, {
      hint: 'start the CNI that writes this file, or name another one by "defaultNetwork"',
    })
  if (!stat.isDirectory()) return path
  const [first] = listConfFiles(path)
  if (first === undefined)
    throw new CniError(CniErrorCode.InvalidNetworkConfig, `no net configurations found in ${path}`)
  return first
}

function nadNotFound(
  reference: { namespace: string; name: string },
  store: ClusterStore | undefined,
): CniError {
  const { namespace, name } = reference
  if (store === undefined) {
    return new CniError(
      CniErrorCode.InvalidNetworkConfig,
      `NAD ${namespace}/${name} cannot be looked up: the net-conf names no cluster`,
      { hint: 'set "kubeconfig" or "manifests" in the net-conf' },
    )
  }
  return new CniError(
    CniErrorCode.InvalidNetworkConfig,
    `cannot find a network-attachment-definition (${name}) in namespace (${namespace})`,
    { hint: `create the NAD ${namespace}/${name}, or correct the pod's annotation` },
  )
}

function describe({ reference }: RequestedNetwork): string {
  switch (reference.kind) {
    case 'nad':
    case 'named':
      return `NAD ${reference.namespace}/${reference.name}`
    case 'path':
      return `file ${reference.path}`
    case 'inline':
      return reference.what
    case 'first-file':
      return `folder ${reference.directory}`
    case 'auxiliary':
      return `folder ${reference.directory}/${reference.name}`
  }
}
