import { isDefaultRoute } from '../cni/address.ts'
import { CniError } from '../cni/cni-error.ts'
import { type Conflist, parseConflist } from '../cni/conflist.ts'
import { isJsonObject, type JsonObject, parseJson } from '../cni/json.ts'
import { locateJson, pointerSteps } from '../cni/json-position.ts'
import { nearMiss } from '../cni/near-miss.ts'
import { isCniVersion } from '../cni/version.ts'
import { type NetworkAttachmentDefinition, resourceName } from '../network/nad.ts'
import { runsIpamPlugin } from '../plan/plugin-quirks.ts'
import { applyIpamRules } from './ipam-rules.ts'
import { ipamSchemaOf, roleOf, schemaOf, suggestType, versionNeeded } from './known-plugins.ts'
import { applyPluginRules } from './plugin-rules.ts'
import { type PluginView, textOf } from './plugin-view.ts'
import type { Report, TextReport } from './report.ts'
import { checkObject, isRemark } from './schema-check.ts'
import { jsonHint, type ValuePath } from './source-text.ts'

/** A network's configuration with what other checks need of it. */
export interface KnownNetwork {
  /** How messages call it: `NAD telco/n6`. */
  readonly title: string
  /** The NAD that it is from. */
  readonly nad: NetworkAttachmentDefinition | undefined
  /** The net-conf that it is from, otherwise. */
  readonly file: string | undefined
  /** `undefined` when it cannot be used. */
  readonly conflist: Conflist | undefined
  readonly plugins: readonly PluginView[]
  readonly report: Report
}

/** Where a configuration is from. */
export interface NetworkSource {
  readonly title: string
  readonly nad: NetworkAttachmentDefinition | undefined
  readonly file: string | undefined
  /** Name of a network whose configuration has none. */
  readonly fallbackName: string
}

/** Keys of a conf that {@link parseConflist} looks at. */
const PARSED_KEYS = ['name', 'cniVersion', 'type', 'capabilities', 'args']

const LIST_KEYS = [
  'cniVersion',
  'cniVersions',
  'name',
  'plugins',
  'disableCheck',
  'disableGC',
  'loadOnlyInlinedPlugins',
]

/** Reads the JSON of a configuration; `undefined` when it is none, which is reported. */
export function readConfigText(text: string, report: TextReport): unknown {
  const { fault, duplicates } = locateJson(text)
  if (fault !== undefined) {
    report.addAt('config-syntax', fault.offset, `not JSON: ${fault.reason}`, jsonHint(text, fault.offset))
    return undefined
  }
  for (const pointer of duplicates) {
    addDuplicate(report, pointerSteps(pointer))
  }
  return parseJson(text, 'the configuration')
}

/** Warns of a key that is twice in its JSON object. */
export function addDuplicate(report: Report, path: ValuePath): void {
  report.add('duplicate-key', path, `key "${path.at(-1)}" is there twice; the last one counts`)
}

/** Checks one network's configuration: a conf or a conflist. */
export function validateNetwork(value: unknown, report: Report, source: NetworkSource): KnownNetwork {
  const { title, nad, file, fallbackName } = source
  const conflist = readConflist(value, report, fallbackName)
  const network = { title, nad, file, conflist, report }
  if (!isJsonObject(value)) return { ...network, plugins: [] }
  if (Array.isArray(value.plugins)) warnListKeys(value, report)
  if ((value.cniVersion ?? '') === '' && !Array.isArray(value.cniVersions)) {
    report.add('cni-version-missing', [], 'no cniVersion: it counts as 0.1.0', 'write "cniVersion": "1.0.0"')
  }
  const members: [unknown, ValuePath][] = Array.isArray(value.plugins)
    ? value.plugins.map((conf: unknown, index) => [conf, ['plugins', index]])
    : [[value, []]]
  const first = members[0]?.[0]
  const firstType = isJsonObject(first) ? (textOf(first, 'type') ?? '') : ''
  const makesInterface = members.map(
    ([conf]) => isJsonObject(conf) && roleOf(textOf(conf, 'type') ?? '') === 'main',
  )
  const plugins = members.flatMap(([conf, path], index) => {
    const isSecond = makesInterface.slice(0, index).includes(true)
    return isJsonObject(conf)
      ? [validatePlugin(conf, { path, index, isSecond, firstType, report, nad, conflist })]
      : []
  })
  return { ...network, plugins }
}

function readConflist(value: unknown, report: Report, fallbackName: string): Conflist | undefined {
  try {
    return parseConflist(value, { what: '', form: 'by-content', fallbackName })
  } catch (error) {
    if (!(error instanceof CniError)) throw error
    for (const fault of error.faults.length > 0 ? error.faults : [error.message]) {
      const pointer = /(?:^|[ :])((?:\/[\w.-]+)+)/.exec(fault)?.[1]
      const isVersion = /^cniVersion .* is not supported/.test(fault)
      const path = isVersion ? ['cniVersion'] : (pointer?.split('/').slice(1).map(toStep) ?? [])
      const hint =
        isVersion && isJsonObject(value) ? versionHint(value.cniVersion) : typeHint(fault, value, path)
      report.add(isVersion ? 'cni-version-unknown' : 'config-structure', path, fault, hint)
    }
    return undefined
  }
}

function toStep(token: string): string | number {
  return /^\d+$/.test(token) ? Number(token) : token
}

function versionHint(version: unknown): string {
  const text = String(version)
  const meant = ['', '.0', '.1'].map((suffix) => `${text.replace(/^v/, '')}${suffix}`).find(isCniVersion)
  return meant === undefined ? 'write "cniVersion": "1.0.0"' : `write "cniVersion": "${meant}"`
}

function typeHint(fault: string, value: unknown, path: ValuePath): string | undefined {
  if (!fault.includes("missing 'type'") || !isJsonObject(value)) return undefined
  const { plugins } = value
  const conf = Array.isArray(plugins) ? plugins[Number(path[1])] : value
  if (!isJsonObject(conf)) return undefined
  for (const key of Array.isArray(plugins) ? ['type'] : ['type', 'plugins']) {
    const meant = nearMiss(key, Object.keys(conf))
    if (meant !== undefined) return `write "${key}" instead of "${meant}"`
  }
  return Array.isArray(plugins) ? 'name the plugin' : 'name the plugin, or write a list of them as "plugins"'
}

function warnListKeys(list: JsonObject, report: Report): void {
  for (const key of Object.keys(list)) {
    if (LIST_KEYS.includes(key) || isRemark(key)) continue
    const meant = nearMiss(
      key,
      LIST_KEYS.filter((name) => !Object.hasOwn(list, name)),
    )
    const text = `list: unknown key "${key}"${meant === undefined ? ' has no effect' : `; did you mean "${meant}"?`}`
    report.add(
      'unknown-key',
      [key],
      text,
      meant === undefined ? 'keys of a plugin belong into "plugins"' : undefined,
    )
  }
}

interface PluginContext {
  readonly path: ValuePath
  readonly index: number
  /** Whether a plugin before it makes an interface. */
  readonly isSecond: boolean
  readonly firstType: string
  readonly report: Report
  readonly nad: NetworkAttachmentDefinition | undefined
  readonly conflist: Conflist | undefined
}

function validatePlugin(written: JsonObject, context: PluginContext): PluginView {
  const { path, report, nad, firstType, conflist } = context
  const type = textOf(written, 'type') ?? ''
  const schema = schemaOf(type)
  const ipamType = isJsonObject(written.ipam) ? textOf(written.ipam, 'type') : undefined
  const conf =
    schema === undefined
      ? written
      : checkObject(written, schema, {
          type,
          report,
          path,
          skip: PARSED_KEYS,
          belongs: (key) => belongsElsewhere(key, ipamType),
          isRead: () => ipamType !== undefined && ipamSchemaOf(ipamType) === undefined,
        })
  checkRole(type, ipamType, context)
  checkVersion(type, path, report, conflist)
  const capabilities = capabilitiesOf(written)
  const ipam = validateIpam(type, ipamType, written.ipam, {
    path: [...path, 'ipam'],
    report,
    capabilities,
    schema,
  })
  const view: PluginView = { type, conf, written, ipamType, path, report, ...ipam }
  const hasResource = nad !== undefined && resourceName(nad) !== undefined
  const nadKey = nad === undefined ? undefined : `${nad.namespace}/${nad.name}`
  applyPluginRules(view, { nadKey, hasResource, capabilities, firstType })
  checkIpamPresence(view, schema !== undefined)
  return view
}

function capabilitiesOf({ capabilities }: JsonObject): Set<string> {
  if (!isJsonObject(capabilities)) return new Set()
  return new Set(Object.keys(capabilities).filter((key) => capabilities[key] === true))
}

function belongsElsewhere(key: string, ipamType: string | undefined): string | undefined {
  const ipam = ipamType === undefined ? undefined : ipamSchemaOf(ipamType)
  return ipam !== undefined && Object.hasOwn(ipam.properties, key) ? 'into "ipam"' : undefined
}

function checkRole(
  type: string,
  ipamType: string | undefined,
  { path, index, isSecond, report }: PluginContext,
): void {
  const role = roleOf(type)
  const at = [...path, 'type']
  if (role === 'meta') {
    report.add(
      'meta-plugin',
      at,
      `plugin "${type}" is a meta-plugin, delegating to it would never end`,
      'name the plugin that makes the network itself',
    )
  } else if (role === 'ipam') {
    report.add(
      'ipam-as-plugin',
      at,
      `"${type}" gives addresses, it makes no interface`,
      `write it as "ipam": {"type": "${type}"} of the plugin that makes the interface`,
    )
  } else if (role === 'chained' && index === 0) {
    report.add(
      'chained-plugin-first',
      at,
      `"${type}" changes what a plugin before it has made, but it is the first`,
      'put it behind the plugin that makes the interface, in "plugins"',
    )
  } else if (role === 'main' && isSecond && !(type === 'ipvlan' && ipamType === undefined)) {
    report.add(
      'second-interface-plugin',
      at,
      `"${type}" makes an interface of its own, though one before it does too: the result of those before it is lost`,
      'make a network of its own of it',
    )
  } else if (role === undefined && type !== '') {
    const meant = suggestType(type, 'plugin')
    if (meant !== undefined)
      report.add('plugin-near-miss', at, `plugin "${type}" is not known; did you mean "${meant}"?`)
  }
  const ipamAt = [...path, 'ipam', 'type']
  if (ipamType === undefined || !runsIpamPlugin(type)) return
  const ipamRole = roleOf(ipamType)
  if (ipamRole === 'meta') {
    report.add(
      'meta-plugin',
      ipamAt,
      `plugin "${ipamType}" is a meta-plugin, delegating to it would never end`,
    )
  } else if (ipamRole === 'main' || ipamRole === 'chained') {
    report.add(
      'plugin-as-ipam',
      ipamAt,
      `"${ipamType}" gives no addresses`,
      'name an IPAM plugin: host-local, static, dhcp or whereabouts',
    )
  } else if (ipamRole === undefined) {
    const meant = suggestType(ipamType, 'ipam')
    if (meant !== undefined)
      report.add(
        'plugin-near-miss',
        ipamAt,
        `IPAM plugin "${ipamType}" is not known; did you mean "${meant}"?`,
      )
  }
}

function checkVersion(type: string, path: ValuePath, report: Report, conflist: Conflist | undefined): void {
  if (conflist === undefined) return
  const needed = versionNeeded(type, conflist.cniVersion)
  if (needed === undefined) return
  report.add(
    'cni-version-not-spoken',
    [...path, 'type'],
    `plugin "${type}" cannot be called in CNI version ${conflist.cniVersion}, only from ${needed}`,
    'write "cniVersion": "1.0.0"',
  )
}

interface IpamContext {
  readonly path: ValuePath
  readonly report: Report
  readonly capabilities: ReadonlySet<string>
  /** Of the plugin. */
  readonly schema: ReturnType<typeof schemaOf>
}

function validateIpam(
  pluginType: string,
  ipamType: string | undefined,
  written: unknown,
  { path, report, capabilities, schema }: IpamContext,
): Pick<PluginView, 'ipam' | 'pools'> {
  if (!isJsonObject(written)) return { ipam: {}, pools: [] }
  const isRun = ipamType !== undefined && runsIpamPlugin(pluginType)
  const ipamSchema = isRun ? ipamSchemaOf(ipamType) : undefined
  if (ipamType === undefined || ipamSchema === undefined) return { ipam: written, pools: [] }
  const belongs = (key: string): string | undefined =>
    schema !== undefined && Object.hasOwn(schema.properties, key) ? 'out of "ipam"' : undefined
  const ipam = checkObject(written, ipamSchema, { type: ipamType, report, path, belongs })
  const pools = applyIpamRules({ type: ipamType, ipam, written, report, path, pluginType, capabilities })
  return { ipam, pools }
}

/** Plugins that fail without IPAM. */
const NEED_IPAM: ReadonlySet<string> = new Set(['ptp', 'ipvlan', 'dummy'])

function checkIpamPresence({ type, written, ipamType, path, report }: PluginView, isKnown: boolean): void {
  const { ipam } = written
  if (!isKnown || ipamType !== undefined) return
  const isFirst = path.length === 0 || path.at(-1) === 0
  if (isJsonObject(ipam) && Object.keys(ipam).length > 0 && (ipam.type ?? '') === '') {
    report.add(
      'ipam-without-type',
      [...path, 'ipam'],
      `${type}: "ipam" has no "type", so there are no addresses`,
      'add "type", or leave "ipam" out',
    )
  } else if (isFirst && NEED_IPAM.has(type) && (ipam === undefined || isJsonObject(ipam))) {
    report.add('ipam-missing', path, `${type}: "ipam" is missing, without which the plugin fails`)
  }
}

interface DefaultRoute {
  readonly dst: string
  readonly index: number
}

function defaultRoutes(routes: unknown): DefaultRoute[] {
  if (!Array.isArray(routes)) return []
  return routes.flatMap((route: unknown, index) => {
    const dst = isJsonObject(route) ? textOf(route, 'dst') : undefined
    return dst !== undefined && isDefaultRoute(dst) ? [{ dst, index }] : []
  })
}

/** Warns of what an extra network should not do, as the network of a NAD that is nobody's default. */
export function warnOfExtraNetwork({ plugins, report }: KnownNetwork): void {
  const isOverridden = plugins.some(
    ({ type, conf }) =>
      type === 'route-override' &&
      (conf.flushroutes === true || conf.flushgateway === true || defaultRoutes(conf.delroutes).length > 0),
  )
  for (const { type, conf, ipam, path } of plugins) {
    const hint = 'leave it out: a pod asks for it by "default-route" in its annotation'
    if (type === 'bridge' && conf.isDefaultGateway === true && !isOverridden) {
      report.add(
        'extra-default-route',
        [...path, 'isDefaultGateway'],
        `${type}: "isDefaultGateway" gives the pod a second default route`,
        hint,
      )
    }
    const given: [readonly DefaultRoute[], ValuePath][] = [
      [isOverridden ? [] : defaultRoutes(ipam.routes), ['ipam', 'routes']],
      [type === 'route-override' ? defaultRoutes(conf.addroutes) : [], ['addroutes']],
    ]
    for (const [routes, at] of given) {
      for (const { dst, index } of routes) {
        report.add(
          'extra-default-route',
          [...path, ...at, index],
          `${type}: the route to ${dst} gives the pod a second default route`,
          hint,
        )
      }
    }
  }
  const [first] = plugins
  if (
    first !== undefined &&
    ['macvlan', 'ipvlan'].includes(first.type) &&
    first.ipamType === 'host-local' &&
    first.conf.linkInContainer !== true
  ) {
    report.add(
      'host-local-many-nodes',
      [...first.path, 'ipam', 'type'],
      `host-local keeps addresses on each node by itself: pods of two nodes will have the same address on one ${first.type} network`,
      'use whereabouts, dhcp or static, or give each node a range of its own',
    )
  }
}
