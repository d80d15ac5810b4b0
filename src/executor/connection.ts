import type { Duplex } from 'node:stream'
import { CniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import { decodeFrame, type Frame, MAX_FRAME_BYTES } from './frame.ts'

/** Frames from and to one peer. */
export interface Connection {
  /** Writes frames that belong together at once. */
  send(...frames: readonly Buffer[]): void
  /** Sends a frame with the next one, or by itself when none follows soon. */
  sendSoon(frame: Buffer): void
  /** Closes it; `reason` is for whoever waits. */
  close(reason?: string): void
}

/** What happens on a connection. */
export interface ConnectionEvents {
  frame(frame: Frame): void
  /** Once, whatever ended it; `error` says what the peer did wrong. */
  closed(error: CniError | undefined): void
  /** Told when the memory changes that a frame takes whose rest has not come yet. */
  holds?(bytes: number): void
}

/** Bytes that a frame in pieces gets at first; it doubles as more of it comes. */
const LEAST_ROOM_BYTES = 4096

/** A shim waits a second at least for its first frame. */
const SOON_MS = 100

/**
 * Reads frames off a socket, whatever pieces they come in. A frame that is too long, or whose fields do
 * not fill it, closes the connection. What has come of a frame takes at most twice its bytes, also when
 * they come one by one.
 */
export function openConnection(socket: Duplex, events: ConnectionEvents): Connection {
  let room = Buffer.alloc(0)
  let usedBytes = 0
  let isClosed = false
  const finish = (error: CniError | undefined): void => {
    if (isClosed) return
    isClosed = true
    room = Buffer.alloc(0)
    socket.destroy()
    events.closed(error)
  }
  const broken = (message: string): void =>
    finish(new CniError(CniErrorCode.Decoding, `protocol: ${message}`))
  const hold = (bytes: Buffer): void => {
    const neededBytes = usedBytes + bytes.length
    if (neededBytes > room.length) {
      const roomBytes = Math.min(Math.max(LEAST_ROOM_BYTES, room.length * 2), 4 + MAX_FRAME_BYTES)
      const grown = Buffer.allocUnsafeSlow(Math.max(roomBytes, neededBytes))
      room.copy(grown, 0, 0, usedBytes)
      room = grown
      events.holds?.(room.length)
    }
    bytes.copy(room, usedBytes)
    usedBytes = neededBytes
  }
  /** Hands the whole frames on; what is left of the bytes. */
  const take = (bytes: Buffer): Buffer => {
    let rest = bytes
    while (!isClosed && rest.length >= 4) {
      const length = rest.readUInt32BE(0)
      if (length < 1 || length > MAX_FRAME_BYTES) {
        broken(`a frame of ${length} bytes is not allowed`)
        break
      }
      if (rest.length < 4 + length) break
      const frame = decodeFrame(rest.subarray(4, 4 + length))
      rest = rest.subarray(4 + length)
      if (frame === undefined) broken('a frame is not filled by its fields')
      else events.frame(frame)
    }
    return rest
  }
  socket.on('data', (chunk: Buffer) => {
    if (isClosed) return
    if (usedBytes === 0) {
      const rest = take(chunk)
      if (rest.length > 0 && !isClosed) hold(rest)
      return
    }
    hold(chunk)
    const held = room.subarray(0, usedBytes)
    const rest = take(held)
    if (isClosed || rest.length === held.length) return
    // The frames that were handed on are stretches of it.
    room = Buffer.alloc(0)
    usedBytes = 0
    if (rest.length > 0) hold(rest)
    else events.holds?.(0)
  })
  socket.on('error', (error) =>
    finish(new CniError(CniErrorCode.Io, `socket: ${error.message}`, { cause: error })),
  )
  // Ahead of `close`, which comes a turn of the event loop later.
  socket.on('end', () => finish(undefined))
  socket.on('close', () => finish(undefined))
  let soon: Buffer[] = []
  const send = (frames: readonly Buffer[]): void => {
    const all = soon.length === 0 ? frames : [...soon, ...frames]
    soon = []
    if (isClosed || all.length === 0) return
    socket.write(all.length === 1 ? (all[0] ?? Buffer.alloc(0)) : Buffer.concat(all))
  }
  return {
    send: (...frames) => send(frames),
    sendSoon: (frame) => {
      soon.push(frame)
      setTimeout(() => send([]), SOON_MS).unref()
    },
    close: (reason) =>
      finish(reason === undefined ? undefined : new CniError(CniErrorCode.TryAgainLater, reason)),
  }
}
