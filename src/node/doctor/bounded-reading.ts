import { lstatSync, opendirSync, readFileSync, realpathSync, type Stats, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { toCniError } from '../../cni/cni-error.ts'

const MOST_BYTES = 1024 * 1024
const MOST_NAMES = 20_000

/** Names in a folder in byte order, so many at most; none when there is no such folder. @throws Anything else. */
export function namesIn(folder: string, limit = MOST_NAMES): string[] {
  const names: string[] = []
  try {
    const entries = opendirSync(folder)
    try {
      for (let entry = entries.readSync(); entry !== null && names.length < limit; entry = entries.readSync())
        names.push(entry.name)
    } finally {
      entries.closeSync()
    }
  } catch (error) {
    if (isCode(error, 'ENOENT', 'ENOTDIR')) return []
    throw error
  }
  return names.sort()
}

/** A regular file's text; `undefined` when there is none. @throws When it is no file, too long, or cannot be read. */
export function textOf(path: string, limit = MOST_BYTES): string | undefined {
  const stat = statSync(path, { throwIfNoEntry: false })
  if (stat === undefined) return undefined
  // Reading anything else might never end.
  if (!stat.isFile()) throw new Error(`${path} is no regular file`)
  if (stat.size > limit) throw new Error(`${path} has more than ${limit} bytes`)
  return readFileSync(path, 'utf8')
}

/** What is at a path itself, links not followed. */
export function entryAt(path: string): Stats | undefined {
  return lstatSync(path, { throwIfNoEntry: false })
}

/** As `ls` users know it: `root 0644`. */
export function ownerAndMode({ uid, mode }: Pick<Stats, 'uid' | 'mode'>): string {
  return `${uid === 0 ? 'root' : `uid ${uid}`} ${modeText(mode)}`
}

/** Four octal digits. */
export function modeText(mode: number): string {
  return (mode & 0o7777).toString(8).padStart(4, '0')
}

/**
 * Why a program must not be started by root: it, or a folder on its way, could have been changed by somebody
 * else. The shim looks at its plugins in the same way.
 */
export function trustFault(path: string): string | undefined {
  let place: string
  try {
    place = realpathSync(path)
  } catch (error) {
    return toCniError(error).message
  }
  if (!lstatSync(place).isFile()) return `${place} is no regular file`
  for (let depth = 0; ; depth++) {
    const { uid, mode } = lstatSync(place)
    if (uid !== 0) return `${place} does not belong to root`
    // In a sticky folder nobody can put anything in the place of root's folder.
    const isSticky = depth > 1 && (mode & 0o1000) !== 0
    if ((mode & 0o022) !== 0 && !isSticky) return `${place} can be written by others than root`
    if (place === '/') return undefined
    place = dirname(place)
  }
}

/** Whether the error is of the file system with one of these codes. */
function isCode(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof Error && 'code' in error && codes.includes(String(error.code))
}
