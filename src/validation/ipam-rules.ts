import { ipFamily, networkOf, parseCidr } from '../cni/address.ts'
import { toShown } from '../cni/faults.ts'
import { isJsonObject, type JsonObject } from '../cni/json.ts'
import { type AddressRange, doOverlap, isInRange, prefixRange } from './address-range.ts'
import type { FindingCode } from './finding.ts'
import { type AddressPool, hasKey, textOf } from './plugin-view.ts'
import type { Report } from './report.ts'
import type { ValuePath } from './source-text.ts'

/** What is known of an `ipam` and what is around it. */
export interface IpamSurroundings {
  readonly type: string
  /** Checked against its schema. */
  readonly ipam: JsonObject
  /** As its author wrote it. */
  readonly written: JsonObject
  readonly report: Report
  /** Way from the report to the `ipam`. */
  readonly path: ValuePath
  /** Type of the plugin that the addresses are for. */
  readonly pluginType: string
  /** Capabilities that the plugin declares. */
  readonly capabilities: ReadonlySet<string>
}

/** Applies the rules of an IPAM plugin that its schema cannot say, and finds the addresses that it gives. */
export function applyIpamRules(context: IpamSurroundings): AddressPool[] {
  const rules = new IpamRules(context)
  switch (context.type) {
    case 'host-local':
      rules.hostLocal()
      break
    case 'static':
      rules.static()
      break
    case 'whereabouts':
      rules.whereabouts()
      break
  }
  rules.routes()
  return rules.pools
}

/** Keys of one range, which plugins spell differently. */
interface RangeKeys {
  readonly start: string
  readonly end: string
  readonly gateway: string
}

const HOST_LOCAL_KEYS: RangeKeys = { start: 'rangeStart', end: 'rangeEnd', gateway: 'gateway' }
const WHEREABOUTS_KEYS: RangeKeys = { start: 'range_start', end: 'range_end', gateway: 'gateway' }

/** Placeholders that Calico puts the node's own prefix in the place of. */
const POD_CIDR = /^usePodCidr(?:IPv6)?$/

class IpamRules {
  readonly pools: AddressPool[] = []
  private readonly context: IpamSurroundings

  constructor(context: IpamSurroundings) {
    this.context = context
  }

  hostLocal(): void {
    const { ipam, written, capabilities } = this.context
    const hasRanges = Array.isArray(written.ranges) && written.ranges.length > 0
    if (!hasRanges && !hasKey(written, 'subnet') && !hasKey(written, 'ranges')) {
      if (!capabilities.has('ipRanges')) this.add('missing-key', [], 'no addresses: "ranges" is missing')
      return
    }
    const sets: AddressPool[][] = []
    if (typeof ipam.subnet === 'string') sets.push(this.hostLocalRange(ipam, []))
    const ranges = Array.isArray(ipam.ranges) ? ipam.ranges : []
    for (const [setIndex, set] of ranges.entries()) {
      if (!Array.isArray(set)) continue
      const pools = set.flatMap((range, index) =>
        isJsonObject(range) ? this.hostLocalRange(range, ['ranges', setIndex, index]) : [],
      )
      const [first] = pools
      const other = pools.find(({ subnet }) => subnet.family !== first?.subnet.family)
      if (other !== undefined) {
        this.addAt(
          'range-families',
          other.path,
          `ranges[${setIndex}] mixes IPv4 and IPv6`,
          'make a list of its own for each family: [[{…}], [{…}]]',
        )
      }
      sets.push(pools)
    }
    const all = sets.flat()
    for (const [index, pool] of all.entries()) {
      const before = all.slice(0, index).find(({ given }) => doOverlap(given, pool.given))
      if (before === undefined) continue
      this.addAt('ranges-overlap', pool.path, `range ${pool.given.text} overlaps with ${before.given.text}`)
    }
    this.pools.push(...all)
  }

  private hostLocalRange(range: JsonObject, path: ValuePath): AddressPool[] {
    const text = textOf(range, 'subnet')
    if (text === undefined) return []
    if (POD_CIDR.test(text) && this.context.pluginType === 'calico') return []
    const subnet = prefixRange(text)
    if (subnet === undefined) {
      const meant =
        /^[\da-fA-F.:]+$/.test(text) && ipFamily(text) === 4
          ? `write "${text}/24", or the length that it has`
          : undefined
      this.add(
        'value-format',
        [...path, 'subnet'],
        `"subnet" must be a subnet with prefix length, not ${toShown(text)}`,
        meant,
      )
      return []
    }
    const network = networkOf(text)
    if (network?.split('/')[0] !== parseCidr(text)?.ip) {
      this.add('subnet-host-bits', [...path, 'subnet'], `subnet ${text} has host bits`, `write ${network}`)
    }
    if (subnet.last - subnet.first < 3n) {
      this.add('subnet-too-small', [...path, 'subnet'], `subnet ${text} has no address to give`)
    }
    return this.pool(subnet, range, path, HOST_LOCAL_KEYS)
  }

  whereabouts(): void {
    const { ipam, written } = this.context
    const ranges = Array.isArray(ipam.ipRanges) ? ipam.ipRanges : []
    if (!hasKey(written, 'range') && ranges.length === 0) {
      if (!hasKey(written, 'configuration_path') && !hasKey(written, 'ipRanges')) {
        this.add('missing-key', [], 'no addresses: "range" is missing')
      }
    }
    const gateway = textOf(ipam, 'gateway')
    const subnets = [
      this.whereaboutsRange(ipam, [], gateway),
      ...ranges.map((range, index) =>
        isJsonObject(range) ? this.whereaboutsRange(range, ['ipRanges', index], gateway) : undefined,
      ),
    ].filter((subnet) => subnet !== undefined)
    this.reportTwins()
    // There is one gateway for all ranges, of both families.
    const meant = gateway === undefined ? [] : subnets.filter(({ family }) => family === ipFamily(gateway))
    if (gateway === undefined || meant.length === 0 || meant.some((subnet) => isInRange(gateway, subnet)))
      return
    const networks = meant.map(({ text }) => networkOf(text) ?? text).join(', ')
    this.add('gateway-outside-subnet', ['gateway'], `gateway ${gateway} is outside of ${networks}`)
  }

  private whereaboutsRange(
    range: JsonObject,
    path: ValuePath,
    gateway: string | undefined,
  ): AddressRange | undefined {
    const text = textOf(range, 'range')
    if (text === undefined) return undefined
    const [, first, last, bits] = /^([^-]+)-([^/]+)\/(\d+)$/.exec(text) ?? []
    const subnet = prefixRange(first === undefined ? text : `${first}/${bits}`)
    if (subnet === undefined || (last !== undefined && ipFamily(last) === undefined)) {
      this.add(
        'value-format',
        [...path, 'range'],
        `"range" must be a subnet with prefix length, or first-last/length, not ${toShown(text)}`,
      )
      return undefined
    }
    const bounds = first === undefined ? {} : { range_start: first, range_end: last }
    const key = first === undefined ? undefined : 'range'
    const own = gateway !== undefined && isInRange(gateway, subnet) ? { gateway } : { gateway: undefined }
    const pools = this.pool(subnet, { ...bounds, ...range, ...own }, path, WHEREABOUTS_KEYS, key)
    this.pools.push(...pools)
    const excluded = Array.isArray(range.exclude) ? range.exclude : []
    const isGiven =
      own.gateway !== undefined &&
      this.context.ipam.exclude_gateway !== true &&
      pools.some(({ given }) => isInRange(own.gateway, given)) &&
      !excluded.some((prefix: unknown) => doesContain(prefix, own.gateway))
    if (isGiven) {
      this.add(
        'gateway-not-excluded',
        [...path, 'range'],
        `gateway ${gateway} is given to a pod too`,
        `add "exclude": ["${gateway}/${subnet.family === 4 ? 32 : 128}"], or a "range_start" behind it`,
      )
    }
    return subnet
  }

  /** Whereabouts keeps the addresses of a prefix in one place, whatever part of it a range is. */
  private reportTwins(): void {
    for (const [index, { subnet, given, path }] of this.pools.entries()) {
      const network = networkOf(subnet.text)
      if (!this.pools.slice(0, index).some((other) => networkOf(other.subnet.text) === network)) continue
      this.addAt(
        'ranges-overlap',
        [...path, 'range'],
        `range ${given.text} is in ${network}, as one before it: an address of each range is given, and it would be the same one`,
        'make one range of it with "exclude" for what is between',
      )
    }
  }

  /** @param key Of both ends, when they are not in keys of their own. */
  private pool(
    subnet: AddressRange,
    range: JsonObject,
    path: ValuePath,
    keys: RangeKeys,
    key?: string,
  ): AddressPool[] {
    const [startKey, endKey] = [key ?? keys.start, key ?? keys.end]
    const start = textOf(range, keys.start)
    const end = textOf(range, keys.end)
    const network = networkOf(subnet.text) ?? subnet.text
    for (const [name, address] of [
      [startKey, start],
      [endKey, end],
    ] as const) {
      if (address === undefined || isInRange(address, subnet)) continue
      this.add('range-outside-subnet', [...path, name], `"${name}" ${address} is outside of ${network}`)
    }
    const gateway = textOf(range, keys.gateway)
    if (gateway !== undefined && !isInRange(gateway, subnet)) {
      this.add(
        'gateway-outside-subnet',
        [...path, keys.gateway],
        `gateway ${gateway} is outside of ${network}`,
      )
    }
    const bare = (text: string): AddressRange | undefined =>
      prefixRange(`${text}/${subnet.family === 4 ? 32 : 128}`)
    const first = start === undefined ? subnet.first : (bare(start)?.first ?? subnet.first)
    const last = end === undefined ? subnet.last : (bare(end)?.last ?? subnet.last)
    if (first > last) {
      this.add(
        'range-reversed',
        [...path, startKey],
        `the range is reversed: ${start ?? network} comes after ${end ?? network}`,
      )
      return []
    }
    const text = rangeText(network, start, end)
    const given = { family: subnet.family, first, last, text }
    return [{ ipamType: this.context.type, subnet, given, gateway, path: [...this.context.path, ...path] }]
  }

  static(): void {
    const { ipam, written, capabilities, path } = this.context
    const addresses = Array.isArray(ipam.addresses) ? ipam.addresses : []
    if (!hasKey(written, 'addresses') && !capabilities.has('ips')) {
      this.add(
        'addresses-missing',
        [],
        'no addresses: neither "addresses" nor the capability "ips" of the plugin',
        'add "capabilities": {"ips": true} to the plugin for addresses that the pod asks for',
      )
    }
    for (const [index, item] of addresses.entries()) {
      if (!isJsonObject(item)) continue
      const address = textOf(item, 'address')
      const subnet = address === undefined ? undefined : prefixRange(address)
      if (address === undefined || subnet === undefined) continue
      const gateway = textOf(item, 'gateway')
      const isHost = subnet.first === subnet.last
      if (gateway !== undefined && !isHost && !isInRange(gateway, subnet)) {
        this.add(
          'gateway-outside-subnet',
          ['addresses', index, 'gateway'],
          `gateway ${gateway} is outside of ${networkOf(address)}`,
        )
      }
      const ip = address.split('/', 1)[0] ?? ''
      const given = prefixRange(`${ip}/${subnet.family === 4 ? 32 : 128}`)
      if (given === undefined) continue
      this.pools.push({
        ipamType: 'static',
        subnet,
        given: { ...given, text: ip },
        gateway,
        path: [...path, 'addresses', index],
      })
    }
  }

  routes(): void {
    const { ipam, type } = this.context
    const routes = Array.isArray(ipam.routes) ? ipam.routes : []
    for (const [index, route] of routes.entries()) {
      if (!isJsonObject(route)) continue
      const [dst, gw] = [textOf(route, 'dst'), textOf(route, 'gw')]
      if (dst === undefined || gw === undefined) continue
      if (ipFamily(dst) !== ipFamily(gw)) {
        this.add(
          'route-family',
          ['routes', index, 'gw'],
          `route to ${dst} has the gateway ${gw} of the other family`,
        )
        continue
      }
      const subnets = this.pools.map(({ subnet }) => subnet).filter(({ family }) => family === ipFamily(gw))
      const isKnown = subnets.length > 0 && subnets.every(({ first, last }) => first !== last)
      if (type !== 'dhcp' && isKnown && !subnets.some((subnet) => isInRange(gw, subnet))) {
        const networks = subnets.map(({ text }) => networkOf(text) ?? text).join(', ')
        this.add(
          'route-gateway-unreachable',
          ['routes', index, 'gw'],
          `gateway ${gw} of the route to ${dst} is not in ${networks}`,
        )
      }
    }
  }

  private add(code: FindingCode, path: ValuePath, text: string, hint?: string): void {
    this.addAt(code, [...this.context.path, ...path], text, hint)
  }

  private addAt(code: FindingCode, path: ValuePath, text: string, hint?: string): void {
    this.context.report.add(code, path, `${this.context.type}: ${text}`, hint)
  }
}

function doesContain(prefix: unknown, ip: string): boolean {
  const range = typeof prefix === 'string' ? prefixRange(prefix) : undefined
  return range !== undefined && isInRange(ip, range)
}

function rangeText(network: string, start: string | undefined, end: string | undefined): string {
  if (start !== undefined && end !== undefined) return `${start} to ${end}`
  if (start !== undefined) return `${network} from ${start}`
  return end === undefined ? network : `${network} up to ${end}`
}
