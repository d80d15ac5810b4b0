import { chmodSync, lstatSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { basename, dirname, join } from 'node:path'
import { CniError, toCniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'

/** A listening socket. */
export interface SocketServer {
  /** Whether shims that connect come here, and not to a daemon that has taken over. */
  readonly isOurs: boolean
  /** Whether another daemon listens in our place. */
  readonly isTakenOver: boolean
  /** Stops listening; connections go on. The socket file goes only while it still is ours. */
  close(): void
}

/**
 * Listens on a unix socket in a directory of root's with mode 0700, which is what keeps others away; an empty
 * one that nobody else could write gets that mode, since the kubelet makes folders with 0755. The socket is made under another name and renamed over the old one, so that one that listens is always
 * there: a new daemon takes over while the old one drains (design §6).
 *
 * @throws {CniError} Io when the directory is not root's alone, or something else than a socket has the path.
 */
export async function listen(path: string, accept: (socket: Socket) => void): Promise<SocketServer> {
  const directory = dirname(path)
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  checkDirectory(directory)
  checkPath(path)
  const prefix = `.${basename(path)}-`
  await removeStale(directory, prefix)
  // In containers every daemon may be process 1.
  const temporary = join(directory, `${prefix}${process.pid}-${Date.now().toString(36)}`)
  rmSync(temporary, { force: true })
  const server = createServer(accept)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ path: temporary, backlog: 1024 }, () => resolve())
  })
  try {
    chmodSync(temporary, 0o600)
    renameSync(temporary, path)
    const { ino, dev } = lstatSync(path)
    const found = (): 'ours' | 'another' | 'none' => {
      const there = lstatSync(path, { throwIfNoEntry: false })
      if (there === undefined) return 'none'
      return there.ino === ino && there.dev === dev ? 'ours' : 'another'
    }
    return {
      get isOurs() {
        return found() === 'ours'
      },
      get isTakenOver() {
        return found() === 'another'
      },
      close() {
        server.close()
        if (found() === 'ours') rmSync(path, { force: true })
      },
    }
  } catch (error) {
    // One that nobody can find would keep the process alive.
    server.close()
    throw toCniError(error, CniErrorCode.Io).at(`socket ${path}`)
  }
}

function checkDirectory(directory: string): void {
  const uid = process.getuid?.() ?? 0
  const before = lstatSync(directory)
  const isUntouched = before.isDirectory() && before.uid === uid && (before.mode & 0o022) === 0
  if (isUntouched && readdirSync(directory).length === 0) chmodSync(directory, 0o700)
  const stat = lstatSync(directory)
  if (stat.isDirectory() && stat.uid === uid && (stat.mode & 0o077) === 0) return
  const fault = stat.isDirectory()
    ? `it has uid ${stat.uid} and mode ${(stat.mode & 0o7777).toString(8)}`
    : 'it is a link or a file'
  throw new CniError(
    CniErrorCode.Io,
    `socket directory ${directory} must be a directory of uid ${uid} with mode 0700, ${fault}`,
    {
      hint: stat.isDirectory()
        ? `chown ${uid} ${directory} && chmod 0700 ${directory}`
        : 'name the directory itself in "socket"',
    },
  )
}

/** The socket of an earlier daemon is replaced; what is none may be somebody's file. */
function checkPath(path: string): void {
  if (lstatSync(path, { throwIfNoEntry: false })?.isSocket() ?? true) return
  throw new CniError(CniErrorCode.Io, `${path} is no socket, it is left alone`, {
    hint: 'remove it, or give the daemon another "socket"',
  })
}

/** A socket has its name for a moment before it listens. */
const STALE_AFTER_MS = 10_000
const CONNECT_TIMEOUT_MS = 1000

/** Removes what daemons left that ended between making their socket and renaming it. */
async function removeStale(directory: string, prefix: string): Promise<void> {
  for (const name of readdirSync(directory)) {
    if (!name.startsWith(prefix)) continue
    const path = join(directory, name)
    const stat = lstatSync(path, { throwIfNoEntry: false })
    if (stat?.isSocket() !== true || Date.now() - stat.mtimeMs < STALE_AFTER_MS) continue
    if (await isRefused(path)) rmSync(path, { force: true })
  }
}

/** Whether nobody listens on a socket any more; no answer is no proof of that. */
function isRefused(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path)
    const settle = (isGone: boolean): void => {
      socket.destroy()
      resolve(isGone)
    }
    socket.setTimeout(CONNECT_TIMEOUT_MS, () => settle(false))
    socket.once('connect', () => settle(false))
    socket.once('error', (error: NodeJS.ErrnoException) => settle(error.code === 'ECONNREFUSED'))
  })
}
