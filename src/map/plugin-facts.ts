import { isJsonObject, type JsonObject } from '../cni/json.ts'

/** Keys that say on which link of the node a plugin works, in the words for them. */
const LINK_KEYS: readonly (readonly [key: string, word: string])[] = [
  ['bridge', 'bridge'],
  ['master', 'on'],
  ['device', 'device'],
  ['pciBusID', 'device'],
  ['deviceID', 'device'],
  ['vrfname', 'VRF'],
  ['vlan', 'VLAN'],
  ['vlanId', 'VLAN'],
  ['tag', 'VLAN'],
  ['mode', 'mode'],
  ['mtu', 'MTU'],
]

/**
 * What a plugin's configuration says of links and addresses, a few words each: `bridge br-data`, `on eth1`,
 * `VLAN 100`, `MTU 1400`, `10.20.0.0/24`. Keys that are not what they should be are passed over.
 */
export function pluginFacts(conf: JsonObject): string[] {
  const links = LINK_KEYS.flatMap(([key, word]) => {
    const value = plain(conf[key])
    return value === undefined || value === '0' ? [] : [`${word} ${value}`]
  })
  return [...new Set([...links, ...ipamFacts(conf.ipam)])]
}

function ipamFacts(ipam: unknown): string[] {
  if (!isJsonObject(ipam)) return []
  const type = plain(ipam.type)
  if (type === undefined) return []
  // host-local and whereabouts name ranges; each has an old form for one alone.
  const single = [ipam.subnet, ipam.range]
  const lists = [ipam.ranges, ipam.ipRanges, ipam.addresses].filter(Array.isArray).flat(2)
  const listed = lists.flatMap((entry) =>
    isJsonObject(entry) ? [entry.subnet, entry.range, entry.address] : [],
  )
  const ranges = [...single, ...listed].flatMap((value) => plain(value) ?? [])
  return ranges.length > 0 ? ranges : [`addresses by ${type}`]
}

/** A text or a number as text; a number kept by its digits is an object. */
function plain(value: unknown): string | undefined {
  if (typeof value === 'string') return value === '' ? undefined : value
  if (typeof value === 'number' || JSON.isRawJSON(value)) return String(JSON.stringify(value))
  return undefined
}
