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

/** Ending of a file that is being written: no runtime reads it as a conf file. */
const ASIDE = '.plexus-new'

/**
 * Puts a file in place, whole or not at all, and on disk before it returns: written aside, flushed, renamed.
 * Two writers at once do not spoil each other's file.
 *
 * @throws What the file system says; the earlier file is untouched then.
 */
export function writeDurably(path: string, text: string, mode: number): void {
  const folder = dirname(path)
  const aside = join(folder, `.${basename(path)}.${process.pid}${ASIDE}`)
  try {
    const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants
    rmSync(aside, { force: true })
    const fd = openSync(aside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode)
    try {
      // The umask must not decide who may read it.
      fchmodSync(fd, mode)
      const bytes = Buffer.from(text)
      if (writeSync(fd, bytes) < bytes.length) throw new Error(`${path}: no space left on device`)
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
    renameSync(aside, path)
  } catch (error) {
    rmSync(aside, { force: true })
    throw error
  }
  syncFolder(folder)
}

/** Removes what a writer of {@link writeDurably} that was killed has left; a living one writes in milliseconds. */
export function removeHalfWritten(path: string): void {
  const folder = dirname(path)
  for (const name of readdirSync(folder)) {
    if (name.startsWith(`.${basename(path)}.`) && name.endsWith(ASIDE)) {
      rmSync(join(folder, name), { force: true })
    }
  }
}

function syncFolder(folder: string): void {
  const fd = openSync(folder, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}
