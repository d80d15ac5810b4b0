import { spawn } from 'node:child_process'
import {
  closeSync,
  constants,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  statSync,
  unlinkSync,
} from 'node:fs'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { CniError, toCniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'

/** A held lock. */
export interface SandboxLock {
  /** Open descriptors whose flock(2) is the lock; a process that inherits them holds it too. */
  readonly fds: readonly number[]
  /** @param forget Whether nothing of the container is left, so that the lock file goes as well. */
  release(forget: boolean): void
}

/**
 * Takes the lock of one container: flock(2) on `<stateDir>/locks/<containerId>`, and a shared one on
 * the folder, which GC takes exclusively (CNI-067, CNI-102). The shim, or util-linux's `flock` where there is
 * none, locks the inherited descriptors, whose open file descriptions are ours.
 *
 * @param timeoutMs Bound of the wait.
 * @param isReadOnlyTolerated DEL goes on with the folder's lock when no lock file can be made: on a full
 * or read-only disk no ADD can be under way that has none.
 * @throws {CniError} TryAgainLater when the wait is over, Io when the file cannot be made.
 */
export async function lockSandbox(
  stateDir: string,
  containerId: string,
  timeoutMs: number,
  isReadOnlyTolerated: boolean,
): Promise<SandboxLock> {
  const deadline = performance.now() + timeoutMs
  const folder = join(stateDir, 'locks')
  const path = join(folder, containerId)
  for (;;) {
    const fds: number[] = []
    let isFileLocked = true
    try {
      mkdirSync(folder, { recursive: true, mode: 0o700 })
      fds.push(openSync(folder, constants.O_RDONLY))
      fds.push(openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600))
    } catch (error) {
      if (!isReadOnlyTolerated) {
        closeAll(fds)
        throw new CniError(
          CniErrorCode.Io,
          `state directory ${stateDir} cannot be written: ${toCniError(error).message}`,
          {
            cause: error,
            hint: 'check that the file system is writable and has space and inodes left',
          },
        )
      }
      isFileLocked = false
    }
    const [folderFd, fileFd] = fds
    if (folderFd === undefined) return { fds: [], release: () => undefined }
    try {
      const modes = ['shared', 'exclusive'] as const
      await flock(fds, modes.slice(0, fds.length), deadline - performance.now(), `container ${containerId}`)
    } catch (error) {
      closeAll(fds)
      throw error
    }
    // The one before us may have removed the file while we waited: then our lock is on nothing.
    if (fileFd !== undefined && !isSameInode(fileFd, path)) {
      closeAll(fds)
      continue
    }
    return {
      fds,
      release: (forget) => {
        if (forget && isFileLocked) unlinkQuietly(path)
        closeAll(fds)
      },
    }
  }
}

/**
 * Takes the lock that excludes every ADD and DEL, for GC (CNI-067). Its release removes the lock files of
 * the containers whose records went meanwhile.
 *
 * @throws {CniError} TryAgainLater, Io.
 */
export async function lockAllSandboxes(stateDir: string, timeoutMs: number): Promise<SandboxLock> {
  const folder = join(stateDir, 'locks')
  let fd: number
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    fd = openSync(folder, constants.O_RDONLY)
  } catch (error) {
    throw new CniError(
      CniErrorCode.Io,
      `state directory ${stateDir} cannot be written: ${toCniError(error).message}`,
      {
        cause: error,
      },
    )
  }
  try {
    await flock([fd], ['exclusive'], timeoutMs, 'all containers')
  } catch (error) {
    closeSync(fd)
    throw error
  }
  const recorded = recordedContainers(stateDir)
  return {
    fds: [fd],
    release: () => {
      const left = new Set(recordedContainers(stateDir))
      for (const name of recorded) if (!left.has(name)) unlinkQuietly(join(folder, name))
      closeSync(fd)
    },
  }
}

function recordedContainers(stateDir: string): string[] {
  try {
    return readdirSync(join(stateDir, 'sandboxes'))
  } catch {
    // Nothing was ever recorded, or GC itself will say why nothing can be read.
    return []
  }
}

/** The shim of this package, which locks what it inherits; a lone executable has none beside it. */
const SHIM = join(
  import.meta.dirname,
  import.meta.filename.endsWith('.ts') ? '../../dist' : '.',
  'native/plexus',
)
/** The longest that the shim waits. */
const LONGEST_WAIT_MS = 999_999_999

/** Locks in this order, all within the time. */
async function flock(
  fds: readonly number[],
  modes: readonly ('shared' | 'exclusive')[],
  timeoutMs: number,
  what: string,
): Promise<void> {
  const waitMs = Math.min(Math.max(Math.ceil(timeoutMs), 10), LONGEST_WAIT_MS)
  const isLocked = await lockBy(SHIM, ['--lock', String(waitMs), ...modes], fds).catch((ofShim) =>
    flockEach(fds, modes, waitMs).catch((ofFlock) => {
      throw new CniError(
        CniErrorCode.Io,
        `no lock of ${what}: ${toCniError(ofShim).message}, and ${toCniError(ofFlock).message}`,
        { hint: 'call plexus of the whole package or of its image, or install util-linux here' },
      )
    }),
  )
  if (isLocked) return
  throw new CniError(
    CniErrorCode.TryAgainLater,
    `lock of ${what} not had in ${(waitMs / 1000).toFixed(2)} s: another call is at work`,
    { hint: 'retry when it has ended' },
  )
}

/** By util-linux: one descriptor at a time. */
async function flockEach(fds: readonly number[], modes: readonly string[], waitMs: number): Promise<boolean> {
  const deadline = performance.now() + waitMs
  for (const [index, fd] of fds.entries()) {
    const seconds = (Math.max(10, deadline - performance.now()) / 1000).toFixed(2)
    if (!(await lockBy('flock', [`--${modes[index]}`, '-w', seconds, '3'], [fd]))) return false
  }
  return true
}

/**
 * Starts a program that locks the descriptors it inherits, from 3 on.
 *
 * @returns Whether they were had in time.
 */
function lockBy(program: string, args: readonly string[], fds: readonly number[]): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      env: { PATH: '/usr/local/bin:/usr/bin:/bin' },
      stdio: ['ignore', 'ignore', 'ignore', ...fds],
    })
    child.once('error', reject)
    child.once('exit', (status, signal) => {
      if (status === 0 || status === 1) resolve(status === 0)
      else reject(new Error(`${program} ended with ${signal ?? `status ${status}`}`))
    })
  })
}

function isSameInode(fd: number, path: string): boolean {
  const onDisk = statSync(path, { throwIfNoEntry: false })
  const held = fstatSync(fd)
  return onDisk?.ino === held.ino && onDisk.dev === held.dev
}

function unlinkQuietly(path: string): void {
  try {
    unlinkSync(path)
  } catch {
    // A read-only disk keeps an empty file, which locks as well as a new one.
  }
}

function closeAll(fds: readonly number[]): void {
  for (const fd of fds) closeSync(fd)
}
