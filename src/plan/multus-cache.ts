import { CniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import { ifNameFault } from '../cni/if-name.ts'
import { isJsonObject, type JsonObject, parseJson } from '../cni/json.ts'

/** One network of a pod as Multus remembers it. */
export interface MultusDelegate {
  /** `namespace/nad`, or the configuration's name; '' when it does not say. */
  readonly name: string
  /** The configuration that its plugins were called with. */
  readonly config: JsonObject
  /** Whether that is all of it: some forms keep only the keys that Multus itself knows. */
  readonly isWhole: boolean
  /** The interface that the pod asked for; `undefined` for the one that its place gives. */
  readonly ifName: string | undefined
  readonly deviceId: string | undefined
}

/**
 * Reads Multus's file of a container, in each form it has had: a list of objects with the configuration in base64
 * (since 3.0), of such without it, and of plain configurations (before). The first one is the default network.
 *
 * @throws {CniError} Decoding, naming what cannot be read.
 */
export function parseMultusDelegates(text: string, what: string): MultusDelegate[] {
  const list = parseJson(text, what)
  if (!Array.isArray(list)) throw new CniError(CniErrorCode.Decoding, `${what} is no list of networks`)
  return list.map((entry: unknown, index) => {
    const where = `${what} /${index}`
    if (!isJsonObject(entry)) throw new CniError(CniErrorCode.Decoding, `${where} is no object`)
    const config = configOf(entry, where)
    if (config === undefined) throw new CniError(CniErrorCode.Decoding, `${where} has no configuration`)
    const ifName = textOf(entry.ifnameRequest)
    const fault = ifName === undefined ? undefined : ifNameFault(ifName)
    if (fault !== undefined) throw new CniError(CniErrorCode.Decoding, `${where}/ifnameRequest ${fault}`)
    return {
      name: textOf(entry.Name) ?? '',
      config,
      isWhole: isText(entry.Bytes) || config === entry,
      ifName,
      deviceId: textOf(entry.deviceID),
    }
  })
}

/** The interface of a delegate: by its place where the pod asked for none. */
export function multusIfName(delegate: MultusDelegate, index: number, primaryIfName: string): string {
  return delegate.ifName ?? (index === 0 ? primaryIfName : `net${index}`)
}

function configOf(entry: JsonObject, where: string): JsonObject | undefined {
  if (isText(entry.Bytes)) {
    const config = parseJson(Buffer.from(entry.Bytes, 'base64').toString(), `${where}/Bytes`)
    return isJsonObject(config) ? config : undefined
  }
  const isConfig = (value: unknown): value is JsonObject =>
    isJsonObject(value) && (hasPlugins(value) || textOf(value.type) !== undefined)
  return [entry, entry.ConfList, entry.Conf].find(isConfig)
}

function hasPlugins(value: JsonObject): boolean {
  return Array.isArray(value.plugins) && value.plugins.length > 0
}

function textOf(value: unknown): string | undefined {
  return isText(value) ? value : undefined
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}
