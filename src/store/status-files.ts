import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, renameSync, rmdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { CniError, toCniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import { isJsonObject, parseJson } from '../cni/json.ts'
import { namespaceFault, objectNameFault } from '../cni/object-name.ts'
import type { NetworkStatusEntry } from '../network/network-status.ts'
import type { Publication, Unpublication } from './cluster-store.ts'

/** Longest file name without `.json` that every file system takes. */
const NAME_LIMIT = 250

/** Each needs another pod's removal at the very moment. */
const OPEN_TRIES = 20

/** A publication as it is on disk; the only writer is {@link writeStatus}. */
interface StatusFile {
  name: string
  containerId: string
  networkStatus: NetworkStatusEntry[]
}

/**
 * Path of a pod's published status: `<stateDir>/status/<namespace>/<pod>.json`; of a pod whose name is too
 * long for a file, its beginning and a hash (`~` is in no pod's name).
 *
 * @throws {CniError} InvalidEnvironment for a name that Kubernetes forbids: it would become a path.
 */
export function statusPath(stateDir: string, namespace: string, name: string): string {
  const namespaceWrong = namespaceFault(namespace)
  const nameWrong = objectNameFault(name)
  if (namespaceWrong !== undefined || nameWrong !== undefined) {
    const fault = namespaceWrong === undefined ? `name ${nameWrong}` : `namespace ${namespaceWrong}`
    const pod = JSON.stringify(`${namespace}/${name}`)
    throw new CniError(CniErrorCode.InvalidEnvironment, `pod ${pod}: its ${fault}`)
  }
  const file = name.length <= NAME_LIMIT ? name : `${name.slice(0, 200)}~${shortHash(name)}`
  return join(stateDir, 'status', namespace, `${file}.json`)
}

/**
 * Where a sandbox's status is written before the rename. Always the same, so that what a crash left there
 * is found again; only the holder of the container's lock writes to it.
 */
function asidePath(path: string, { name, containerId }: Unpublication): string {
  return join(dirname(path), `.${containerId}~${shortHash(name)}.tmp`)
}

const ASIDE = /^\.(.+)~[0-9a-f]{16}\.tmp$/

function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16)
}

/**
 * Writes a pod's status in place of an earlier one, whole or not at all (rename); files 0600, folders 0700.
 * It only tells of the pod's networks: after a power failure it may be gone or empty, as the pod is.
 *
 * @throws {CniError} Io naming the file.
 */
export function writeStatus(stateDir: string, publication: Publication): void {
  const path = statusPath(stateDir, publication.namespace, publication.name)
  const { namespace, name, uid, containerId, networkStatus } = publication
  const content = { namespace, name, ...(uid === undefined ? {} : { uid }), containerId, networkStatus }
  const aside = asidePath(path, publication)
  try {
    writeAside(aside, `${JSON.stringify(content, null, 2)}\n`)
    renameSync(aside, path)
  } catch (error) {
    try {
      rmSync(aside, { force: true })
    } catch {
      // The first fault says what is wrong; what is left is found again by its name.
    }
    throw toCniError(error, CniErrorCode.Io).at(`network-status of pod ${namespace}/${name} in ${path}`)
  }
}

function writeAside(aside: string, text: string): void {
  for (let tries = 1; ; tries++) {
    try {
      writeFileSync(aside, text, { mode: 0o600 })
      return
    } catch (error) {
      // The folder goes with the last file in it, also by another process, also in the middle of mkdir.
      if (!hasCode(error, 'ENOENT') || tries === OPEN_TRIES) throw error
    }
    try {
      mkdirSync(dirname(aside), { recursive: true, mode: 0o700 })
    } catch (error) {
      if (!hasCode(error, 'ENOENT')) throw error
    }
  }
}

/**
 * The status last published for a pod; `undefined` when there is none.
 *
 * @throws {CniError} Io when the file cannot be read, Decoding when it is damaged.
 */
export function readStatus(
  stateDir: string,
  namespace: string,
  name: string,
): NetworkStatusEntry[] | undefined {
  const path = statusPath(stateDir, namespace, name)
  return readStatusFile(path)?.networkStatus
}

/**
 * Removes a pod's status when it is the container's, what a crash left of writing one, and the namespace's
 * folder when nothing else is in it. A damaged file is nobody's and goes too. Absent is success.
 *
 * @throws {CniError} Io when reading or removing fails.
 */
export function removeStatus(stateDir: string, unpublication: Unpublication): void {
  const { namespace, name, containerId } = unpublication
  const path = statusPath(stateDir, namespace, name)
  const isOurs = isStatusOf(path, containerId)
  try {
    rmSync(asidePath(path, unpublication), { force: true })
    if (isOurs) rmSync(path, { force: true })
    rmdirSync(dirname(path))
  } catch (error) {
    if (hasCode(error, 'ENOTEMPTY') || hasCode(error, 'ENOENT')) return
    throw toCniError(error, CniErrorCode.Io).at(`network-status of pod ${namespace}/${name} in ${path}`)
  }
}

/**
 * Takes away what sandboxes that are gone have left: a shim that undoes a pod alone knows of no status, and a
 * crash leaves what was being written. Not to be called while statuses are published.
 *
 * @throws {CniError} Io when reading or removing fails.
 */
export function sweepStatus(stateDir: string, isGone: (containerId: string) => boolean): void {
  const root = join(stateDir, 'status')
  for (const namespace of readNames(root)) {
    for (const file of readNames(join(root, namespace))) {
      const path = join(root, namespace, file)
      const written = ASIDE.exec(file)?.[1]
      if (written !== undefined && isGone(written)) rmSync(path, { force: true })
      if (!file.endsWith('.json')) continue
      const status = readUndamaged(path)
      if (status !== undefined && isGone(status.containerId))
        removeStatus(stateDir, { namespace, name: status.name, containerId: status.containerId })
    }
    try {
      rmdirSync(join(root, namespace))
    } catch (error) {
      // Others are in it.
      if (!hasCode(error, 'ENOTEMPTY') && !hasCode(error, 'ENOENT')) throw error
    }
  }
}

function readNames(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch (error) {
    if (hasCode(error, 'ENOENT') || hasCode(error, 'ENOTDIR')) return []
    throw toCniError(error, CniErrorCode.Io).at(`network-status in ${folder}`)
  }
}

/** A damaged file goes when its pod is published or taken back the next time. */
function readUndamaged(path: string): StatusFile | undefined {
  try {
    return readStatusFile(path)
  } catch (error) {
    if (toCniError(error).code !== CniErrorCode.Decoding) throw error
    return undefined
  }
}

/** Whether the file may go with the container: it is the container's, or damaged. */
function isStatusOf(path: string, containerId: string): boolean {
  try {
    return readStatusFile(path)?.containerId === containerId
  } catch (error) {
    if (toCniError(error).code !== CniErrorCode.Decoding) throw error
    return true
  }
}

function readStatusFile(path: string): StatusFile | undefined {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    throw toCniError(error, CniErrorCode.Io).at(`network-status in ${path}`)
  }
  const value = parseJson(text, path)
  if (isStatusFile(value)) return value
  throw new CniError(CniErrorCode.Decoding, `${path} is no published network-status`, {
    hint: 'remove the file',
  })
}

function isStatusFile(value: unknown): value is StatusFile & Record<string, unknown> {
  return (
    isJsonObject(value) &&
    typeof value.name === 'string' &&
    typeof value.containerId === 'string' &&
    Array.isArray(value.networkStatus) &&
    value.networkStatus.every(isJsonObject)
  )
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}
