import { type IpFamily, ipFamily } from './address.ts'
import { CniError } from './cni-error.ts'
import { CniErrorCode } from './codes.ts'
import type { JsonObject } from './json.ts'
import type { Result, ResultInterface, Route } from './result.ts'
import { type CniVersion, resultFamily } from './version.ts'

/**
 * Writes a result in the shape of a version, `cniVersion` first. What the version cannot say is lost:
 * the keys that 1.1.0 brought to interfaces and routes below 1.0.0; below 0.3.0 also interfaces, all but
 * the first address of each family, and routes of a family without one. Lists and texts that are empty
 * are left out, an empty `dns` is `{}` below 1.0.0. CNI-117, CNI-121 to CNI-125, CNI-134.
 *
 * @throws {CniError} IncompatibleCniVersion for a result without addresses in 0.1.0 or 0.2.0, unless it
 *   was itself given in one of them.
 */
export function formatResult(result: Result, version: CniVersion): JsonObject {
  const family = resultFamily(version)
  const dns = notEmpty({ ...result.dns })
  const hasDns = family !== 'C' || Object.keys(dns).length > 0
  return {
    cniVersion: version,
    ...(family === 'A' ? formatFamilyA(result, version) : formatLists(result, family)),
    ...(hasDns ? { dns } : {}),
  }
}

function formatFamilyA(result: Result, version: CniVersion): JsonObject {
  if (result.ips.length === 0 && resultFamily(result.version) !== 'A') {
    throw new CniError(
      CniErrorCode.IncompatibleCniVersion,
      `cannot convert: no valid IP addresses, and a result in CNI version ${version} must have one`,
      { hint: 'use cniVersion 0.3.0 or later for a network without addresses' },
    )
  }
  return { ...formatFirstIp(result, 4), ...formatFirstIp(result, 6) }
}

function formatFirstIp(result: Result, family: IpFamily): JsonObject {
  const ip = result.ips.find(({ address }) => ipFamily(address) === family)
  if (ip === undefined) return {}
  const routes = result.routes.filter(({ dst }) => ipFamily(dst) === family).map(formatOldRoute)
  return { [`ip${family}`]: notEmpty({ ip: ip.address, gateway: ip.gateway, routes }) }
}

function formatLists(result: Result, family: 'B' | 'C'): JsonObject {
  const isOld = family === 'B'
  return notEmpty({
    interfaces: result.interfaces.map((entry) => formatInterface(entry, isOld)),
    ips: result.ips.map(({ address, gateway, interface: index }) => ({
      ...(isOld ? { version: String(ipFamily(address)) } : {}),
      ...(index === undefined ? {} : { interface: index }),
      address,
      ...notEmpty({ gateway }),
    })),
    routes: result.routes.map((route) => (isOld ? formatOldRoute(route) : formatRoute(route))),
  })
}

function formatInterface({ name, mac, sandbox, ...extras }: ResultInterface, isOld: boolean): JsonObject {
  const { mtu, socketPath, pciID } = extras
  return {
    name,
    ...notEmpty({ mac, ...(isOld ? {} : { mtu }), sandbox, ...(isOld ? {} : { socketPath, pciID }) }),
  }
}

/** The specification below 1.1.0 has only these keys; the reference library leaks the others. CNI-121. */
function formatOldRoute({ dst, gw }: Route): JsonObject {
  return { dst, ...notEmpty({ gw }) }
}

/** An explicit 0 of `table` and `scope` means something (unspecified table, universe). CNI-125. */
function formatRoute({ dst, gw, mtu, advmss, priority, table, scope }: Route): JsonObject {
  return {
    dst,
    ...notEmpty({ gw, mtu, advmss, priority }),
    ...(table === undefined ? {} : { table }),
    ...(scope === undefined ? {} : { scope }),
  }
}

/** The fields that are neither absent, 0, an empty text nor an empty list. */
function notEmpty(fields: JsonObject): JsonObject {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => (Array.isArray(value) ? value.length > 0 : Boolean(value))),
  )
}
