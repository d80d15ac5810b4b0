import ipaddr from 'ipaddr.js'

/** 4 or 6; an IPv4-mapped IPv6 address counts as 4, as every reference plugin takes it. CNI-121. */
export type IpFamily = 4 | 6

/** An IP address. */
export interface Ip {
  readonly family: IpFamily
  /** Canonical text: lower case, shortest form, an IPv4-mapped address as its dotted quad. */
  readonly text: string
}

/** An address with its prefix length; host bits are kept. */
export interface Cidr {
  readonly family: IpFamily
  /** Canonical text of the address. */
  readonly ip: string
  /** Bits, counted as written: an IPv4-mapped address has up to 128. */
  readonly prefixLength: number
}

const DOTTED_QUAD = /^(25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(\.(25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)){3}$/

/**
 * Reads an IP address, or gives `undefined` for anything else. Dotted quads in decimal only: the octal,
 * hexadecimal and short forms that the library also reads mean another address to other programs. No
 * zone (`%eth0`). CNI-116.
 */
export function parseIp(text: string): Ip | undefined {
  if (DOTTED_QUAD.test(text)) return { family: 4, text }
  const quad = text.slice(text.lastIndexOf(':') + 1)
  if (!text.includes(':') || !/^[\da-f:.]+$/i.test(text)) return undefined
  if (quad.includes('.') && !DOTTED_QUAD.test(quad)) return undefined
  if (!ipaddr.IPv6.isValid(text)) return undefined
  const address = ipaddr.IPv6.parse(text)
  return address.isIPv4MappedAddress()
    ? { family: 4, text: address.toIPv4Address().toString() }
    : { family: 6, text: address.toString() }
}

/** Reads `"address/prefix length"`, or gives `undefined` for anything else. CNI-116. */
export function parseCidr(text: string): Cidr | undefined {
  const slash = text.indexOf('/')
  if (slash < 0) return undefined
  const ip = parseIp(text.slice(0, slash))
  const bits = text.slice(slash + 1)
  if (ip === undefined || !/^(0|[1-9]\d{0,2})$/.test(bits)) return undefined
  const prefixLength = Number(bits)
  if (prefixLength > (text.includes(':') ? 128 : 32)) return undefined
  return { family: ip.family, ip: ip.text, prefixLength }
}

/**
 * The network that an address with prefix length is in, canonical and without host bits:
 * `10.0.0.9/24` gives `10.0.0.0/24`; `undefined` for anything else, an IPv4-mapped one included.
 */
export function networkOf(text: string): string | undefined {
  const cidr = parseCidr(text)
  if (cidr === undefined || (cidr.family === 4) === text.includes(':')) return undefined
  const library = cidr.family === 4 ? ipaddr.IPv4 : ipaddr.IPv6
  return `${library.networkAddressFromCIDR(`${cidr.ip}/${cidr.prefixLength}`)}/${cidr.prefixLength}`
}

/** Whether the text is an address with prefix length. */
export function isCidr(text: string): boolean {
  return parseCidr(text) !== undefined
}

/** Family of an address, with or without prefix length; `undefined` when it is neither. */
export function ipFamily(text: string): IpFamily | undefined {
  return text.includes('/') ? parseCidr(text)?.family : parseIp(text)?.family
}

/** Whether a route's `dst` is everything, in whatever way it is written (`0.0.0.0/0`, `::/0`, `0::0/0`). */
export function isDefaultRoute(dst: string): boolean {
  return parseCidr(dst)?.prefixLength === 0
}

/** The address without its prefix length, as it is written: `10.0.0.1/24` gives `10.0.0.1`. */
export function bareIp(text: string): string {
  const slash = text.indexOf('/')
  return slash < 0 ? text : text.slice(0, slash)
}

/** An address as a number, to compare it with others of its family; `undefined` when the text is none. */
export function ipNumber(text: string): bigint | undefined {
  const ip = parseIp(text)
  if (ip === undefined) return undefined
  return ipaddr
    .parse(ip.text)
    .toByteArray()
    .reduce((number, byte) => (number << 8n) | BigInt(byte), 0n)
}
