/** Identifier octets of the ASN.1 types that a certificate is made of. */
const TAGS = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  utf8String: 0x0c,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const

/** One value in DER (X.690): what it is, how long, its content. */
export function tagged(tag: number, ...content: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(content)
  const octets: number[] = []
  for (let rest = body.length; rest > 0; rest = Math.floor(rest / 256)) octets.unshift(rest % 256)
  const length = body.length < 128 ? [body.length] : [0x80 + octets.length, ...octets]
  return Buffer.concat([Buffer.from([tag, ...length]), body])
}

export function sequence(...items: readonly Uint8Array[]): Buffer {
  return tagged(TAGS.sequence, ...items)
}

export function set(...items: readonly Uint8Array[]): Buffer {
  return tagged(TAGS.set, ...items)
}

/** A number that is not negative, big-endian. */
export function integer(bytes: Uint8Array): Buffer {
  const digits = bytes.subarray(bytes.findIndex((byte) => byte !== 0))
  const isNegative = ((digits[0] ?? 0) & 0x80) !== 0
  return tagged(TAGS.integer, ...(isNegative ? [Buffer.from([0])] : []), digits)
}

/** @param dotted `2.5.4.3` */
export function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number)
  const octets = [first * 40 + second, ...rest].flatMap((arc) => {
    const groups = [arc % 128]
    for (let left = Math.floor(arc / 128); left > 0; left = Math.floor(left / 128))
      groups.unshift(128 + (left % 128))
    return groups
  })
  return tagged(TAGS.oid, Buffer.from(octets))
}

/** @param unused Bits of the last octet that do not count. */
export function bitString(bytes: Uint8Array, unused = 0): Buffer {
  return tagged(TAGS.bitString, Buffer.from([unused]), bytes)
}

export function octetString(bytes: Uint8Array): Buffer {
  return tagged(TAGS.octetString, bytes)
}

export function utf8String(text: string): Buffer {
  return tagged(TAGS.utf8String, Buffer.from(text))
}

export function isTrue(): Buffer {
  return tagged(TAGS.boolean, Buffer.from([0xff]))
}

/** To the second, UTC; up to 2049 with two digits of the year, as RFC 5280 wants it. */
export function time(date: Date): Buffer {
  const digits = date.toISOString().replaceAll(/[-:T]|\.\d+/g, '')
  return date.getUTCFullYear() < 2050
    ? tagged(TAGS.utcTime, Buffer.from(digits.slice(2)))
    : tagged(TAGS.generalizedTime, Buffer.from(digits))
}
