import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { CniError, toCniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import { isJsonObject } from '../cni/json.ts'
import type { NetworkAttachmentDefinition } from '../network/nad.ts'

/** The NADs that pods of this node were given, as they were last seen: for when the API server is away. */
export interface NadFiles {
  /** Keeps it, unless that very object is kept already: costs nothing in the usual case. */
  keep(nad: NetworkAttachmentDefinition): void
  /** Brings a kept one up to date; one that is not kept is not our node's. */
  update(key: string, nad: NetworkAttachmentDefinition | undefined): void
  /** A damaged or unreadable one is as good as none; `warn` is told. */
  read(key: string): NetworkAttachmentDefinition | undefined
  /** `namespace/name` of all that are kept. */
  keys(): string[]
}

/** Keeps nothing: for a process that attaches nothing. */
export const NO_NAD_FILES: NadFiles = {
  keep: () => undefined,
  update: () => undefined,
  read: () => undefined,
  keys: () => [],
}

/**
 * Opens `<stateDir>/nads`: a file `<hash of namespace/name>.json` for each, 0600 in a 0700 folder, replaced
 * by rename. Writing happens on the way of an ADD and never fails it: `warn` is told.
 */
export function openNadFiles(stateDir: string, warn: (message: string) => void): NadFiles {
  const dir = join(stateDir, 'nads')
  const pathOf = (key: string): string =>
    join(dir, `${createHash('sha256').update(key).digest('hex').slice(0, 32)}.json`)
  /** What is in the files; `undefined` for one that an earlier process wrote. */
  const kept = new Map<string, NetworkAttachmentDefinition | undefined>()
  let isOpen = false
  /** Learns of what an earlier process kept. */
  const open = (): void => {
    if (isOpen) return
    isOpen = true
    for (const file of listFolder(dir, warn)) {
      const nad = file.endsWith('.json') ? tryRead(join(dir, file), undefined, warn) : undefined
      const key = `${nad?.namespace}/${nad?.name}`
      if (nad !== undefined && !kept.has(key)) kept.set(key, undefined)
    }
  }
  const write = (key: string, nad: NetworkAttachmentDefinition): void => {
    kept.set(key, nad)
    const path = pathOf(key)
    try {
      mkdirSync(dir, { recursive: true, mode: 0o700 })
      // One process per state directory writes here, and it is never in two places at once.
      writeFileSync(`${path}.new`, JSON.stringify(nad), { mode: 0o600 })
      renameSync(`${path}.new`, path)
    } catch (error) {
      kept.delete(key)
      warn(`NAD ${key} is not kept for when the API server is away: ${toCniError(error).message}`)
    }
  }

  return {
    keep(nad) {
      const key = `${nad.namespace}/${nad.name}`
      if (kept.get(key) !== nad) write(key, nad)
    },
    update(key, nad) {
      open()
      if (!kept.has(key)) return
      if (nad !== undefined) return write(key, nad)
      kept.delete(key)
      try {
        rmSync(pathOf(key), { force: true })
      } catch (error) {
        warn(`NAD ${key} is deleted, and its copy stays: ${toCniError(error).message}`)
      }
    },
    read: (key) => tryRead(pathOf(key), key, warn),
    keys() {
      open()
      return [...kept.keys()]
    },
  }
}

function listFolder(dir: string, warn: (message: string) => void): string[] {
  try {
    return readdirSync(dir)
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) warn(`kept NADs cannot be listed: ${toCniError(error).message}`)
    return []
  }
}

function tryRead(
  path: string,
  key: string | undefined,
  warn: (message: string) => void,
): NetworkAttachmentDefinition | undefined {
  try {
    return readNad(path, key)
  } catch (error) {
    warn(toCniError(error).message)
    return undefined
  }
}

/** @param key What must be in it; any when absent. */
function readNad(path: string, key: string | undefined): NetworkAttachmentDefinition | undefined {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    throw toCniError(error, CniErrorCode.Io)
  }
  const nad = parseKept(text)
  if (nad !== undefined && (key === undefined || key === `${nad.namespace}/${nad.name}`)) return nad
  throw new CniError(CniErrorCode.Decoding, `${path} is no kept NAD`, { hint: 'remove the file' })
}

function parseKept(text: string): NetworkAttachmentDefinition | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  if (!isJsonObject(value) || !isJsonObject(value.annotations)) return undefined
  const { namespace, name, config, resourceVersion, annotations } = value
  if (typeof namespace !== 'string' || typeof name !== 'string') return undefined
  return {
    namespace,
    name,
    annotations: Object.fromEntries(
      Object.entries(annotations).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
    ),
    ...(typeof config === 'string' ? { config } : {}),
    ...(typeof resourceVersion === 'string' ? { resourceVersion } : {}),
  }
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}
