import { existsSync, lstatSync, readdirSync, rmdirSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { setTimeout as delay } from 'node:timers/promises'
import { CniError, toCniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import { isJsonObject, toJsonObject } from '../cni/json.ts'
import { lockAllSandboxes } from '../journal/lock.ts'
import { NODE_CONFLIST_FILE } from '../plan/node-conflist.ts'
import { ADOPTED_FOLDER, sweepAdopted } from './adopted-pods.ts'
import { isServed } from './daemon-socket.ts'
import { type RemainingSandbox, remainingSandboxes, undoDeadSandboxes } from './dead-sandboxes.ts'
import { removeHalfWritten } from './durable-file.ts'
import { readText } from './foreign-pods.ts'
import { putBack } from './set-aside.ts'
import { placedBinDirs, removeShimFiles, SHIM_FILE } from './shim-files.ts'
import { setUninstallMark, UNINSTALLING_FILE } from './uninstall-mark.ts'
import { removeWrittenConfig, WRITTEN_CONFIG_FILE } from './written-config.ts'

/** What {@link uninstall} needs. */
export interface UninstallOptions {
  readonly binDir: string
  /** The runtime's folder of conf files. */
  readonly confDir: string
  readonly stateDir: string
  readonly socket: string
  /** The folder of device-info files. */
  readonly devInfoDir: string
  /** Where the node's root is seen, for paths that were remembered as the node has them. */
  readonly root: string
  /** Whether plugins may be run from here: not in a container, which is not where they have worked. */
  readonly canUndo: boolean
  /** How long sandboxes and daemon are waited for; 0 is one look. */
  readonly waitMs: number
  readonly self: string
  readonly warn: (message: string) => void
}

/** How far an uninstall has come. */
export interface UninstallReport {
  /** Whether nothing of us is left. */
  readonly isDone: boolean
  readonly removed: readonly string[]
  /** Files of another meta-plugin that are in their place again. */
  readonly restored: readonly string[]
  /** Recorded sandboxes that somebody still has to delete. */
  readonly remaining: readonly RemainingSandbox[]
  /** What else keeps it from being finished. */
  readonly obstacle: string | undefined
}

/** Ending that Cilium gives a list that it wants out of its way. */
const RENAMED = '.cilium_bak'
const ROUND_MS = 1000
const NOT_ON_NODE =
  'this is not the node itself, where pods that are gone could be undone: run it there (by "nsenter -t 1 -m -n"), or have an agent do it (plexus --agent, while the daemon runs)'
/** A daemon that was about to write the list when the mark came has done so by then. */
const SETTLE_MS = 300
const LOCK_TIMEOUT_MS = 10_000

/** Everything that we keep in the state directory, the mark last: until then nothing is put back. */
export const STATE_ENTRIES: readonly string[] = [
  'sandboxes',
  'damaged',
  'status',
  'nads',
  'locks',
  'default-network.json',
  ADOPTED_FOLDER,
  WRITTEN_CONFIG_FILE,
  '.writable',
  UNINSTALLING_FILE,
]

/**
 * Takes Plexus off the node: the runtime's list at once, so that new pods start without it, and the files of another
 * meta-plugin back into their place; shim and state when the last recorded sandbox is undone and no daemon serves any
 * more. It may be run again at any time, and goes on where it was.
 *
 * @throws {CniError} What cannot be removed.
 */
export async function uninstall(options: UninstallOptions): Promise<UninstallReport> {
  const { stateDir, waitMs } = options
  const deadline = performance.now() + waitMs
  const removed: string[] = []
  const restored: string[] = []
  if (!isInstalled(options)) {
    return { isDone: true, removed, restored, remaining: [], obstacle: undefined }
  }
  try {
    setUninstallMark(stateDir)
  } catch (error) {
    // What cannot be finished must not keep new pods from starting without us.
    putBack(options.confDir, searchedFolders(options))
    const gone = removeConflist(options.confDir).join(', ')
    throw new CniError(
      CniErrorCode.Io,
      `${stateDir} cannot be written: ${toCniError(error).message}${gone === '' ? '' : `; ${gone} is removed`}`,
      {
        cause: error,
        hint: 'stop the daemon, which would write the list again, mend that, and run this again',
      },
    )
  }
  for (let isFirst = true; ; isFirst = false) {
    restored.push(...putBack(options.confDir, searchedFolders(options)))
    removed.push(...removeConflist(options.confDir))
    if (isFirst && (await isServed(options.socket))) {
      await delay(SETTLE_MS)
      removed.push(...removeConflist(options.confDir))
    }
    if (options.canUndo) await undoDeadSandboxes(options)
    const remaining = remainingSandboxes(stateDir, options.canUndo)
    const isElsewhere = remaining.length > 0 && !options.canUndo
    const obstacle =
      remaining.length === 0 ? await finish(options, removed) : isElsewhere ? NOT_ON_NODE : undefined
    const isDone = remaining.length === 0 && obstacle === undefined
    const isInstalledAgain = !isDone && !existsSync(join(stateDir, UNINSTALLING_FILE))
    if (isDone || isInstalledAgain || performance.now() >= deadline) {
      const again = isInstalledAgain ? 'somebody has installed Plexus again meanwhile' : obstacle
      return { isDone, removed: [...new Set(removed)], restored, remaining, obstacle: again }
    }
    await delay(Math.min(ROUND_MS, Math.max(0, deadline - performance.now())))
  }
}

/** Removes the rest, if nobody works with it. */
async function finish(options: UninstallOptions, removed: string[]): Promise<string | undefined> {
  const { binDir, stateDir, socket, devInfoDir, root, warn } = options
  if (await isServed(socket)) {
    return `a daemon serves at ${socket}: delete the DaemonSet (kubectl delete -k deploy/), or stop it`
  }
  const lock = await lockAllSandboxes(stateDir, LOCK_TIMEOUT_MS)
  try {
    if (remainingSandboxes(stateDir, options.canUndo).length > 0) return 'a pod was attached just now'
    for (const fault of sweepAdopted(stateDir, root)) warn(fault)
    const config = removeWrittenConfig(stateDir, root)
    if (config !== undefined) removed.push(config)
    removed.push(...removeShimFiles(binDir).map(({ path }) => path))
    for (const folder of [join(devInfoDir, 'cni'), devInfoDir, dirname(devInfoDir)]) removeEmptyFolder(folder)
    for (const path of STATE_ENTRIES.map((name) => join(stateDir, name))) {
      if (existsSync(stateDir)) removeHalfWritten(path)
      rmSync(path, { recursive: true, force: true })
    }
  } finally {
    lock.release(false)
  }
  if (removeEmptyFolder(stateDir)) removed.push(stateDir)
  if (lstatSync(socket, { throwIfNoEntry: false })?.isSocket() === true) rmSync(socket, { force: true })
  removeEmptyFolder(dirname(socket))
  return undefined
}

/** Folders of plugins, as they are seen from here. */
function searchedFolders({ binDir, root }: UninstallOptions): string[] {
  return [binDir, ...placedBinDirs(binDir).map((folder) => join(root, folder))]
}

function isInstalled({ binDir, confDir, stateDir }: UninstallOptions): boolean {
  return [join(binDir, SHIM_FILE), join(confDir, NODE_CONFLIST_FILE), stateDir].some((path) =>
    existsSync(path),
  )
}

function removeConflist(confDir: string): string[] {
  const path = join(confDir, NODE_CONFLIST_FILE)
  if (!existsSync(confDir)) return []
  removeHalfWritten(path)
  const copies = readdirSync(confDir)
    .filter((name) => name.endsWith(RENAMED) && name.startsWith(NODE_CONFLIST_FILE))
    .map((name) => join(confDir, name))
    .filter(isOurs)
  const list = lstatSync(path, { throwIfNoEntry: false }) === undefined ? [] : [path]
  const removed = [...list, ...copies]
  for (const file of removed) rmSync(file, { force: true })
  return removed
}

/** Whether it is a list with an entry of ours: anybody may have given a file that name. */
function isOurs(path: string): boolean {
  if (lstatSync(path, { throwIfNoEntry: false })?.isFile() !== true) return false
  const plugins = toJsonObject(readText(path) ?? '')?.plugins
  return Array.isArray(plugins) && plugins.some((plugin) => isJsonObject(plugin) && plugin.type === SHIM_FILE)
}

function removeEmptyFolder(path: string): boolean {
  try {
    if (readdirSync(path).length > 0) return false
    rmdirSync(path)
    return true
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code === 'ENOENT' || code === 'ENOTEMPTY' || code === 'EBUSY' || code === 'ENOTDIR') return false
    throw toCniError(error)
  }
}
