import type { Socket } from 'node:net'
import { CniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import { decodeFrame, type Frame, MAX_FRAME_BYTES } from './frame.ts'

/** Frames from and to one peer. */
export interface Connection {
  /** Writes frames that belong together at once. */
  send(...frames: readonly Buffer[]): void
  /** Closes it; `reason` is for whoever waits. */
  close(reason?: string): void
}

/** What happens on a connection. */
export interface ConnectionEvents {
  frame(frame: Frame): void
  /** Once, whatever ended it; `error` says what the peer did wrong. */
  closed(error: CniError | undefined): void
}

/**
 * Reads frames off a socket, whatever pieces they come in. A frame that is too long, or whose fields do
 * not fill it, closes the connection.
 *
 * @param allowance Bytes that a frame may have now: a peer that has not said hello gets no more than that needs.
 */
export function openConnection(
  socket: Socket,
  events: ConnectionEvents,
  allowance: () => number = () => MAX_FRAME_BYTES,
): Connection {
  let chunks: Buffer[] = []
  let bufferedBytes = 0
  let isClosed = false
  const finish = (error: CniError | undefined): void => {
    if (isClosed) return
    isClosed = true
    socket.destroy()
    events.closed(error)
  }
  const broken = (message: string): void =>
    finish(new CniError(CniErrorCode.Decoding, `protocol: ${message}`))
  socket.on('data', (chunk: Buffer) => {
    chunks.push(chunk)
    bufferedBytes += chunk.length
    while (!isClosed && bufferedBytes >= 4) {
      const [first] = chunks
      if (first === undefined) return
      if (first.length < 4) chunks = [Buffer.concat(chunks)]
      const length = (chunks[0] ?? first).readUInt32BE(0)
      if (length < 1 || length > allowance()) {
        broken(`a frame of ${length} bytes is not allowed`)
        return
      }
      if (bufferedBytes < 4 + length) return
      const bytes = chunks.length === 1 ? (chunks[0] ?? first) : Buffer.concat(chunks)
      const frame = decodeFrame(bytes.subarray(4, 4 + length))
      const rest = bytes.subarray(4 + length)
      chunks = rest.length === 0 ? [] : [rest]
      bufferedBytes = rest.length
      if (frame === undefined) {
        broken('a frame is not filled by its fields')
        return
      }
      events.frame(frame)
    }
  })
  socket.on('error', (error) =>
    finish(new CniError(CniErrorCode.Io, `socket: ${error.message}`, { cause: error })),
  )
  socket.on('close', () => finish(undefined))
  return {
    send: (...frames) => {
      if (!isClosed)
        socket.write(frames.length === 1 ? (frames[0] ?? Buffer.alloc(0)) : Buffer.concat(frames))
    },
    close: (reason) =>
      finish(reason === undefined ? undefined : new CniError(CniErrorCode.TryAgainLater, reason)),
  }
}
