import { toCniError } from './cni-error.ts'
import { CniErrorCode } from './codes.ts'
import { toFaultsError, toShown } from './faults.ts'
import { identifierFault } from './identifier.ts'
import { isJsonObject, type JsonObject } from './json.ts'
import { asPluginConf, type PluginConf, pluginConfFaults } from './plugin-conf.ts'
import { type CniVersion, isCniVersion, pickVersion, SUPPORTED_TEXT } from './version.ts'

export { delegatedTypes, type PluginConf } from './plugin-conf.ts'

/** A network's plugins in the order of ADD; a single conf is a list of one. CNI-081. */
export interface Conflist {
  name: string
  /** The version that all its plugins are called in. CNI-037. */
  cniVersion: CniVersion
  /** Every key in the order and to the digit as it was written; not empty. */
  plugins: PluginConf[]
  disableCheck: boolean
  disableGC: boolean
  loadOnlyInlinedPlugins: boolean
  /** Whether it was written with `plugins`. */
  isList: boolean
  /** The configuration as it was parsed. */
  source: JsonObject
}

/** How {@link parseConflist} is to read a configuration. */
export interface ParseConflistOptions {
  /** What it is, for messages, for example `spec.config of NAD telco/n6`. */
  readonly what: string
  /** Name of a network whose configuration has none. CNI-082. */
  readonly fallbackName?: string
  /** A file's extension decides for it; a NAD's content does. CNI-142. */
  readonly form: 'by-content' | 'conf' | 'conflist'
  /** Confs of the directory beside a conflist file, by file name. CNI-086. */
  readonly subdirectoryPlugins?: readonly JsonObject[]
}

/**
 * Reads one network's configuration. CNI-008, CNI-037, CNI-078, CNI-081 to CNI-086, NPWG C-32.
 *
 * @param value As `parseJson` gave it.
 * @throws {CniError} With all faults: IncompatibleCniVersion when an unknown cniVersion is the only one,
 *   else InvalidNetworkConfig.
 */
export function parseConflist(value: unknown, options: ParseConflistOptions): Conflist {
  const { what, form } = options
  if (!isJsonObject(value)) {
    throw toFaultsError(CniErrorCode.InvalidNetworkConfig, what, [
      `must be a JSON object, not ${toShown(value)}`,
    ])
  }
  const isList = form === 'conflist' || (form === 'by-content' && Object.hasOwn(value, 'plugins'))
  const faults: string[] = []
  const name = parseName(value, options.fallbackName, faults)
  const version = parseListVersion(value, isList, faults)
  const flag = (key: string): boolean => isList && parseFlag(value, key, faults)
  const disableCheck = flag('disableCheck')
  const disableGC = flag('disableGC')
  const loadOnlyInlinedPlugins = flag('loadOnlyInlinedPlugins')
  const members = isList
    ? listMembers(
        value,
        loadOnlyInlinedPlugins ? [] : (options.subdirectoryPlugins ?? []),
        loadOnlyInlinedPlugins,
        faults,
      )
    : [{ conf: value, where: '' }]
  for (const { conf, where } of members) faults.push(...pluginConfFaults(conf, where))
  const plugins = members.flatMap(({ conf }) => asPluginConf(conf) ?? [])
  if (form === 'conf' && faults.length > 0 && Object.hasOwn(value, 'plugins')) {
    faults.push('it has "plugins" but is read as a single conf; a list belongs into a .conflist file')
  }
  const isSupported = isCniVersion(version)
  if (!isSupported) {
    const types = plugins.map(({ type }) => ` "${type}"`).join(',')
    faults.push(
      `cniVersion "${version}" of network "${name}"${types === '' ? '' : ` (plugin${types})`} ` +
        `is not supported; supported are ${SUPPORTED_TEXT}`,
    )
  }
  if (isSupported && faults.length === 0) {
    return {
      name,
      cniVersion: version,
      plugins,
      disableCheck,
      disableGC,
      loadOnlyInlinedPlugins,
      isList,
      source: value,
    }
  }
  const code =
    faults.length === 1 && !isSupported
      ? CniErrorCode.IncompatibleCniVersion
      : CniErrorCode.InvalidNetworkConfig
  throw toFaultsError(code, what, faults)
}

function parseName(conf: JsonObject, fallbackName: string | undefined, faults: string[]): string {
  const name = (conf.name ?? '') === '' ? (fallbackName ?? '') : conf.name
  if (typeof name !== 'string') {
    faults.push(`/name must be a string, not ${toShown(name)}`)
    return ''
  }
  const fault = identifierFault(name)
  if (name === '') faults.push('no name: /name is missing')
  else if (fault !== undefined) faults.push(`/name ${toShown(name)} ${fault}`)
  return name
}

/** An absent version is 0.1.0: an empty one would reach plugins as `invalid version ""`. CNI-023. */
function parseListVersion(conf: JsonObject, isList: boolean, faults: string[]): string {
  const asked = conf.cniVersion ?? ''
  if (typeof asked !== 'string') {
    faults.push(`/cniVersion must be a string, not ${toShown(asked)}`)
    return '0.1.0'
  }
  const others = isList ? (conf.cniVersions ?? []) : []
  let version = asked
  if (Array.isArray(others)) {
    try {
      version = pickVersion(asked, others)
    } catch (error) {
      faults.push(toCniError(error).message)
    }
  } else {
    faults.push(`/cniVersions must be a list of strings, not ${toShown(others)}`)
  }
  return version === '' ? '0.1.0' : version
}

/** A boolean, or the word for one in any case. CNI-084. */
function parseFlag(conf: JsonObject, key: string, faults: string[]): boolean {
  const value = conf[key]
  if (typeof value === 'boolean') return value
  const word = typeof value === 'string' ? value.toLowerCase() : undefined
  if (word === 'true' || word === 'false') return word === 'true'
  if (Object.hasOwn(conf, key)) faults.push(`/${key} must be true or false, not ${toShown(value)}`)
  return false
}

interface Member {
  readonly conf: unknown
  /** JSON pointer. */
  readonly where: string
}

function listMembers(
  list: JsonObject,
  subdirectoryPlugins: readonly JsonObject[],
  loadOnlyInlinedPlugins: boolean,
  faults: string[],
): Member[] {
  const inlined = list.plugins
  const members: Member[] = []
  if (Object.hasOwn(list, 'plugins')) {
    if (!Array.isArray(inlined)) faults.push(`/plugins must be a list, not ${toShown(inlined)}`)
    else if (inlined.length === 0) faults.push('no plugins in list: /plugins is empty')
    else members.push(...inlined.map((conf: unknown, index) => ({ conf, where: `/plugins/${index}` })))
  } else if (loadOnlyInlinedPlugins) {
    faults.push('/loadOnlyInlinedPlugins is true, but there is no "plugins"')
  } else if (subdirectoryPlugins.length === 0) {
    faults.push('no plugin configs found: there is no "plugins", and none in the directory of the network')
  }
  const appended = subdirectoryPlugins.map((conf, index) => ({
    conf,
    where: `file ${index + 1} of the directory`,
  }))
  return [...members, ...appended]
}
