import { readFileSync } from 'node:fs'
import { CniError, toCniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import { isJsonObject, type JsonObject, parseJson } from '../cni/json.ts'
import { type NetConf, parseNetConf } from '../config/net-conf.ts'

/** Type by which a runtime finds us in a conflist. */
const OWN_TYPE = 'plexus'

/**
 * Reads Plexus's own configuration from a file: a net-conf, or a conflist with one plugin of type `plexus`.
 *
 * @throws {CniError} Io, Decoding, InvalidNetworkConfig; each names the file.
 */
export function readNetConfFile(path: string): NetConf {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw toCniError(error, CniErrorCode.Io).at(`net-conf ${path}`)
  }
  const value = parseJson(text, `net-conf ${path}`)
  if (!isJsonObject(value)) {
    throw new CniError(CniErrorCode.InvalidNetworkConfig, `net-conf ${path} is no JSON object`)
  }
  try {
    return parseNetConf(Array.isArray(value.plugins) ? ownMember(value, value.plugins) : value)
  } catch (error) {
    throw toCniError(error).at(path)
  }
}

function ownMember(list: JsonObject, plugins: readonly unknown[]): JsonObject {
  const own = plugins.filter(isJsonObject).find(({ type }) => type === OWN_TYPE)
  if (own !== undefined) return { cniVersion: list.cniVersion, name: list.name, ...own }
  const types = plugins.filter(isJsonObject).map(({ type }) => String(type))
  throw new CniError(
    CniErrorCode.InvalidNetworkConfig,
    `the conflist has no plugin of type "${OWN_TYPE}", only ${types.join(', ') || 'none at all'}`,
    { hint: 'name the file in which Plexus is configured' },
  )
}
