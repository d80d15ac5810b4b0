import { isJsonObject, type JsonObject } from '../cni/json.ts'

/** The configuration of Multus in our words. */
export interface MultusTranslation {
  /** The daemon's configuration. */
  readonly conf: JsonObject
  /** Folders of plugins that Multus looked into. */
  readonly pluginDirs: readonly string[]
  /** Where Multus kept its files, when it said so. */
  readonly cacheDir: string | undefined
  /** What is other than before, one sentence each. */
  readonly notes: readonly string[]
}

/** What the node adds to it. */
export interface MultusSurroundings {
  /** The runtime's folder of conf files, as the host names it. */
  readonly confDir: string
  /** What our own detection takes for the default network. */
  readonly detected: { readonly path: string; readonly name: string } | undefined
  /** Keys of the daemon that are not at their default. */
  readonly own: JsonObject
}

/** Same name, same meaning. */
const SAME: readonly string[] = [
  'defaultNetworks',
  'multusNamespace',
  'systemNamespaces',
  'namespaceIsolation',
  'globalNamespaces',
  'auxiliaryCNIChainName',
  'confDir',
  'logLevel',
]

/** What is left out and why; keys that are not here have no counterpart and need none. */
const LEFT_OUT: Readonly<Record<string, string>> = {
  kubeconfig: "Multus's own kubeconfig is not used: the daemon has its service account",
  logFile: 'the daemon logs to stderr; "kubectl logs" has it',
  retryDeleteOnError: 'a DEL that failed is always kept and tried again',
  perNodeCertificate: 'certificates for each node are not needed: the service account can do little',
  overrideNetworkName: 'the list on the node keeps its own name',
  forceCNIVersion: 'no file of another system is rewritten',
  connectionLimit: 'requests are not limited in number; maxConcurrentAdds bounds how many ADDs run at once',
}

/** Folders under which Multus's pod sees those of the host. */
const HOST_ROOTS: readonly string[] = ['/hostroot', '/host']

/**
 * Translates Multus's conf file, and its daemon's configuration, whose keys win over it, as they do there.
 *
 * @param conf Of thin Multus, of its shim, or `{}`.
 * @param daemon `daemon-config.json` of thick Multus, or `{}`.
 */
export function translateMultusConf(
  conf: JsonObject,
  daemon: JsonObject,
  { confDir, detected, own }: MultusSurroundings,
): MultusTranslation {
  const all: JsonObject = { ...conf, ...daemon }
  const notes: string[] = []
  const readiness = hostPath(all.readinessindicatorfile)
  const { metricsPort } = all
  const translated: JsonObject = {
    ...own,
    installConflist: true,
    conflistDir: confDir,
    strictCapabilities: false,
    ...defaultNetworkKeys(all, confDir, detected, notes),
    ...Object.fromEntries(SAME.flatMap((key) => (isGiven(all[key]) ? [[key, all[key]]] : []))),
    ...(readiness === undefined ? {} : { readinessindicatorfile: readiness }),
    ...(typeof metricsPort === 'number' ? { metricsAddress: `0.0.0.0:${metricsPort}` } : {}),
  }
  for (const [key, note] of Object.entries(LEFT_OUT))
    if (isGiven(all[key]) && all[key] !== false) notes.push(note)
  if (typeof metricsPort === 'number') {
    notes.push(`metrics are at port ${metricsPort} as before, under other names: see docs/metrics.md`)
  }
  const binDir = hostPath(all.binDir)
  return {
    conf: translated,
    pluginDirs: (binDir ?? '').split(':').filter((folder) => folder !== ''),
    cacheDir: hostPath(all.cniDir),
    notes,
  }
}

/**
 * None where our own detection comes to the same: then a change of its file takes effect, which Multus copies once.
 */
function defaultNetworkKeys(
  { clusterNetwork, delegates }: JsonObject,
  confDir: string,
  detected: MultusSurroundings['detected'],
  notes: string[],
): JsonObject {
  if (typeof clusterNetwork === 'string' && clusterNetwork !== '') {
    const path = hostPath(clusterNetwork) ?? ''
    const isInConfDir = clusterNetwork.includes('/') && path.startsWith(`${confDir}/`)
    if (isInConfDir && path === detected?.path) return {}
    if (clusterNetwork.includes('/')) return { defaultNetwork: path }
    return { clusterNetwork }
  }
  if (!Array.isArray(delegates) || delegates.length === 0) return {}
  const [first, ...others] = delegates
  const name = isJsonObject(first) ? first.name : undefined
  if (others.length === 0 && detected !== undefined && name === detected.name) return {}
  notes.push(
    'the default network is what Multus had inline, and does not follow its file: remove "delegates" to have it found in the folder',
  )
  return { delegates }
}

/** A path as the host names it: Multus's pod sees the host's folders below one of its own. */
function hostPath(path: unknown): string | undefined {
  if (typeof path !== 'string' || !path.startsWith('/')) return undefined
  const root = HOST_ROOTS.find((folder) => path.startsWith(`${folder}/`))
  return root === undefined ? path : path.slice(root.length)
}

function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null && value !== ''
}
