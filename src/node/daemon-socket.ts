import { createConnection } from 'node:net'
import { CniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'

/**
 * Whether a daemon listens at the socket.
 *
 * @throws {CniError} Io when that cannot be told.
 */
export function isServed(socket: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const connection = createConnection(socket)
    connection.once('connect', () => {
      connection.destroy()
      resolve(true)
    })
    connection.once('error', (error) => {
      const code = 'code' in error ? error.code : undefined
      if (code === 'ENOENT' || code === 'ECONNREFUSED') resolve(false)
      else
        reject(new CniError(CniErrorCode.Io, `${socket} cannot be asked: ${error.message}`, { cause: error }))
    })
  })
}
