import { CniError } from './cni-error.ts'
import { CniErrorCode } from './codes.ts'
import { toFaultsError, toShown } from './faults.ts'
import { FieldReader } from './field-reader.ts'
import { isJsonObject, type JsonObject } from './json.ts'
import type { Dns, Result, ResultInterface, ResultIp, Route } from './result.ts'
import { type CniVersion, isCniVersion, resultFamily, SUPPORTED_TEXT } from './version.ts'

/** How {@link parseResult} is to read a result. */
export interface ParseResultOptions {
  /** Version of a result that names none: its config's. CNI-074. */
  readonly fallbackVersion: CniVersion
  /** Whose result it is, for messages, for example `result of plugin "bridge"`. */
  readonly what: string
}

/**
 * Reads a result in the shape of the version that it names and brings it into the one of 1.1.0; `null`
 * is an empty result. Keys that the version does not know are dropped, `null` counts as absent, texts of
 * addresses stay as written, and so does an `interface` index, whatever it is. CNI-074, CNI-075, CNI-116,
 * CNI-118 to CNI-120, CNI-126, CNI-127.
 *
 * @param value As `parseJson` gave it.
 * @throws {CniError} DelegateOutput with the JSON pointer of everything that is malformed, or for a
 *   version that does not exist.
 */
export function parseResult(value: unknown, options: ParseResultOptions): Result {
  const { fallbackVersion, what } = options
  const object = value === null ? {} : value
  if (!isJsonObject(object)) {
    throw new CniError(CniErrorCode.DelegateOutput, `${what} is no JSON object: ${toShown(value)}`)
  }
  const named = object.cniVersion ?? ''
  const version = named === '' ? fallbackVersion : named
  if (!isCniVersion(version)) {
    throw new CniError(
      CniErrorCode.DelegateOutput,
      `${what}: unsupported CNI result version ${toShown(version)}; supported are ${SUPPORTED_TEXT}`,
    )
  }
  const reader = new FieldReader()
  const family = resultFamily(version)
  const lists = family === 'A' ? readFamilyA(reader, object) : readLists(reader, object, family === 'C')
  const result: Result = { version, ...lists, dns: readDns(reader, object) }
  if (reader.faults.length > 0) throw toFaultsError(CniErrorCode.DelegateOutput, what, reader.faults)
  return result
}

type Lists = Pick<Result, 'interfaces' | 'ips' | 'routes'>

function readFamilyA(reader: FieldReader, object: JsonObject): Lists {
  const ips: ResultIp[] = []
  const routes: Route[] = []
  for (const key of ['ip4', 'ip6']) {
    const ip = reader.object(object, key, '')
    if (ip === undefined) continue
    const at = `/${key}`
    ips.push({ address: reader.cidr(ip, 'ip', at), ...optional('gateway', reader.ip(ip, 'gateway', at)) })
    routes.push(...readRoutes(reader, ip, at))
  }
  return { interfaces: [], ips, routes }
}

function readLists(reader: FieldReader, object: JsonObject, hasExtras: boolean): Lists {
  const interfaces = reader.objects(object, 'interfaces', '').map(
    ([entry, at]): ResultInterface => ({
      name: reader.text(entry, 'name', at) ?? '',
      ...optional('mac', reader.text(entry, 'mac', at)),
      ...optional('sandbox', reader.text(entry, 'sandbox', at)),
      ...(hasExtras ? optional('mtu', reader.integer(entry, 'mtu', at)) : {}),
      ...(hasExtras ? optional('socketPath', reader.text(entry, 'socketPath', at)) : {}),
      ...(hasExtras ? optional('pciID', reader.text(entry, 'pciID', at)) : {}),
    }),
  )
  const ips = reader.objects(object, 'ips', '').map(
    ([entry, at]): ResultIp => ({
      address: reader.cidr(entry, 'address', at),
      ...optional('gateway', reader.ip(entry, 'gateway', at)),
      ...optional('interface', reader.integer(entry, 'interface', at)),
    }),
  )
  return { interfaces, ips, routes: readRoutes(reader, object, '') }
}

/** In every version: the reference library's older results take the keys of 1.1.0 too. CNI-121. */
function readRoutes(reader: FieldReader, object: JsonObject, parent: string): Route[] {
  return reader.objects(object, 'routes', parent).map(
    ([entry, at]): Route => ({
      dst: reader.cidr(entry, 'dst', at),
      ...optional('gw', reader.ip(entry, 'gw', at)),
      ...optional('mtu', reader.integer(entry, 'mtu', at)),
      ...optional('advmss', reader.integer(entry, 'advmss', at)),
      ...optional('priority', reader.integer(entry, 'priority', at)),
      ...optional('table', reader.integer(entry, 'table', at)),
      ...optional('scope', reader.integer(entry, 'scope', at)),
    }),
  )
}

function readDns(reader: FieldReader, object: JsonObject): Dns {
  const dns = reader.object(object, 'dns', '') ?? {}
  return {
    ...optional('nameservers', reader.texts(dns, 'nameservers', '/dns')),
    ...optional('domain', reader.text(dns, 'domain', '/dns')),
    ...optional('search', reader.texts(dns, 'search', '/dns')),
    ...optional('options', reader.texts(dns, 'options', '/dns')),
  }
}

function optional<K extends string, V>(key: K, value: V | undefined): { [k in K]?: V } {
  const field: { [k in K]?: V } = {}
  if (value !== undefined) field[key] = value
  return field
}
