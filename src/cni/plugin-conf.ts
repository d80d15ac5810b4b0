import { toShown } from './faults.ts'
import { isJsonObject, type JsonObject } from './json.ts'

/** One plugin's configuration: a member of a list, or all of a single conf. Its other keys are kept. */
export interface PluginConf extends JsonObject {
  type: string
}

/** The value as a plugin's configuration when it has a `type`, else `undefined`. */
export function asPluginConf(value: unknown): PluginConf | undefined {
  return isPluginConf(value) ? value : undefined
}

function isPluginConf(value: unknown): value is PluginConf {
  return isJsonObject(value) && typeof value.type === 'string' && value.type !== ''
}

/**
 * The plugins that a conf makes run: its own `type`, then `ipam.type`, `delegate.type` and
 * `delegate.ipam.type` (flannel's way) as far as they are there.
 */
export function delegatedTypes(conf: PluginConf): string[] {
  const delegate = isJsonObject(conf.delegate) ? conf.delegate : {}
  return [conf.type, typeOf(conf.ipam), typeOf(delegate), typeOf(delegate.ipam)].filter(
    (type) => type !== undefined,
  )
}

function typeOf(conf: unknown): string | undefined {
  return asPluginConf(conf)?.type
}

/**
 * Everything that is wrong with one plugin's configuration: `type` (CNI-083), `capabilities` (CNI-078),
 * `args` (NPWG C-32).
 *
 * @param where JSON pointer of the conf in what the user wrote; '' is all of it.
 */
export function pluginConfFaults(conf: unknown, where: string): string[] {
  if (!isJsonObject(conf)) return [`${where} must be a JSON object, not ${toShown(conf)}`]
  return [...typeFaults(conf, where), ...capabilityFaults(conf, where), ...argsFaults(conf, where)]
}

function typeFaults(conf: JsonObject, where: string): string[] {
  const type = conf.type ?? ''
  if (type === '') return [`${where === '' ? '' : `${where}: `}missing 'type'`]
  if (typeof type !== 'string') return [`${where}/type must be a string, not ${toShown(type)}`]
  return delegatedTypes({ ...conf, type })
    .filter((name) => name === '.' || name === '..' || name.includes('/') || name.includes('\0'))
    .map((name) => `${where === '' ? '' : `${where}: `}invalid plugin name: ${name}`)
}

function capabilityFaults(conf: JsonObject, where: string): string[] {
  const capabilities = conf.capabilities ?? {}
  if (!isJsonObject(capabilities)) {
    return [`${where}/capabilities must be a JSON object, not ${toShown(capabilities)}`]
  }
  // The reference parser reads null as false.
  return Object.entries(capabilities)
    .filter(([, value]) => typeof value !== 'boolean' && value !== null)
    .map(([key, value]) => `${where}/capabilities/${key} must be true or false, not ${toShown(value)}`)
}

function argsFaults(conf: JsonObject, where: string): string[] {
  const args = conf.args ?? {}
  if (!isJsonObject(args)) return [`${where}/args must be a JSON object, not ${toShown(args)}`]
  const cni = args.cni ?? {}
  return isJsonObject(cni) ? [] : [`${where}/args/cni must be a JSON object, not ${toShown(cni)}`]
}
