import { chmodSync, lstatSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { basename, dirname, join } from 'node:path'
import { CniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'

/** A listening socket. */
export interface SocketServer {
  /** Whether shims that connect come here, and not to a daemon that has taken over. */
  readonly isOurs: boolean
  /** Stops listening; connections go on. The socket file goes only while it still is ours. */
  close(): void
}

/**
 * Listens on a unix socket in a directory of root's with mode 0700, which is what keeps others away. The
 * socket is made under another name and renamed over the old one, so that one that listens is always
 * there: a new daemon takes over while the old one drains (design §6).
 *
 * @throws {CniError} Io when the directory is not root's alone.
 */
export async function listen(path: string, accept: (socket: Socket) => void): Promise<SocketServer> {
  const directory = dirname(path)
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const stat = lstatSync(directory)
  const uid = process.getuid?.() ?? 0
  if (!stat.isDirectory() || stat.uid !== uid || (stat.mode & 0o077) !== 0) {
    throw new CniError(
      CniErrorCode.Io,
      `socket directory ${directory} must be a directory of uid ${uid} with mode 0700, it has uid ${stat.uid} and mode ${(stat.mode & 0o7777).toString(8)}`,
      { hint: `chown ${uid} ${directory} && chmod 0700 ${directory}` },
    )
  }
  // In containers every daemon may be process 1.
  const temporary = join(directory, `.${basename(path)}-${process.pid}-${Date.now().toString(36)}`)
  rmSync(temporary, { force: true })
  const server = createServer(accept)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ path: temporary, backlog: 1024 }, () => resolve())
  })
  chmodSync(temporary, 0o600)
  renameSync(temporary, path)
  const { ino, dev } = lstatSync(path)
  const isOurs = (): boolean => {
    const there = lstatSync(path, { throwIfNoEntry: false })
    return there?.ino === ino && there.dev === dev
  }
  return {
    get isOurs() {
      return isOurs()
    },
    close() {
      server.close()
      if (isOurs()) rmSync(path, { force: true })
    },
  }
}
