import { randomBytes } from 'node:crypto'
import {
  closeSync,
  constants,
  fchmodSync,
  fsyncSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'

/** Ending of a file that is being written: no runtime reads it as a conf file, none runs it as a plugin. */
const ASIDE = '.plexus-new'
/** Who starts beside us takes our file for a killed writer's, once. */
const TRIES = 5

/** A text, or what another file holds: that may be larger than the memory we are given. */
export type FileContent = string | { readonly copyOf: string }

const CHUNK_BYTES = 1024 * 1024

/**
 * Puts a file in place, whole or not at all, and on disk before it returns: written aside, flushed, renamed.
 * Two writers at once do not spoil each other's file, also in containers, where both may have the same process id;
 * an executable may run while it is replaced.
 *
 * @throws What the file system says; the earlier file is untouched then.
 */
export function writeDurably(path: string, content: FileContent, mode: number): void {
  const folder = dirname(path)
  for (let tries = 1; ; tries++) {
    const aside = join(folder, `.${basename(path)}.${randomBytes(6).toString('hex')}${ASIDE}`)
    try {
      writeAside(aside, content, mode)
    } catch (error) {
      rmSync(aside, { force: true })
      throw error
    }
    try {
      renameSync(aside, path)
      break
    } catch (error) {
      rmSync(aside, { force: true })
      const isTaken = error instanceof Error && 'code' in error && error.code === 'ENOENT'
      if (!isTaken || tries === TRIES) throw error
    }
  }
  syncFolder(folder)
}

function writeAside(path: string, content: FileContent, mode: number): void {
  const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants
  const fd = openSync(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode)
  try {
    // The umask must not decide who may read it.
    fchmodSync(fd, mode)
    for (const chunk of chunksOf(content)) {
      for (let offset = 0; offset < chunk.length; ) offset += writeSync(fd, chunk, offset)
    }
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/** Whether an open file holds exactly that. */
export function holds(fd: number, content: FileContent): boolean {
  const buffer = Buffer.alloc(CHUNK_BYTES)
  let position = 0
  for (const chunk of chunksOf(content)) {
    for (let offset = 0; offset < chunk.length; ) {
      const got = readSync(fd, buffer, 0, chunk.length - offset, position)
      if (got === 0 || !buffer.subarray(0, got).equals(chunk.subarray(offset, offset + got))) return false
      offset += got
      position += got
    }
  }
  return readSync(fd, buffer, 0, 1, position) === 0
}

function* chunksOf(content: FileContent): Generator<Buffer> {
  if (typeof content === 'string') {
    const bytes = Buffer.from(content)
    for (let at = 0; at < bytes.length; at += CHUNK_BYTES) yield bytes.subarray(at, at + CHUNK_BYTES)
    return
  }
  const fd = openSync(content.copyOf, 'r')
  const buffer = Buffer.alloc(CHUNK_BYTES)
  try {
    for (let got = readSync(fd, buffer); got > 0; got = readSync(fd, buffer)) yield buffer.subarray(0, got)
  } finally {
    closeSync(fd)
  }
}

/** Removes what a writer of {@link writeDurably} that was killed has left; one that lives writes anew. */
export function removeHalfWritten(path: string): void {
  const folder = dirname(path)
  for (const name of readdirSync(folder)) {
    if (name.startsWith(`.${basename(path)}.`) && name.endsWith(ASIDE)) {
      rmSync(join(folder, name), { force: true })
    }
  }
}

/** Has the names in a folder reach the disk. */
export function syncFolder(folder: string): void {
  const fd = openSync(folder, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}
