import { readdirSync, readFileSync, statSync } from 'node:fs'
import { basename } from 'node:path'
import { type CachedResult, parseCachedResult } from '../cni/cached-result.ts'
import { CniError, toCniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import { CONTAINER_ID_LIMIT_BYTES, identifierFault } from '../cni/identifier.ts'
import { ifNameFault } from '../cni/if-name.ts'
import { isJsonObject } from '../cni/json.ts'
import type { JournalKey } from '../journal/journal.ts'
import type { ForeignAttachment } from '../plan/adoption.ts'
import { multusIfName, parseMultusDelegates } from '../plan/multus-cache.ts'
import { isMetaPlugin } from '../plan/plugin-quirks.ts'

/** Runtimes give up an ADD after about two minutes. */
const YOUNG_MS = 150_000

/** A pod that somebody else has attached, as it is kept on this node. */
export interface ForeignPod {
  readonly key: JournalKey
  readonly foreign: readonly ForeignAttachment[]
  readonly runtime: CachedResult | undefined
  readonly source: string
  readonly files: readonly string[]
  /** Whether a network has no result yet and may still get one. */
  readonly isYoung: boolean
}

/**
 * What Multus and the runtime keep of a pod that Multus has attached; `undefined` when it is gone by now.
 *
 * @param source Multus's file of the container.
 * @param resultPaths What the library keeps, Multus's and the runtime's.
 * @throws {CniError} Decoding for what cannot be read.
 */
export function findOfMultus(source: string, resultPaths: readonly string[]): ForeignPod | undefined {
  const containerId = basename(source)
  assertContainerId(containerId)
  const text = readText(source)
  if (text === undefined) return undefined
  const delegates = parseMultusDelegates(text, source)
  const kept = resultPaths
    .filter((path) => basename(path).includes(`-${containerId}-`))
    .flatMap((path) => {
      const cached = readCached(path)
      return cached === undefined || (cached.containerId ?? containerId) !== containerId
        ? []
        : [{ path, cached }]
    })
  const runtime = kept.find(({ cached }) => typesOf(cached).some(isMetaPlugin))
  const primary = runtime?.cached.ifName ?? 'eth0'
  assertIfName(primary)
  const files = new Set([source, ...(runtime === undefined ? [] : [runtime.path])])
  const foreign = delegates.map((delegate, index): ForeignAttachment => {
    const { name: label, deviceId } = delegate
    const network = textOf(delegate.config.name) ?? label.slice(label.lastIndexOf('/') + 1)
    const byPlace = multusIfName(delegate, index, primary)
    const named = kept.find(({ path }) => basename(path) === `${network}-${containerId}-${byPlace}`)
    // Multus's first releases did not write down which interface a pod had asked for.
    const others = kept.filter(({ path, cached }) => cached.networkName === network && !files.has(path))
    const found = named ?? (delegate.ifName === undefined && others.length === 1 ? others[0] : undefined)
    if (found !== undefined) files.add(found.path)
    const config = delegate.isWhole ? delegate.config : (found?.cached.config ?? delegate.config)
    return { label, config, ifName: found?.cached.ifName ?? byPlace, deviceId, cached: found?.cached }
  })
  const isYoung = foreign.some(({ cached }) => cached?.result === undefined) && ageMs(source) < YOUNG_MS
  const key = { containerId, ifName: primary }
  return { key, foreign, runtime: runtime?.cached, source, files: [...files], isYoung }
}

/**
 * A pod that the runtime has attached to the default network without any meta-plugin; `undefined` when the file is of
 * another one.
 *
 * @param others Containers that Multus knows.
 * @throws {CniError} Decoding for what cannot be read.
 */
export function findOfRuntime(
  path: string,
  network: string,
  others: readonly string[],
): ForeignPod | undefined {
  const cached = readCached(path)
  if (cached?.config === undefined || cached.networkName !== network || typesOf(cached).some(isMetaPlugin)) {
    return undefined
  }
  const { containerId = '', ifName = '', config } = cached
  if (others.includes(containerId)) return undefined
  assertContainerId(containerId)
  assertIfName(ifName)
  return {
    key: { containerId, ifName },
    foreign: [{ label: '', config, ifName, cached, deviceId: undefined }],
    runtime: cached,
    source: path,
    // The runtime removes its own file at DEL: the network's name is the same to it.
    files: [],
    isYoung: false,
  }
}

/** It becomes the name of a folder, as the interface's becomes that of a file in it. */
function assertContainerId(containerId: string): void {
  const isLong = containerId.length > CONTAINER_ID_LIMIT_BYTES
  const fault = isLong ? `has more than ${CONTAINER_ID_LIMIT_BYTES} bytes` : identifierFault(containerId)
  if (fault !== undefined) throw new CniError(CniErrorCode.Decoding, `the container id ${fault}`)
}

function assertIfName(ifName: string): void {
  const fault = ifNameFault(ifName)
  if (fault !== undefined) throw new CniError(CniErrorCode.Decoding, `the interface name ${fault}`)
}

function typesOf({ config }: CachedResult): string[] {
  const plugins: unknown[] = Array.isArray(config?.plugins) ? config.plugins : [config]
  return plugins.flatMap((plugin) =>
    isJsonObject(plugin) && typeof plugin.type === 'string' ? [plugin.type] : [],
  )
}

function readCached(path: string): CachedResult | undefined {
  const text = readText(path)
  return text === undefined ? undefined : parseCachedResult(text, path)
}

/** A file's text; `undefined` when somebody has removed it just now, as Multus or the runtime does with a pod's. */
export function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}

function ageMs(path: string): number {
  return Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0)
}

/** Names in a folder in byte order; none when it is not there. */
export function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder).sort()
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return []
    throw toCniError(error, CniErrorCode.Io)
  }
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}
