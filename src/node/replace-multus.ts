import { existsSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { CniError, toCniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import { isJsonObject, type JsonObject, parseJson } from '../cni/json.ts'
import { parseDaemonConf } from '../config/daemon-conf.ts'
import { type MultusTranslation, translateMultusConf } from '../plan/multus-conf.ts'
import { NODE_CONFLIST_FILE } from '../plan/node-conflist.ts'
import { readConfFolder } from '../store/conf-files.ts'
import { type AdoptionOptions, type AdoptionReport, adoptPods } from './adoption.ts'
import { isServed } from './daemon-socket.ts'
import { detectDefaultNetwork } from './default-network-detection.ts'
import { setAside } from './set-aside.ts'

/** Types of Multus's own plugins. */
const MULTUS_TYPES: readonly string[] = ['multus', 'multus-shim']
/** Where thick Multus reads its daemon's configuration, below the folder of conf files. */
const DAEMON_CONFIG = 'multus.d/daemon-config.json'

/** Multus as it is on a node. */
export interface MultusOnNode extends MultusTranslation {
  /** Names of its files in the runtime's folder. */
  readonly files: readonly string[]
  /** Name of the default network, when one is found. */
  readonly defaultNetwork: string | undefined
}

/** How far the replacement has come. */
export interface Replacement extends AdoptionReport {
  /** Multus's files that the runtime no longer sees, by their new paths. */
  readonly setAside: readonly string[]
  /** What has to happen before they are set aside. */
  readonly waitsFor: string | undefined
}

/**
 * Reads Multus's configuration of a node and translates it; nothing is changed.
 *
 * @param confFile Multus's configuration, or its daemon's, when the folder does not have it.
 * @param own Keys of our daemon that are not at their default.
 * @throws {CniError} When a file cannot be read, or what it says cannot be said in our words.
 */
export function readMultus(confDir: string, confFile: string | undefined, own: JsonObject): MultusOnNode {
  const found = readConfFolder(confDir).files.flatMap(({ path, conflist }) => {
    const plugin = conflist.plugins.find(({ type }) => MULTUS_TYPES.includes(type))
    return plugin === undefined ? [] : [{ name: basename(path), plugin }]
  })
  const given = confFile === undefined ? undefined : readObject(confFile)
  const isDaemons = given !== undefined && given.type === undefined && given.plugins === undefined
  const plugins: unknown[] = Array.isArray(given?.plugins) ? given.plugins : [given]
  const [named] = isDaemons ? [] : plugins.filter(isJsonObject)
  const daemonFile = join(confDir, DAEMON_CONFIG)
  const daemon = isDaemons ? given : existsSync(daemonFile) ? readObject(daemonFile) : {}
  const { chosen } = detectDefaultNetwork(confDir, { pin: undefined })
  const detected = chosen === undefined ? undefined : { path: chosen.path, name: chosen.conflist.name }
  const translation = translateMultusConf(named ?? found[0]?.plugin ?? {}, daemon, { confDir, detected, own })
  parseDaemonConf(translation.conf)
  return { ...translation, files: found.map(({ name }) => name), defaultNetwork: detected?.name }
}

/** What {@link replaceMultus} needs. */
export interface ReplaceOptions extends AdoptionOptions {
  readonly confDir: string
  readonly socket: string
  /** Names of Multus's files there. */
  readonly files: readonly string[]
}

/**
 * Adopts the pods, and, when our list is there, somebody serves behind it, and each pod that can have a record has one, has
 * the runtime use it: before that a pod would start with less than it asks for, or be deleted only in part. Pods that
 * Multus attaches meanwhile are adopted afterwards. It may be run again at any time.
 *
 * @throws {CniError} Io.
 */
export async function replaceMultus(options: ReplaceOptions): Promise<Replacement> {
  const { confDir, socket } = options
  const files = options.files.filter((name) => existsSync(join(confDir, name)))
  const before = await adoptPods(options)
  if (files.length === 0) return { ...before, setAside: [], waitsFor: undefined }
  const waitsFor = !existsSync(join(confDir, NODE_CONFLIST_FILE))
    ? `${join(confDir, NODE_CONFLIST_FILE)}, which the daemon writes`
    : (await isServed(socket))
      ? missingRecords(before)
      : `a daemon at ${socket}`
  if (waitsFor !== undefined) return { ...before, setAside: [], waitsFor }
  const aside = files.map((name) => setAside(confDir, name))
  const after = await adoptPods(options)
  return { ...after, adopted: [...before.adopted, ...after.adopted], setAside: aside, waitsFor: undefined }
}

/** Without them a DEL through us would undo nothing of these pods, and Multus would not be asked any more. */
function missingRecords({ left }: AdoptionReport): string | undefined {
  const missing = left.filter(({ isMendable }) => isMendable)
  if (missing.length === 0) return undefined
  const reasons = missing.map(({ containerId, reason }) => `container ${containerId} (${reason})`)
  return `a record of ${reasons.join(', ')}`
}

function readObject(path: string): JsonObject {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw new CniError(CniErrorCode.Io, `${path} cannot be read: ${toCniError(error).message}`, {
      cause: error,
    })
  }
  const value = parseJson(text, path)
  if (isJsonObject(value)) return value
  throw new CniError(CniErrorCode.Decoding, `${path} is no JSON object`)
}
