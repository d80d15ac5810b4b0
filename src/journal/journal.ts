import {
  close,
  closeSync,
  constants,
  fstatSync,
  fsync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { promisify } from 'node:util'
import { CniError, toCniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import type { JsonObject } from '../cni/json.ts'
import { type ExecFields, encodeExec, FrameKind } from '../executor/frame.ts'
import { readBootId } from './boot-id.ts'
import { decodeJournal, encodeHeader, encodeRecord, JOURNAL_VERSION } from './format.ts'
import { type JournalRecord, toJournalRecord } from './record.ts'

/** Identity of a journal file. */
export interface JournalKey {
  readonly containerId: string
  /** CNI_IFNAME of the runtime's request. */
  readonly ifName: string
}

/** The `planned` frame: what a reader without JSON needs stands beside the meta. */
interface PlannedFields {
  readonly meta: JsonObject
  /** CNI_NETNS of the ADD. */
  readonly netns: string
  /** Its identity then. */
  readonly netnsId: string
  /** Files that go with the attachments. */
  readonly files: readonly string[]
}

/** An open journal: each method appends one frame. Only `sync` waits for the disk. */
export interface OpenJournal {
  readonly record: JournalRecord
  started(ids: readonly number[]): void
  undo(execs: readonly ExecFields[]): void
  complete(meta: JsonObject): void
  undone(...ids: readonly number[]): void
  attempted(): void
  /** Whether it still is what is found under its key. */
  isCurrent(): boolean
  /** Waits until file and directory are on disk. */
  sync(): Promise<void>
  close(): void
  /** After {@link sync}: closes it but for what says later that it was published. */
  closeToMark(): PublishedMark
}

/**
 * Says in a record that it was published, at any time and without the container's lock: one write at the
 * end of that very file, whatever has become of it. A record that was removed meanwhile has no name any
 * more, and the one in its place is another file.
 */
export interface PublishedMark {
  /** @throws {CniError} Io. */
  set(): void
  /** To be called once, in any case. */
  close(): void
}

/** A record, and the means to say that it was published. */
interface RecordToPublish {
  readonly record: JournalRecord
  readonly mark: PublishedMark
}

/** What is found under a key. */
export type JournalLookup =
  | { readonly state: 'absent' }
  | { readonly state: 'newer'; readonly error: CniError }
  | { readonly state: 'intact' | 'damaged'; readonly record: JournalRecord }

/** State on disk of the attachments of this node (design §7). */
export interface Journal {
  lookup(key: JournalKey): JournalLookup
  /** Keys of all files, whatever their state. */
  keys(): JournalKey[]
  /** Whether anything is recorded of the container, an interface left aside. */
  knows(containerId: string, except?: string): boolean
  /**
   * Writes `planned` and one `exec` DEL for each call under a temporary name, then renames: the record
   * is there in full or not at all.
   *
   * @throws {CniError} Io, or Internal for a plan that no frame can hold; nothing is left behind then.
   */
  plan(key: JournalKey, planned: PlannedFields, calls: readonly ExecFields[]): OpenJournal
  /** Opens what is there, to append to it. */
  open(key: JournalKey, record: JournalRecord): OpenJournal
  /**
   * Opens a whole record without the container's lock, to publish it. `undefined` when there is none, when
   * it is not readable to its end, which it may be later, or when ADD has not ended.
   *
   * @throws {CniError} Io.
   */
  openToPublish(key: JournalKey): RecordToPublish | undefined
  /** Removes the file, and what a crash left of writing one: everything is undone. */
  remove(key: JournalKey): void
  /** Moves a damaged file out of the way and says where it is now. */
  setAside(key: JournalKey): string
}

/** @param stateDir Folder of the state; made with mode 0700 when absent. */
export function openJournalDir(stateDir: string): Journal {
  const sandboxes = join(stateDir, 'sandboxes')
  const directoryOf = (key: JournalKey): string => join(sandboxes, key.containerId)
  const pathOf = (key: JournalKey): string => join(directoryOf(key), key.ifName)

  const openAt = (
    key: JournalKey,
    fd: number,
    record: JournalRecord,
    synced: Promise<unknown>,
  ): OpenJournal => {
    const append = (kind: number, ...frames: readonly (readonly (Buffer | string | number)[])[]): void => {
      if (frames.length === 0) return
      const records = frames.map((fields) => encodeRecord(kind, fields))
      writeAll(fd, records.length === 1 && records[0] ? records[0] : Buffer.concat(records), pathOf(key))
    }
    return {
      record,
      started: (ids) => append(FrameKind.started, ...ids.map((id) => [id])),
      undo: (execs) => append(FrameKind.undo, ...execs.map(encodeExec)),
      complete: (meta) => append(FrameKind.complete, [JSON.stringify(meta)]),
      undone: (...ids) => append(FrameKind.undone, ...ids.map((id) => [id])),
      attempted: () => append(FrameKind.attempted, []),
      isCurrent: () => {
        const there = statSync(pathOf(key), { throwIfNoEntry: false })
        const ours = fstatSync(fd)
        return there !== undefined && there.ino === ours.ino && there.dev === ours.dev
      },
      sync: async () => {
        await synced.catch((error) => {
          throw ioError(`journal ${pathOf(key)} cannot be written`, error)
        })
      },
      // The flush must find its own file under this descriptor.
      close: () => void synced.catch(() => undefined).then(() => closeLater(fd)),
      closeToMark: () => publishedMark(fd, pathOf(key)),
    }
  }

  return {
    lookup(key) {
      const path = pathOf(key)
      let bytes: Buffer
      try {
        // Nearly always so at an ADD, and an exception costs more than the question.
        if (statSync(path, { throwIfNoEntry: false }) === undefined) return { state: 'absent' }
        bytes = readFileSync(path)
      } catch (error) {
        if (isAbsent(error)) return { state: 'absent' }
        throw ioError(`journal ${path} cannot be read`, error)
      }
      const decoded = decodeJournal(bytes)
      if (decoded.state === 'newer') return { state: 'newer', error: newerFormat(path, decoded.version) }
      const isDamaged = decoded.state === 'damaged'
      const record = toJournalRecord(decoded.frames, isDamaged, readBootId())
      if (decoded.state === 'torn') record.tornAt = decoded.lengthBytes
      return { state: isDamaged ? 'damaged' : 'intact', record }
    },
    keys() {
      return readNames(sandboxes).flatMap((containerId) =>
        readNames(join(sandboxes, containerId))
          .filter((ifName) => !isTemporary(ifName))
          .map((ifName) => ({ containerId, ifName })),
      )
    },
    knows: (containerId, except) =>
      readNames(join(sandboxes, containerId)).some((name) => name !== except && !isTemporary(name)),
    plan(key, { meta, netns, netnsId, files }, calls) {
      const directory = directoryOf(key)
      const bytes = Buffer.concat([
        encodeHeader(),
        encodeRecord(FrameKind.planned, [
          JSON.stringify(meta),
          netns,
          netnsId,
          files.join('\0'),
          calls.length,
          readBootId(),
        ]),
        ...calls.map((exec) => encodeRecord(FrameKind.exec, encodeExec(exec))),
      ])
      // Longer than any interface name, so that it can be none.
      const temporary = join(directory, `.planned-${process.pid}-${Date.now()}`)
      let fd: number | undefined
      try {
        const made = mkdirSync(directory, { recursive: true, mode: 0o700 })
        if (made === undefined) removeTemporaries(directory)
        fd = openSync(
          temporary,
          constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_APPEND,
          0o600,
        )
        writeAll(fd, bytes, temporary)
        renameSync(temporary, pathOf(key))
      } catch (error) {
        if (fd !== undefined) closeSync(fd)
        removeFile(temporary)
        removeEmptyDirectory(directory)
        throw ioError(`state directory ${stateDir} cannot be written`, error)
      }
      const planned = calls.map((exec) => ({ exec, isStarted: false, isUndone: false }))
      const record: JournalRecord = {
        ...{ planned: meta, complete: undefined, calls: planned },
        ...{ isPublished: false, failedDels: 0, netnsId, bootId: readBootId(), isDamaged: false },
      }
      // The rename is lasting only with its directory; both are under way while the delegates run, which are
      // started first.
      const synced = nextTurn().then(() => Promise.all([syncFile(fd), syncDirectory(directory)]))
      synced.catch(() => undefined)
      return openAt(key, fd, record, synced)
    },
    open(key, record) {
      const path = pathOf(key)
      try {
        const fd = openSync(path, constants.O_RDWR | constants.O_APPEND)
        // A torn frame is cut off, so that what is appended now can be read.
        if (record.tornAt !== undefined) ftruncateSync(fd, record.tornAt)
        return openAt(key, fd, record, Promise.resolve())
      } catch (error) {
        throw ioError(`journal ${path} cannot be opened`, error)
      }
    },
    openToPublish(key) {
      const path = pathOf(key)
      let fd: number
      try {
        fd = openSync(path, constants.O_RDWR | constants.O_APPEND)
      } catch (error) {
        if (isAbsent(error)) return undefined
        throw ioError(`journal ${path} cannot be opened`, error)
      }
      try {
        const decoded = decodeJournal(readFileSync(fd))
        if (decoded.state === 'intact') {
          const record = toJournalRecord(decoded.frames, false, readBootId())
          if (record.complete !== undefined) return { record, mark: publishedMark(fd, path) }
        }
      } catch (error) {
        closeSync(fd)
        throw ioError(`journal ${path} cannot be read`, error)
      }
      closeSync(fd)
      return undefined
    },
    remove(key) {
      try {
        removeFile(pathOf(key))
        removeTemporaries(directoryOf(key))
        removeEmptyDirectory(directoryOf(key))
      } catch (error) {
        throw ioError(`journal ${pathOf(key)} cannot be removed`, error)
      }
    },
    setAside(key) {
      const damaged = join(stateDir, 'damaged')
      const target = join(damaged, `${key.containerId}-${key.ifName}-${Date.now()}`)
      try {
        mkdirSync(damaged, { recursive: true, mode: 0o700 })
        renameSync(pathOf(key), target)
      } catch (error) {
        throw ioError(`damaged journal ${pathOf(key)} cannot be moved to ${damaged}`, error)
      }
      removeEmptyDirectory(directoryOf(key))
      return target
    },
  }
}

/** Apart from the rest, so that it holds on to nothing but the file. */
function publishedMark(fd: number, path: string): PublishedMark {
  return {
    set: () => writeAll(fd, encodeRecord(FrameKind.published, []), path),
    close: () => closeSync(fd),
  }
}

function newerFormat(path: string, version: number): CniError {
  return new CniError(
    CniErrorCode.TryAgainLater,
    `journal ${path} has format ${version}, this Plexus reads up to format ${JOURNAL_VERSION}`,
    { hint: 'install the newer Plexus that wrote it' },
  )
}

function ioError(what: string, error: unknown): CniError {
  return new CniError(CniErrorCode.Io, `${what}: ${toCniError(error).message}`, {
    cause: error,
    hint: 'check that the file system is writable and has space and inodes left',
  })
}

function isAbsent(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')
}

function isTemporary(name: string): boolean {
  return name.startsWith('.planned-') && name.length > 15
}

function readNames(directory: string): string[] {
  try {
    return readdirSync(directory).sort()
  } catch (error) {
    if (isAbsent(error)) return []
    throw ioError(`state directory ${directory} cannot be read`, error)
  }
}

function writeAll(fd: number, bytes: Buffer, path: string): void {
  try {
    for (let offset = 0; offset < bytes.length; ) offset += writeSync(fd, bytes, offset)
  } catch (error) {
    throw ioError(`${path} cannot be written`, error)
  }
}

const syncFile = promisify(fsync)

/** The last descriptor of a file that is gone has the kernel free its blocks: nobody waits for that. */
function closeLater(fd: number): void {
  // Nothing can be done about it, and nothing is lost: what counts has been flushed.
  close(fd, () => undefined)
}

async function syncDirectory(directory: string): Promise<void> {
  const fd = openSync(directory, constants.O_RDONLY)
  try {
    await syncFile(fd)
  } finally {
    closeSync(fd)
  }
}

/** What a crash between write and rename left behind. */
function removeTemporaries(directory: string): void {
  for (const name of readNames(directory)) if (isTemporary(name)) removeFile(join(directory, name))
}

function removeFile(path: string): void {
  try {
    unlinkSync(path)
  } catch (error) {
    if (!isAbsent(error)) throw error
  }
}

function removeEmptyDirectory(directory: string): void {
  try {
    rmdirSync(directory)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code !== 'ENOENT' && code !== 'ENOTEMPTY' && code !== 'EEXIST' && code !== 'ENOTDIR') throw error
  }
}
