import { type IpFamily, ipNumber, parseCidr, parseIp } from '../cni/address.ts'

/** Addresses from the first to the last, both included. */
export interface AddressRange {
  readonly family: IpFamily
  readonly first: bigint
  readonly last: bigint
  /** As it was written. */
  readonly text: string
}

/** All addresses of a prefix; `undefined` when the text is none. Host bits are passed over. */
export function prefixRange(text: string): AddressRange | undefined {
  const cidr = parseCidr(text)
  const number = cidr === undefined ? undefined : ipNumber(cidr.ip)
  if (cidr === undefined || number === undefined) return undefined
  const bits = cidr.family === 4 ? 32 : 128
  if (cidr.prefixLength > bits) return undefined
  const size = 1n << BigInt(bits - cidr.prefixLength)
  const first = number - (number % size)
  return { family: cidr.family, first, last: first + size - 1n, text }
}

/** Whether an address, with or without prefix length, is in the range. */
export function isInRange(address: string, range: AddressRange): boolean {
  const bare = address.split('/', 1)[0] ?? ''
  const ip = parseIp(bare)
  const number = ipNumber(bare)
  if (ip === undefined || number === undefined) return false
  return ip.family === range.family && number >= range.first && number <= range.last
}

/** Whether two ranges have an address in common. */
export function doOverlap(left: AddressRange, right: AddressRange): boolean {
  return left.family === right.family && left.first <= right.last && right.first <= left.last
}
