import { isCidr, parseIp } from '../cni/address.ts'
import { toShown } from '../cni/faults.ts'
import { isJsonObject, type JsonObject, toNumber } from '../cni/json.ts'
import { nearMiss } from '../cni/near-miss.ts'
import type { Bandwidth, PortMapping } from './selection-element.ts'
import type { ElementReport, SelectionPath } from './selection-report.ts'

/** What JSON calls the value. */
export function jsonType(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'a list'
  if (isJsonObject(value)) return 'an object'
  if (toNumber(value) !== undefined) return 'a number'
  return `a ${typeof value}`
}

/** A list of strings, or `undefined` with every fault reported. `[]` is returned as it is. */
function readStrings(value: unknown, path: SelectionPath, report: ElementReport): string[] | undefined {
  if (!Array.isArray(value)) {
    const hint = typeof value === 'string' ? `; write [${toShown(value)}]` : ''
    report.fault(path, `must be a list of strings, not ${jsonType(value)}${hint}`)
    return undefined
  }
  const strings: string[] = []
  value.forEach((item: unknown, index) => {
    if (typeof item === 'string') strings.push(item)
    else report.fault([...path, index], `must be a string, not ${jsonType(item)}`)
  })
  return strings.length === value.length ? strings : undefined
}

/** Addresses with or without prefix length, at least one, kept as written. NPWG-043, 044, 045. */
export function readIps(value: unknown, report: ElementReport): string[] | undefined {
  const ips = readStrings(value, ['ips'], report)
  if (ips?.length === 0) report.fault(['ips'], 'is empty; leave the key out to let IPAM choose')
  ips?.forEach((ip, index) => {
    if (parseIp(ip) === undefined && !isCidr(ip)) {
      report.fault(['ips', index], `${toShown(ip)} is no IP address, with or without prefix length`)
    }
  })
  return ips
}

/** Gateways, possibly none. NPWG-053, 095. */
export function readDefaultRoute(value: unknown, report: ElementReport): string[] | undefined {
  const gateways = readStrings(value, ['default-route'], report)
  gateways?.forEach((gateway, index) => {
    if (parseIp(gateway) === undefined) {
      const why = isCidr(gateway) ? 'must be a gateway without prefix length' : 'is no IP address'
      report.fault(['default-route', index], `${toShown(gateway)} ${why}`)
    }
  })
  return gateways
}

const PORT_MAPPING_KEYS = ['hostPort', 'containerPort', 'protocol', 'hostIP']

/** Port mappings, at least one; the protocol in lower case. NPWG-050. */
export function readPortMappings(value: unknown, report: ElementReport): PortMapping[] | undefined {
  if (!Array.isArray(value)) {
    report.fault(['portMappings'], `must be a list of objects, not ${jsonType(value)}`)
    return undefined
  }
  if (value.length === 0) report.fault(['portMappings'], 'is empty; leave the key out')
  return value.flatMap((item: unknown, index) => {
    const path = ['portMappings', index]
    if (isJsonObject(item)) return [readPortMapping(item, path, report)]
    report.fault(path, `must be an object, not ${jsonType(item)}`)
    return []
  })
}

function readPortMapping(item: JsonObject, path: SelectionPath, report: ElementReport): PortMapping {
  const mapping: PortMapping = {
    hostPort: readPort(item, 'hostPort', path, report),
    containerPort: readPort(item, 'containerPort', path, report),
    protocol: 'tcp',
  }
  const protocol = item.protocol ?? ''
  const lower = typeof protocol === 'string' ? protocol.toLowerCase() : undefined
  if (lower === 'tcp' || lower === 'udp' || lower === 'sctp') mapping.protocol = lower
  else if (lower !== '') {
    report.fault([...path, 'protocol'], `must be TCP, UDP or SCTP, not ${toShown(protocol)}`)
  }
  const hostIp = item.hostIP ?? ''
  if (typeof hostIp === 'string' && parseIp(hostIp) !== undefined) mapping.hostIP = hostIp
  else if (hostIp !== '') report.fault([...path, 'hostIP'], `must be an IP address, not ${toShown(hostIp)}`)
  warnUnknownKeys(item, PORT_MAPPING_KEYS, path, report)
  return mapping
}

function readPort(item: JsonObject, key: string, path: SelectionPath, report: ElementReport): number {
  const port = toNumber(item[key])
  if (port !== undefined && Number.isInteger(port) && port >= 1 && port <= 65535) return port
  const found = item[key] === undefined ? 'is missing' : `is ${toShown(item[key])}`
  report.fault([...path, key], `${found}; it must be a whole number from 1 to 65535`)
  return 0
}

const RATES = ['ingressRate', 'ingressBurst', 'egressRate', 'egressBurst'] as const
const BURSTS = [
  ['ingressBurst', 'ingressRate'],
  ['egressBurst', 'egressRate'],
] as const

/** Rates and bursts, at least one; a burst needs its rate. NPWG-051, 052. */
export function readBandwidth(value: unknown, report: ElementReport): Bandwidth | undefined {
  if (!isJsonObject(value)) {
    report.fault(['bandwidth'], `must be an object, not ${jsonType(value)}`)
    return undefined
  }
  const bandwidth: Bandwidth = {}
  for (const key of RATES) {
    if (value[key] === undefined || value[key] === null) continue
    const bits = toNumber(value[key])
    if (bits !== undefined && Number.isSafeInteger(bits) && bits > 0) bandwidth[key] = bits
    else {
      const zero = bits === 0 ? '; leave the key out for no limit' : ''
      report.fault(['bandwidth', key], `is ${toShown(value[key])}; it must be a whole number above 0${zero}`)
    }
  }
  warnUnknownKeys(value, RATES, ['bandwidth'], report)
  if (!RATES.some((key) => value[key] !== undefined && value[key] !== null)) {
    report.fault(['bandwidth'], `needs at least one of ${RATES.join(', ')}`)
  }
  for (const [burst, rate] of BURSTS) {
    if (bandwidth[burst] !== undefined && (value[rate] ?? undefined) === undefined) {
      report.fault(['bandwidth', burst], `needs ${rate} beside it`)
    }
  }
  return bandwidth
}

/** Warns of each key that is not known, with the one probably meant. NPWG-040. */
export function warnUnknownKeys(
  object: JsonObject,
  known: readonly string[],
  path: SelectionPath,
  report: ElementReport,
): void {
  for (const key of Object.keys(object)) {
    if (known.includes(key)) continue
    const meant = nearMiss(key, known)
    const suggestion = meant === undefined ? ' is ignored' : `; did you mean ${toShown(meant)}?`
    report.warn([...path, key], `unknown key ${toShown(key)}${suggestion}`)
  }
}
