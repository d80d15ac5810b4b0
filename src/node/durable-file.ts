import { randomBytes } from 'node:crypto'
import {
  closeSync,
  constants,
  fchmodSync,
  fsyncSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'

/** Ending of a file that is being written: no runtime reads it as a conf file, none runs it as a plugin. */
const ASIDE = '.plexus-new'
/** Who starts beside us takes our file for a killed writer's, once. */
const TRIES = 5

/**
 * Puts a file in place, whole or not at all, and on disk before it returns: written aside, flushed, renamed.
 * Two writers at once do not spoil each other's file, also in containers, where both may have the same process id;
 * an executable may run while it is replaced.
 *
 * @throws What the file system says; the earlier file is untouched then.
 */
export function writeDurably(path: string, content: string | Uint8Array, mode: number): void {
  const folder = dirname(path)
  for (let tries = 1; ; tries++) {
    const aside = join(folder, `.${basename(path)}.${randomBytes(6).toString('hex')}${ASIDE}`)
    try {
      writeAside(aside, typeof content === 'string' ? Buffer.from(content) : content, mode)
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

function writeAside(path: string, bytes: Uint8Array, mode: number): void {
  const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants
  const fd = openSync(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode)
  try {
    // The umask must not decide who may read it.
    fchmodSync(fd, mode)
    for (let offset = 0; offset < bytes.length; ) offset += writeSync(fd, bytes, offset)
    fsyncSync(fd)
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
