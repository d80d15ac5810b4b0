import { toShown } from '../cni/faults.ts'
import { ifNameFault } from '../cni/if-name.ts'
import { isJsonObject, type JsonObject, toNumber } from '../cni/json.ts'
import { normalizeHardwareAddress } from '../cni/mac.ts'
import { nearMiss } from '../cni/near-miss.ts'
import { objectNameFault, suggestObjectName } from '../cni/object-name.ts'
import { parseDuration } from './duration.ts'
import type { SelectionElement } from './selection-element.ts'
import type { ElementReport } from './selection-report.ts'
import {
  jsonType,
  readBandwidth,
  readDefaultRoute,
  readIps,
  readPortMappings,
  warnUnknownKeys,
} from './selection-values.ts'

const OPTIONAL_KEY = 'io.plexus-cni.optional'
const TIMEOUT_KEY = 'io.plexus-cni.timeout'
const OUR_PREFIX = 'io.plexus-cni.'

const KNOWN_KEYS = [
  'name',
  'namespace',
  'interface',
  'interfaceRequest',
  'ips',
  'mac',
  'infiniband-guid',
  'portMappings',
  'bandwidth',
  'cni-args',
  'default-route',
  'ipam-claim-reference',
  'deviceID',
  OPTIONAL_KEY,
  TIMEOUT_KEY,
]

/** What to write in place of the comma form's `namespace/name` in one key. */
function splitHint(name: string): string {
  const [namespace = '', only = '', ...more] = name.split('/')
  if (more.length > 0 || [namespace, only].some((part) => objectNameFault(part) !== undefined)) return ''
  return `; write "namespace": ${toShown(namespace)}, "name": ${toShown(only)}`
}

/**
 * Reads one object of the JSON form. `null` and, for an optional text, `""` are as good as an absent key;
 * keys of others (with a dot) are kept, unknown ones without dot are warned of and dropped. NPWG-040 to 060.
 *
 * @param namespace When the object names none.
 * @param report Takes every fault; with one the answer is not to be used.
 */
export function readElement(object: JsonObject, namespace: string, report: ElementReport): SelectionElement {
  const element: SelectionElement = { name: '', namespace, optional: false, extensions: {} }
  const given = (key: string): boolean => object[key] !== undefined && object[key] !== null

  /** A string that is there and not empty. */
  function readString(key: string): string | undefined {
    const value = object[key]
    if (typeof value === 'string') return value === '' ? undefined : value
    if (given(key)) report.fault([key], `must be a string, not ${jsonType(value)}`)
    return undefined
  }

  function readName(key: string): string | undefined {
    const name = readString(key)
    const fault = name === undefined ? undefined : objectNameFault(name)
    if (name === undefined || fault === undefined) return name
    const suggestion = suggestObjectName(name)
    const meant = suggestion === undefined ? '' : `; did you mean ${toShown(suggestion)}?`
    report.fault([key], `${toShown(name)} ${fault}${key === 'name' ? splitHint(name) : ''}${meant}`)
    return name
  }

  function readHardwareAddress(key: string, bytes: 6 | 8): string | undefined {
    const text = readString(key)
    const address = text === undefined ? undefined : normalizeHardwareAddress(text, bytes)
    if (text !== undefined && address === undefined) {
      report.fault([key], `${toShown(text)} is no hardware address of ${bytes} bytes`)
    }
    return address
  }

  function readIfName(): string | undefined {
    const key = (object.interface ?? '') === '' ? 'interfaceRequest' : 'interface'
    const ifName = readString(key)
    if (ifName === undefined) return undefined
    if (key === 'interfaceRequest') report.warn([key], 'is the old spelling; write "interface"')
    const fault = ifNameFault(ifName)
    if (fault !== undefined) report.fault([key], `interface name ${toShown(ifName)} ${fault}`)
    return ifName
  }

  const name = readName('name')
  if (name !== undefined) element.name = name
  else if ((object.name ?? '') === '') report.fault([], `key "name" is missing${meantName(object)}`)
  element.namespace = readName('namespace') ?? namespace

  const ifName = readIfName()
  if (ifName !== undefined) element.interface = ifName
  const ips = given('ips') ? readIps(object.ips, report) : undefined
  if (ips !== undefined) element.ips = ips
  const mac = readHardwareAddress('mac', 6)
  if (mac !== undefined) element.mac = mac
  const guid = readHardwareAddress('infiniband-guid', 8)
  if (guid !== undefined) element.infinibandGuid = guid
  const portMappings = given('portMappings') ? readPortMappings(object.portMappings, report) : undefined
  if (portMappings !== undefined) element.portMappings = portMappings
  const bandwidth = given('bandwidth') ? readBandwidth(object.bandwidth, report) : undefined
  if (bandwidth !== undefined) element.bandwidth = bandwidth
  const defaultRoute = given('default-route') ? readDefaultRoute(object['default-route'], report) : undefined
  if (defaultRoute !== undefined) element.defaultRoute = defaultRoute
  const claim = readName('ipam-claim-reference')
  if (claim !== undefined) element.ipamClaimReference = claim
  const deviceId = readString('deviceID')
  if (deviceId !== undefined) element.deviceID = deviceId

  const cniArgs = object['cni-args']
  if (isJsonObject(cniArgs)) element.cniArgs = cniArgs
  else if (given('cni-args')) report.fault(['cni-args'], `must be an object, not ${jsonType(cniArgs)}`)

  const optional = object[OPTIONAL_KEY]
  if (typeof optional === 'boolean') element.optional = optional
  else if (given(OPTIONAL_KEY))
    report.fault([OPTIONAL_KEY], `must be true or false, not ${toShown(optional)}`)

  const timeout = object[TIMEOUT_KEY]
  if (given(TIMEOUT_KEY)) {
    const span = typeof timeout === 'string' ? timeout : toNumber(timeout)
    const timeoutMs = span === undefined ? undefined : parseDuration(span)
    if (timeoutMs !== undefined) element.timeoutMs = timeoutMs
    else {
      const rule = 'must be a time above 0 and up to 1h: "10s", "500ms" or a number of seconds'
      report.fault([TIMEOUT_KEY], `${rule}, not ${toShown(timeout)}`)
    }
  }

  element.extensions = readExtensions(object, report)
  return element
}

function meantName(object: JsonObject): string {
  const meant = nearMiss(
    'name',
    Object.keys(object).filter((key) => !KNOWN_KEYS.includes(key)),
  )
  return meant === undefined ? '' : `; did you mean it by ${toShown(meant)}?`
}

function readExtensions(object: JsonObject, report: ElementReport): JsonObject {
  const isForeign = ([key]: [string, unknown]): boolean => key.includes('.') && !key.startsWith(OUR_PREFIX)
  const entries = Object.entries(object)
  const ours = Object.fromEntries(entries.filter((entry) => !isForeign(entry)))
  warnUnknownKeys(ours, KNOWN_KEYS, [], report)
  // fromEntries, because an assignment would let a key `__proto__` change the prototype.
  return Object.fromEntries(entries.filter(isForeign))
}
