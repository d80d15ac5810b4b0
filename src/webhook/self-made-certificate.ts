import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'
import { ipFamily, ipNumber } from '../cni/address.ts'
import * as der from './der.ts'

/** A serving certificate and the authority that issued it, PEM. */
export interface SelfMadeCertificate {
  readonly ca: string
  readonly cert: string
  readonly key: string
}

const OIDS = {
  commonName: '2.5.4.3',
  subjectKeyId: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  authorityKeyId: '2.5.29.35',
  extendedKeyUsage: '2.5.29.37',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
} as const

const DAY_MS = 86_400_000
/** Clocks of API servers may be behind. */
const BACKDATED_MS = 3_600_000
/** [0] and [3] of a TBSCertificate, [0] of an AuthorityKeyIdentifier, [2] and [7] of a GeneralName (RFC 5280). */
const CONTEXT = { version: 0xa0, extensions: 0xa3, keyId: 0x80, dnsName: 0x82, ipAddress: 0x87 } as const

interface Party {
  readonly name: string
  readonly publicKey: KeyObject
  readonly privateKey: KeyObject
  readonly keyId: Buffer
}

/**
 * Makes an authority and a certificate for these hosts. The authority's key is thrown away: nothing else can ever be
 * issued by it.
 *
 * @param hosts DNS names and IP addresses.
 */
export function makeCertificate(
  hosts: readonly string[],
  days: number,
  now = new Date(),
): SelfMadeCertificate {
  const authority = party('plexus-webhook-ca')
  const server = party(hosts[0] ?? '')
  const validity = der.sequence(
    der.time(new Date(now.getTime() - BACKDATED_MS)),
    der.time(new Date(now.getTime() + days * DAY_MS)),
  )
  const ca = issue(authority, authority, validity, [
    extension(OIDS.basicConstraints, der.sequence(der.isTrue()), true),
    // keyCertSign
    extension(OIDS.keyUsage, der.bitString(Buffer.from([0x04]), 2), true),
    extension(OIDS.subjectKeyId, der.octetString(authority.keyId)),
  ])
  const cert = issue(server, authority, validity, [
    extension(OIDS.basicConstraints, der.sequence(), true),
    // digitalSignature
    extension(OIDS.keyUsage, der.bitString(Buffer.from([0x80]), 7), true),
    extension(OIDS.extendedKeyUsage, der.sequence(der.oid(OIDS.serverAuth))),
    extension(OIDS.subjectAltName, der.sequence(...hosts.map(generalName))),
    extension(OIDS.subjectKeyId, der.octetString(server.keyId)),
    extension(OIDS.authorityKeyId, der.sequence(der.tagged(CONTEXT.keyId, authority.keyId))),
  ])
  return { ca, cert, key: String(server.privateKey.export({ type: 'pkcs8', format: 'pem' })) }
}

function party(name: string): Party {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return { name, publicKey, privateKey, keyId: randomBytes(20) }
}

function issue(subject: Party, issuer: Party, validity: Buffer, extensions: readonly Buffer[]): string {
  const algorithm = der.sequence(der.oid(OIDS.ecdsaWithSha256))
  const version3 = der.tagged(CONTEXT.version, der.integer(Buffer.from([2])))
  const body = der.sequence(
    version3,
    der.integer(randomBytes(16)),
    algorithm,
    nameOf(issuer),
    validity,
    nameOf(subject),
    subject.publicKey.export({ type: 'spki', format: 'der' }),
    der.tagged(CONTEXT.extensions, der.sequence(...extensions)),
  )
  const certificate = der.sequence(body, algorithm, der.bitString(sign('sha256', body, issuer.privateKey)))
  const lines = certificate.toString('base64').match(/.{1,64}/g) ?? []
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n')
}

/** A common name has at most 64 characters; what counts is the subject's alternative name. */
function nameOf({ name }: Party): Buffer {
  return der.sequence(der.set(der.sequence(der.oid(OIDS.commonName), der.utf8String(name.slice(0, 64)))))
}

function extension(id: string, value: Buffer, isCritical = false): Buffer {
  return der.sequence(der.oid(id), ...(isCritical ? [der.isTrue()] : []), der.octetString(value))
}

function generalName(host: string): Buffer {
  const number = ipNumber(host)
  if (number === undefined) return der.tagged(CONTEXT.dnsName, Buffer.from(host))
  const digits = number.toString(16).padStart(ipFamily(host) === 4 ? 8 : 32, '0')
  return der.tagged(CONTEXT.ipAddress, Buffer.from(digits, 'hex'))
}
