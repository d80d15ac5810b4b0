import { closeSync, constants, fstatSync, lstatSync, openSync, readFileSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { CniError, toCniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import {
  formatShimConf,
  type ShimConf,
  shimConfBinDirs,
  shimConfInstalled,
  shimConfVersion,
} from '../config/shim-conf.ts'
import { type FileContent, holds, removeHalfWritten, syncFolder, writeDurably } from './durable-file.ts'

/** What a node gets in its folder of plugins. */
export interface ShimFiles {
  /** The folder as this process sees it. */
  readonly binDir: string
  readonly conf: ShimConf
  /** Where the shim is taken from. */
  readonly shim: string
  /** Where the standalone executable is taken from; `undefined` when the node gets none. */
  readonly standalone: string | undefined
}

/** A file in the folder of plugins and what was done about it. */
export interface PlacedFile {
  readonly path: string
  readonly action: 'created' | 'replaced' | 'unchanged' | 'removed'
}

/** What becomes of the files while they are looked after. */
export type ShimFate = 'kept' | 'uninstalling' | 'uninstalled'

export const SHIM_FILE = 'plexus'
const CONF_FILE = 'plexus.shim'
export const STANDALONE_FILE = 'plexus-standalone'

/** Each file that we put into a folder of plugins. */
const FILES: readonly string[] = [CONF_FILE, STANDALONE_FILE, SHIM_FILE]

/**
 * Puts the shim, its configuration and the standalone executable in place. A file that is as it should be is not
 * touched. The configuration comes first: whoever keeps an older release there (a watching {@link placeShimFiles}
 * of it) sees in it that its time is over.
 *
 * @param installed Since when these settings hold, where others are replaced by them.
 * @param fate Asked again and again, since copies take their time: what an uninstall removes meanwhile stays away.
 * @throws {CniError} Io, with what to do; each file is the one of before or the new one then.
 */
export function placeShimFiles(
  files: ShimFiles,
  installed = installationTime(files.binDir),
  fate: () => ShimFate = () => 'kept',
): PlacedFile[] {
  const { binDir, conf, shim, standalone } = files
  assertFolder(binDir)
  const at = (name: string): string => join(binDir, name)
  return writing(binDir, () => {
    for (const name of FILES) removeHalfWritten(at(name))
    return [
      placeFile(at(CONF_FILE), confText(binDir, conf, installed), 0o600, fate),
      ...(standalone === undefined
        ? removeFiles([at(STANDALONE_FILE)])
        : [placeFile(at(STANDALONE_FILE), { copyOf: standalone }, 0o755, fate)]),
      placeFile(at(SHIM_FILE), { copyOf: shim }, 0o755, fate),
    ]
  })
}

/** Says of settings that are in place that nobody keeps them any more: whoever keeps others may put in his own. */
export function disownShimConf({ binDir, conf }: ShimFiles, fate: () => ShimFate): void {
  if (placedConf(binDir, conf).order !== 'same') return
  writing(binDir, () => placeFile(join(binDir, CONF_FILE), formatShimConf(conf, ''), 0o600, fate))
}

/** The time for what is installed now: later than what is there, also where the clock was set back. */
export function installationTime(binDir: string): string {
  const present = Date.parse(shimConfInstalled(readConf(binDir)))
  return new Date(Math.max(Date.now(), Number.isNaN(present) ? 0 : present + 1)).toISOString()
}

/** Takes all of it away again, the shim first: one without its configuration would work with defaults. */
export function removeShimFiles(binDir: string): PlacedFile[] {
  if (statSync(binDir, { throwIfNoEntry: false }) === undefined) return []
  return writing(binDir, () => {
    for (const name of FILES) removeHalfWritten(join(binDir, name))
    return removeFiles(FILES.toReversed().map((name) => join(binDir, name)))
  })
}

/** Something that is another when one of the files, or the folder, is: for a look that costs next to nothing. */
export function shimFilesMark(binDir: string): string {
  return FILES.map((name) => {
    const stat = lstatSync(join(binDir, name), { bigint: true, throwIfNoEntry: false })
    if (stat === undefined) return '-'
    const { dev, ino, size, mode, uid, mtimeNs, ctimeNs } = stat
    return [dev, ino, size, mode, uid, mtimeNs, ctimeNs].join(':')
  }).join(' ')
}

/** What is in the folder beside what somebody wants there. */
export interface PlacedConf {
  /** Release that has written it; `undefined` when there is none, or it does not say. */
  readonly version: string | undefined
  /** Whether its settings are the same, or were installed later; of two at the same time one counts as the later. */
  readonly order: 'same' | 'earlier' | 'later'
}

/** @param installed Since when the other settings hold. */
export function placedConf(binDir: string, conf: ShimConf, installed = ''): PlacedConf {
  const text = readConf(binDir)
  const version = shimConfVersion(text)
  const [there, here] = [shimConfInstalled(text), installed]
  if (text === formatShimConf(conf, there)) return { version, order: 'same' }
  const isLater = there > here || (there === here && text > formatShimConf(conf, here))
  return { version, order: there !== '' && isLater ? 'later' : 'earlier' }
}

/** Folders of plugins that the shim in the folder searches. */
export function placedBinDirs(binDir: string): string[] {
  return [...new Set([...shimConfBinDirs(readConf(binDir)), binDir])]
}

function readConf(binDir: string): string {
  try {
    return readFileSync(join(binDir, CONF_FILE), 'utf8')
  } catch {
    // Whatever is there instead, it says nothing.
    return ''
  }
}

/** Settings that are there already keep the time at which they were installed. */
function confText(binDir: string, conf: ShimConf, installed: string): string {
  const present = readConf(binDir)
  const same = formatShimConf(conf, shimConfInstalled(present))
  return present === same ? same : formatShimConf(conf, installed)
}

function placeFile(path: string, content: FileContent, mode: number, fate: () => ShimFate): PlacedFile {
  const present = lstatSync(path, { throwIfNoEntry: false })
  if (present?.isFile() === true && isSame(path, content, mode)) return { path, action: 'unchanged' }
  if (present?.isDirectory() === true) {
    throw new CniError(CniErrorCode.Io, `${path} is a directory`, { hint: 'move it away and install again' })
  }
  if (fate() !== 'kept') return { path, action: 'unchanged' }
  writeDurably(path, content, mode)
  const now = fate()
  // What was there before an uninstall began is needed until its end.
  if (now === 'uninstalled' || (now === 'uninstalling' && present === undefined)) {
    rmSync(path, { force: true })
    return { path, action: 'removed' }
  }
  return { path, action: present === undefined ? 'created' : 'replaced' }
}

/** Whether the file has that content and is root's with that mode, as the shim asks of its files. */
function isSame(path: string, content: FileContent, mode: number): boolean {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW)
  try {
    const { uid, mode: present } = fstatSync(fd)
    return uid === process.geteuid?.() && (present & 0o7777) === mode && holds(fd, content)
  } finally {
    closeSync(fd)
  }
}

function removeFiles(paths: readonly string[]): PlacedFile[] {
  const removed = paths.flatMap((path) => {
    if (lstatSync(path, { throwIfNoEntry: false }) === undefined) return []
    rmSync(path, { force: true })
    return [{ path, action: 'removed' as const }]
  })
  return removed
}

function assertFolder(binDir: string): void {
  const stat = statSync(binDir, { throwIfNoEntry: false })
  if (stat?.isDirectory() === true) return
  throw new CniError(
    CniErrorCode.Io,
    stat === undefined
      ? `the folder of plugins ${binDir} does not exist`
      : `the folder of plugins ${binDir} is no folder`,
    {
      hint: "name the runtime's folder with --bin-dir (bin_dir in containerd's configuration, plugin_dirs in CRI-O's), or make it",
    },
  )
}

const REMEDIES: Readonly<Record<string, string>> = {
  ENOSPC: 'free space and inodes on its file system',
  EDQUOT: 'free space and inodes on its file system',
  EROFS:
    'its file system is read-only: name a folder with --bin-dir that can be written, and tell the runtime of it',
  EACCES:
    'run as root; where SELinux is enforced, let the container write there: seLinuxOptions with type spc_t, or chcon -Rt container_file_t',
  EPERM:
    'run as root with the capability DAC_OVERRIDE, and look for an immutable file (lsattr) or an SELinux denial (ausearch -m avc)',
}

function writing<Value>(binDir: string, work: () => Value): Value {
  try {
    const value = work()
    syncFolder(binDir)
    return value
  } catch (error) {
    if (error instanceof CniError) throw error
    const code = error instanceof Error && 'code' in error ? String(error.code) : ''
    const hint = REMEDIES[code]
    throw new CniError(
      CniErrorCode.Io,
      `the folder of plugins ${binDir} cannot be written: ${toCniError(error).message}`,
      { ...(hint === undefined ? {} : { hint }), cause: error },
    )
  }
}
