import { CniError } from '../cni/cni-error.ts'
import { isJsonObject, type JsonObject } from '../cni/json.ts'
import { nearName } from '../cni/near-miss.ts'
import { type NetConf, parseNetConf, unknownKeys } from '../config/net-conf.ts'
import { META_PLUGIN_TYPES } from '../plan/plugin-quirks.ts'
import { type KnownNetwork, validateNetwork } from './network-validation.ts'
import type { Report } from './report.ts'
import type { ValuePath } from './source-text.ts'

/** What a file with a CNI configuration holds. */
export interface ConfFile {
  /** Plexus's or Multus's own configuration in it, when it is one and right. */
  readonly netConf: NetConf | undefined
  /** Way from the file to it. */
  readonly path: ValuePath
  /** The networks that it makes, those of `delegates` included. */
  readonly networks: readonly KnownNetwork[]
}

/** Whether a value looks like a CNI configuration and not like a Kubernetes object. */
export function isCniConf(value: unknown): value is JsonObject {
  if (!isJsonObject(value) || typeof value.kind === 'string') return false
  return ['type', 'plugins', 'cniVersion', 'delegates', 'clusterNetwork'].some((key) =>
    Object.hasOwn(value, key),
  )
}

/** Checks a CNI configuration in a file: Plexus's or Multus's own, or any other network's. */
export function validateConfFile(value: JsonObject, report: Report, file: string): ConfFile {
  const own = findOwn(value)
  if (own !== undefined) return validateOwn(own.conf, report, own.path, file)
  const source = { title: file, nad: undefined, file, fallbackName: '' }
  return { netConf: undefined, path: [], networks: [validateNetwork(value, report, source)] }
}

/** The configuration of a meta-plugin: all of it, or a member of a list. */
function findOwn(value: JsonObject): { conf: JsonObject; path: ValuePath } | undefined {
  if (META_PLUGIN_TYPES.has(String(value.type))) return { conf: value, path: [] }
  const members: unknown[] = Array.isArray(value.plugins) ? value.plugins : []
  for (const [index, conf] of members.entries()) {
    if (isJsonObject(conf) && META_PLUGIN_TYPES.has(String(conf.type)))
      return { conf, path: ['plugins', index] }
  }
  return undefined
}

function validateOwn(conf: JsonObject, report: Report, path: ValuePath, file: string): ConfFile {
  const delegates = Array.isArray(conf.delegates) ? conf.delegates : []
  const networks = delegates.map((delegate: unknown, index) =>
    validateNetwork(delegate, report.within([...path, 'delegates', index]), {
      title: `delegates[${index}] of ${file}`,
      nad: undefined,
      file,
      fallbackName: '',
    }),
  )
  return { netConf: readOwn(conf, report, path), path, networks }
}

function readOwn(conf: JsonObject, report: Report, path: ValuePath): NetConf | undefined {
  for (const { key, text } of unknownKeys(conf)) report.add('net-conf-key', [...path, key], text)
  try {
    return parseNetConf(conf)
  } catch (error) {
    if (!(error instanceof CniError)) throw error
    for (const fault of error.faults.length > 0 ? error.faults : [error.message]) {
      const pointer = /^net-conf ((?:\/[^\s/:]+)+)/.exec(fault)?.[1]
      const steps = pointer?.split('/').slice(1) ?? []
      const message = fault.replace(/^net-conf:? /, '')
      report.add(
        'net-conf',
        [...path, ...steps.map((step) => (/^\d+$/.test(step) ? Number(step) : step))],
        message,
      )
    }
    return undefined
  }
}

/** Warns of a network that a net-conf names, when it is not there and another is nearly so called. */
export function checkNamedNetworks(
  conf: NetConf,
  nads: ReadonlyMap<string, KnownNetwork>,
  report: Report,
  path: ValuePath,
): void {
  const named: [string, ValuePath][] = [
    ...(conf.defaultNetwork === undefined
      ? []
      : [[conf.defaultNetwork, ['defaultNetwork']] as [string, ValuePath]]),
    ...conf.defaultNetworks.map((name, index): [string, ValuePath] => [name, ['defaultNetworks', index]]),
  ]
  for (const [name, at] of named) {
    if (name.startsWith('/')) continue
    const wanted = name.includes('/') ? name : `${conf.multusNamespace}/${name}`
    const meant = nads.has(wanted) ? undefined : nearName(wanted, [...nads.keys()])
    if (meant === undefined) continue
    report.add(
      'network-near-miss',
      [...path, ...at],
      `NAD ${wanted} is not among these files; did you mean ${meant}?`,
    )
  }
}

/** Key of the NAD that is the default network of the node, if it is one. */
export function defaultNadKey({ defaultNetwork, multusNamespace }: NetConf): string | undefined {
  if (defaultNetwork === undefined || defaultNetwork.startsWith('/')) return undefined
  return defaultNetwork.includes('/') ? defaultNetwork : `${multusNamespace}/${defaultNetwork}`
}
