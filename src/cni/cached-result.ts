import type { CniArgs } from './cni-args.ts'
import { toCniError } from './cni-error.ts'
import { isJsonObject, type JsonObject, parseJson } from './json.ts'

/** What the reference library keeps of one ADD: `<cacheDir>/results/<network>-<containerID>-<ifName>`. CNI-105. */
export interface CachedResult {
  /** `undefined` of a file that holds the bare result, as older libraries wrote it (CNI-112). */
  readonly networkName: string | undefined
  readonly containerId: string | undefined
  readonly ifName: string | undefined
  /** CNI_NETNS, when it was kept; else what the result names as its interfaces' sandbox. */
  readonly netns: string | undefined
  /** The network's configuration as it was handed in. */
  readonly config: JsonObject | undefined
  readonly args: CniArgs
  /** What the caller passed for capabilities. */
  readonly capabilityArgs: JsonObject
  readonly result: JsonObject | undefined
}

const KIND = 'cniCacheV1'

/**
 * Reads such a file.
 *
 * @throws {CniError} Decoding when it is no JSON object.
 */
export function parseCachedResult(text: string, what: string): CachedResult {
  const value = parseJson(text, what)
  if (!isJsonObject(value)) throw toCniError(new Error(`${what} is no JSON object`))
  if (value.kind !== KIND) return { ...NOTHING, result: value, netns: sandboxOf(value) }
  const result = isJsonObject(value.result) ? value.result : undefined
  return {
    networkName: textOf(value.networkName),
    containerId: textOf(value.containerId),
    ifName: textOf(value.ifName),
    netns: textOf(value.netns) ?? sandboxOf(result),
    config: decodeConfig(value.config, what),
    args: pairsOf(value.cniArgs),
    capabilityArgs: isJsonObject(value.capabilityArgs) ? value.capabilityArgs : {},
    result,
  }
}

const NOTHING: CachedResult = {
  networkName: undefined,
  containerId: undefined,
  ifName: undefined,
  netns: undefined,
  config: undefined,
  args: [],
  capabilityArgs: {},
  result: undefined,
}

function decodeConfig(value: unknown, what: string): JsonObject | undefined {
  if (typeof value !== 'string') return undefined
  try {
    const config = parseJson(Buffer.from(value, 'base64').toString(), `config in ${what}`)
    return isJsonObject(config) ? config : undefined
  } catch {
    // Whoever needs it says that there is none.
    return undefined
  }
}

function sandboxOf(result: JsonObject | undefined): string | undefined {
  const interfaces = Array.isArray(result?.interfaces) ? result.interfaces : []
  return interfaces
    .map((link) => (isJsonObject(link) ? textOf(link.sandbox) : undefined))
    .find((sandbox) => sandbox?.startsWith('/') === true)
}

function pairsOf(value: unknown): CniArgs {
  if (!Array.isArray(value)) return []
  return value.flatMap((pair) =>
    Array.isArray(pair) && typeof pair[0] === 'string' && typeof pair[1] === 'string'
      ? [[pair[0], pair[1]] as const]
      : [],
  )
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}
