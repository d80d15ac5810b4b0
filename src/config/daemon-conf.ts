import { CniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import type { JsonObject } from '../cni/json.ts'
import type { CniVersion } from '../cni/version.ts'
import { daemonConfSchema } from './daemon-conf-schema.ts'
import { LOG_LEVELS, parseNetConf, withNumbers } from './net-conf.ts'
import { schemaError } from './schema-error.ts'
import { validateDaemonConf } from './validators.ts'

/** The daemon's configuration with every default applied. Durations are milliseconds. */
export interface DaemonConf {
  readonly socket: string
  readonly logLevel: 'silent' | 'error' | 'warn' | 'info' | 'debug'
  /** Host and port of the HTTP endpoints; `undefined` for none. */
  readonly metricsAddress: { readonly host: string; readonly port: number } | undefined
  readonly maxConcurrentAdds: number
  readonly drainTimeoutMs: number
  readonly errandIntervalMs: number
  readonly publishWaitMs: number
  readonly publishEvents: 'all' | 'failures' | 'none'
  readonly publishNodeCondition: boolean
  readonly pluginDirs: readonly string[]
  /**
   * Where the runtime's list is kept, and in which version unless that is found out; `undefined` when somebody else does
   * that.
   */
  readonly conflist: { readonly folder: string; readonly cniVersion: CniVersion | undefined } | undefined
  /** The net-conf's keys in the file: they win over those on stdin. */
  readonly netConf: JsonObject
  /** What is worth telling though it is no fault: keys without effect. */
  readonly warnings: readonly string[]
}

/** Defaults of the daemon's own keys; `docs/configuration.md` lists them. */
export const DAEMON_CONF_DEFAULTS = {
  socket: '/run/plexus/plexus.sock',
  logLevel: 'info',
  metricsAddress: '127.0.0.1:9097',
  maxConcurrentAdds: 8,
  drainTimeout: 30,
  errandInterval: 60,
  publishWait: 0,
  publishEvents: 'all',
  publishNodeCondition: true,
  pluginDirs: [],
  installConflist: false,
  conflistDir: '/etc/cni/net.d',
} as const

/** Keys of the daemon alone: those with a default, and one without. */
export const DAEMON_CONF_KEYS: readonly string[] = [...Object.keys(DAEMON_CONF_DEFAULTS), 'runtimeCniVersion']

/** Keys of the net-conf that have no effect behind the daemon, and why. */
export const INEFFECTIVE_KEYS: Readonly<Record<string, string>> = {
  binDir: 'the shim looks plugins up in CNI_PATH and in the binDirs of plexus.shim',
  lockTimeout: 'the shim takes the lock',
  maxOutputBytes: 'the shim bounds what a plugin prints',
  logFile: 'the daemon logs to stderr',
  logToStderr: 'the daemon logs to stderr',
  logOptions: "rotation is left to the node's tools",
  retryDeleteOnError: 'a failed DEL is always kept for a retry',
}

/** Keys that a running daemon keeps as they were at its start. */
export const RESTART_KEYS: readonly string[] = ['socket', 'metricsAddress', 'stateDir', 'cniDir']

/**
 * Validates the content of the daemon's configuration file and applies the defaults.
 *
 * @throws {CniError} InvalidNetworkConfig with all faults, each with its JSON pointer.
 */
export function parseDaemonConf(content: JsonObject): DaemonConf {
  const value = withNumbers(content)
  if (!validateDaemonConf(value)) {
    throw schemaError(
      'daemon configuration',
      validateDaemonConf.errors ?? [],
      Object.keys(daemonConfSchema.properties),
    )
  }
  const raw = { ...DAEMON_CONF_DEFAULTS, ...value } as {
    [Key in keyof typeof DAEMON_CONF_DEFAULTS]: never
  } & JsonObject
  const netConf = Object.fromEntries(Object.entries(value).filter(([key]) => !DAEMON_CONF_KEYS.includes(key)))
  // What no schema sees is a fault here and now, not one of every pod's later.
  parseNetConf({ type: 'plexus', ...netConf })
  return {
    socket: raw.socket,
    logLevel: LOG_LEVELS[raw.logLevel as keyof typeof LOG_LEVELS],
    metricsAddress: parseAddress(raw.metricsAddress),
    maxConcurrentAdds: raw.maxConcurrentAdds,
    drainTimeoutMs: Math.round(raw.drainTimeout * 1000),
    errandIntervalMs: Math.round(raw.errandInterval * 1000),
    publishWaitMs: Math.round(raw.publishWait * 1000),
    publishEvents: raw.publishEvents,
    publishNodeCondition: raw.publishNodeCondition,
    pluginDirs: raw.pluginDirs,
    conflist: raw.installConflist
      ? { folder: raw.conflistDir, cniVersion: raw.runtimeCniVersion as CniVersion | undefined }
      : undefined,
    netConf,
    warnings: Object.entries(INEFFECTIVE_KEYS)
      .filter(([key]) => key in value)
      .map(([key, why]) => `daemon configuration /${key} has no effect: ${why}`),
  }
}

/**
 * What a running daemon takes over of a new configuration: all but the keys that wait for the next start,
 * each of which is warned of.
 */
export function takeOver(current: DaemonConf, next: DaemonConf): DaemonConf {
  const places = (conf: DaemonConf): JsonObject => ({
    socket: conf.socket,
    metricsAddress: conf.metricsAddress,
    stateDir: conf.netConf.stateDir,
    cniDir: conf.netConf.cniDir,
  })
  const [now, later] = [places(current), places(next)]
  const { stateDir: _state, cniDir: _cni, ...netConf } = next.netConf
  const { stateDir, cniDir } = current.netConf
  return {
    ...next,
    socket: current.socket,
    metricsAddress: current.metricsAddress,
    netConf: {
      ...netConf,
      ...(stateDir === undefined ? {} : { stateDir }),
      ...(cniDir === undefined ? {} : { cniDir }),
    },
    warnings: [
      ...RESTART_KEYS.filter((key) => JSON.stringify(now[key]) !== JSON.stringify(later[key])).map(
        (key) => `daemon configuration /${key} has changed: it takes effect at restart`,
      ),
      ...next.warnings,
    ],
  }
}

/** The net-conf of a request: the daemon's keys over those that the runtime's file has. Design §3. */
export function overlayNetConf(stdin: JsonObject, daemon: JsonObject): JsonObject {
  return { ...stdin, ...daemon }
}

function parseAddress(text: string): DaemonConf['metricsAddress'] {
  if (text === '') return undefined
  const colon = text.lastIndexOf(':')
  const host = text.slice(0, colon).replace(/^\[(.*)\]$/, '$1')
  const port = Number(text.slice(colon + 1))
  if (port > 65535) {
    throw new CniError(
      CniErrorCode.InvalidNetworkConfig,
      `daemon configuration /metricsAddress has port ${port}: there are 0 to 65535`,
    )
  }
  return { host, port }
}
