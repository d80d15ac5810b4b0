import type { JsonObject } from '../cni/json.ts'
import { daemonConfSchema } from './daemon-conf-schema.ts'
import { LOG_LEVELS } from './net-conf.ts'
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
  /** The net-conf's keys in the file: they win over those on stdin. */
  readonly netConf: JsonObject
}

/** Defaults of the daemon's own keys; `docs/configuration.md` lists them. */
export const DAEMON_CONF_DEFAULTS = {
  socket: '/run/plexus/plexus.sock',
  logLevel: 'info',
  metricsAddress: '127.0.0.1:9097',
  maxConcurrentAdds: 8,
  drainTimeout: 30,
  errandInterval: 60,
} as const

const OWN_KEYS: readonly string[] = [...Object.keys(DAEMON_CONF_DEFAULTS)]

/**
 * Validates the content of the daemon's configuration file and applies the defaults.
 *
 * @throws {CniError} InvalidNetworkConfig with all faults, each with its JSON pointer.
 */
export function parseDaemonConf(value: JsonObject): DaemonConf {
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
  return {
    socket: raw.socket,
    logLevel: LOG_LEVELS[raw.logLevel as keyof typeof LOG_LEVELS],
    metricsAddress: parseAddress(raw.metricsAddress),
    maxConcurrentAdds: raw.maxConcurrentAdds,
    drainTimeoutMs: Math.round(raw.drainTimeout * 1000),
    errandIntervalMs: Math.round(raw.errandInterval * 1000),
    netConf: Object.fromEntries(Object.entries(value).filter(([key]) => !OWN_KEYS.includes(key))),
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
  return { host, port: Number(text.slice(colon + 1)) }
}
