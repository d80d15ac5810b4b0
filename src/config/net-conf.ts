import { networkOf } from '../cni/address.ts'
import { toCniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import { toFaultsError, toShown } from '../cni/faults.ts'
import { isJsonObject, type JsonObject, toNumber } from '../cni/json.ts'
import { nearMiss } from '../cni/near-miss.ts'
import { netConfSchema } from './net-conf-schema.ts'
import { schemaError } from './schema-error.ts'
import { validateNetConf } from './validators.ts'

/** Plexus's own configuration with every default applied. Durations are milliseconds. */
export interface NetConf {
  readonly manifests: string | undefined
  readonly kubeconfig: string | undefined
  readonly stateDir: string
  /** Folders in which a network is looked up by its name, in this order. */
  readonly confDirs: readonly string[]
  /** Folder whose first valid file is the default network when nothing names one. */
  readonly autoConfDir: string
  readonly binDirs: readonly string[]
  readonly defaultNetwork: string | undefined
  readonly defaultNetworks: readonly string[]
  readonly delegates: readonly JsonObject[]
  readonly multusNamespace: string
  readonly systemNamespaces: readonly string[]
  readonly namespaceIsolation: boolean
  readonly globalNamespaces: readonly string[]
  readonly readinessIndicatorFile: string | undefined
  readonly auxiliaryChain: string | undefined
  /** Plugin types beside ours in the runtime's list: the default network must not call them again. */
  readonly calledByRuntime: readonly string[]
  readonly result: 'merged' | 'default-network'
  readonly strictCapabilities: boolean
  readonly parallel: boolean
  readonly clusterCIDRs: readonly string[]
  readonly allowedPluginTypes: readonly string[] | undefined
  readonly delAttempts: number
  readonly addTimeoutMs: number
  readonly delegateTimeoutMs: number
  readonly lockTimeoutMs: number
  readonly readinessTimeoutMs: number
  readonly maxOutputBytes: number
  readonly devInfoDir: string
  readonly podResourcesSocket: string
  readonly podResourcesTimeoutMs: number
  readonly logFile: string | undefined
  readonly logLevel: 'silent' | 'error' | 'warn' | 'info' | 'debug'
  readonly logToStderr: boolean
  /** What the runtime passed, only for capabilities that the conf declares (CNI-030). */
  readonly runtimeConfig: JsonObject
  readonly prevResult: JsonObject | undefined
  /** What is worth telling though it is no fault: unknown keys, keys without effect. */
  readonly warnings: readonly string[]
}

/** Defaults of every key that has one; `docs/configuration.md` lists them. */
export const NET_CONF_DEFAULTS = {
  stateDir: '/var/lib/cni/plexus',
  confDirs: ['/etc/cni/multus/net.d', '/etc/cni/net.d'],
  multusAutoconfigDir: '/etc/cni/net.d',
  multusNamespace: 'kube-system',
  systemNamespaces: ['kube-system'],
  namespaceIsolation: false,
  globalNamespaces: 'default',
  result: 'merged',
  strictCapabilities: true,
  parallel: false,
  delAttempts: 5,
  addTimeout: 100,
  delegateTimeout: 60,
  lockTimeout: 30,
  readinessTimeout: 45,
  maxOutputBytes: 16 * 1024 * 1024,
  devInfoDir: '/var/run/k8s.cni.cncf.io/devinfo',
  podResourcesSocket: '/var/lib/kubelet/pod-resources/kubelet.sock',
  podResourcesTimeout: 10,
  logLevel: 'warn',
  logToStderr: true,
} as const

type RawConf = Partial<{
  [Key in keyof (typeof netConfSchema)['properties']]: unknown
}>

/** Level of the log for each word that `logLevel` may be, Multus's among them. */
export const LOG_LEVELS = {
  panic: 'silent',
  error: 'error',
  warn: 'warn',
  verbose: 'info',
  info: 'info',
  debug: 'debug',
} as const

/**
 * Validates the net-conf of the request and applies the defaults. Keys of Multus have Multus's meaning;
 * `defaultNetwork` wins over `clusterNetwork`, `stateDir` over `cniDir`.
 *
 * @param conf The net-conf as it came on stdin.
 * @throws {CniError} InvalidNetworkConfig with all faults, each with its JSON pointer.
 */
export function parseNetConf(conf: JsonObject): NetConf {
  const raw: RawConf = withNumbers(conf)
  if (!validateNetConf(raw))
    throw schemaError('net-conf', validateNetConf.errors ?? [], Object.keys(netConfSchema.properties))
  const text = (key: keyof RawConf): string | undefined => {
    const value = raw[key]
    return typeof value === 'string' && value !== '' ? value : undefined
  }
  const number = (key: 'delAttempts' | 'maxOutputBytes' | SecondsKey): number => {
    const value = raw[key]
    return typeof value === 'number' ? value : NET_CONF_DEFAULTS[key]
  }
  const milliseconds = (key: SecondsKey): number => Math.round(number(key) * 1000)
  const list = (key: keyof RawConf): readonly string[] | undefined => raw[key] as string[] | undefined
  const flag = (key: 'namespaceIsolation' | 'strictCapabilities' | 'parallel' | 'logToStderr'): boolean =>
    (raw[key] as boolean | undefined) ?? NET_CONF_DEFAULTS[key]
  const confDir = text('confDir')
  return {
    manifests: text('manifests'),
    kubeconfig: text('kubeconfig'),
    stateDir: text('stateDir') ?? text('cniDir') ?? NET_CONF_DEFAULTS.stateDir,
    confDirs: confDir === undefined ? NET_CONF_DEFAULTS.confDirs : [confDir],
    autoConfDir: text('multusAutoconfigDir') ?? confDir ?? NET_CONF_DEFAULTS.multusAutoconfigDir,
    binDirs: (text('binDir') ?? '').split(':').filter((directory) => directory !== ''),
    defaultNetwork: text('defaultNetwork') ?? text('clusterNetwork'),
    defaultNetworks: list('defaultNetworks') ?? [],
    delegates: (raw.delegates as JsonObject[] | undefined) ?? [],
    multusNamespace: text('multusNamespace') ?? NET_CONF_DEFAULTS.multusNamespace,
    systemNamespaces: list('systemNamespaces') ?? NET_CONF_DEFAULTS.systemNamespaces,
    namespaceIsolation: flag('namespaceIsolation'),
    globalNamespaces: (text('globalNamespaces') ?? NET_CONF_DEFAULTS.globalNamespaces)
      .split(',')
      .map((namespace) => namespace.trim())
      .filter((namespace) => namespace !== ''),
    readinessIndicatorFile: text('readinessindicatorfile'),
    auxiliaryChain: text('auxiliaryCNIChainName'),
    calledByRuntime: list('calledByRuntime') ?? [],
    result: (raw.result as NetConf['result'] | undefined) ?? NET_CONF_DEFAULTS.result,
    strictCapabilities: flag('strictCapabilities'),
    parallel: flag('parallel'),
    clusterCIDRs: readNetworks(list('clusterCIDRs') ?? []),
    allowedPluginTypes: list('allowedPluginTypes'),
    delAttempts: number('delAttempts'),
    addTimeoutMs: milliseconds('addTimeout'),
    delegateTimeoutMs: milliseconds('delegateTimeout'),
    lockTimeoutMs: milliseconds('lockTimeout'),
    readinessTimeoutMs: milliseconds('readinessTimeout'),
    maxOutputBytes: number('maxOutputBytes'),
    devInfoDir: text('devInfoDir') ?? NET_CONF_DEFAULTS.devInfoDir,
    podResourcesSocket: text('podResourcesSocket') ?? NET_CONF_DEFAULTS.podResourcesSocket,
    podResourcesTimeoutMs: milliseconds('podResourcesTimeout'),
    logFile: text('logFile'),
    logLevel: LOG_LEVELS[(raw.logLevel as keyof typeof LOG_LEVELS | undefined) ?? NET_CONF_DEFAULTS.logLevel],
    logToStderr: flag('logToStderr'),
    runtimeConfig: declaredRuntimeConfig(conf),
    prevResult: (raw.prevResult as JsonObject | null | undefined) ?? undefined,
    warnings: unknownKeys(conf).map(({ text }) => `net-conf: ${text}`),
  }
}

/**
 * A configuration with what each request has of its own: `runtimeConfig` and `prevResult`.
 *
 * @param known What {@link parseNetConf} made of `conf` without the two.
 * @returns `undefined` when one of them is of the wrong type: then the whole has to be parsed.
 */
export function withRequestValues(known: NetConf, conf: JsonObject): NetConf | undefined {
  const { runtimeConfig = {}, prevResult = null } = conf
  if (!isJsonObject(runtimeConfig) || (prevResult !== null && !isJsonObject(prevResult))) return undefined
  return { ...known, runtimeConfig: declaredRuntimeConfig(conf), prevResult: prevResult ?? undefined }
}

/** The keys of our own as numbers, however they are written (`60.0`, `1e6`). */
export function withNumbers(conf: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(conf).map(([key, value]) => [key, toNumber(value) ?? value]))
}

function readNetworks(cidrs: readonly string[]): string[] {
  const faults: string[] = []
  const networks = cidrs.flatMap((cidr, index) => {
    const network = networkOf(cidr)
    if (network === undefined) {
      faults.push(`net-conf /clusterCIDRs/${index} must be a prefix like 10.244.0.0/16, not ${toShown(cidr)}`)
    }
    return network ?? []
  })
  if (faults.length > 0) throw toFaultsError(CniErrorCode.InvalidNetworkConfig, '', faults)
  return networks
}

/**
 * The configuration of a DEL. What is recorded can be undone whatever has become of the net-conf since
 * (design §5): of one that is wrong by now only the folders count, and no default network is guessed.
 */
export function parseDelConf(conf: JsonObject): NetConf {
  try {
    return parseNetConf(conf)
  } catch (error) {
    const folders = Object.fromEntries(
      ['stateDir', 'cniDir', 'binDir', 'manifests'].flatMap((key) => {
        const value = conf[key]
        return typeof value === 'string' && value.startsWith('/') ? [[key, value]] : []
      }),
    )
    const warning = `the net-conf is wrong by now, only what is recorded is undone: ${toCniError(error).message}`
    return { ...parseNetConf({ type: 'plexus', ...folders }), autoConfDir: '', warnings: [warning] }
  }
}

type SecondsKey =
  | 'addTimeout'
  | 'delegateTimeout'
  | 'lockTimeout'
  | 'readinessTimeout'
  | 'podResourcesTimeout'

function declaredRuntimeConfig(conf: JsonObject): JsonObject {
  const declared = (conf.capabilities ?? {}) as JsonObject
  const given = (conf.runtimeConfig ?? {}) as JsonObject
  return Object.fromEntries(
    Object.entries(given).filter(([key, value]) => declared[key] === true && value !== null),
  )
}

/** Keys of a net-conf that nobody reads, each with a sentence. CNI-031. */
export function unknownKeys(conf: JsonObject): { key: string; text: string }[] {
  const known = Object.keys(netConfSchema.properties)
  return Object.keys(conf)
    .filter((key) => !known.includes(key) && !key.startsWith('cni.dev/') && !OTHERS_KEYS.includes(key))
    .map((key) => {
      const nearest = nearMiss(key, known)
      const meant = nearest === undefined ? '' : `; did you mean "${nearest}"?`
      return { key, text: `unknown key "${key}"${meant}` }
    })
}

const OTHERS_KEYS = [
  // Of a list, which a runtime may leave in a member.
  'cniVersions',
  'disableCheck',
  'disableGC',
  'loadOnlyInlinedPlugins',
  // In the file that Multus's daemon writes.
  'daemonSocketDir',
  'overrideNetworkName',
]
