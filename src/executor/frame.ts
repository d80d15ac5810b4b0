import { CniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'

/**
 * Kinds of frames, shared by the protocol between shim and daemon (1 to 31) and the journal (from 32;
 * `exec` stands in both). Design §6, §7.
 */
export const FrameKind = {
  exec: 4,
  planned: 32,
  started: 33,
  undo: 34,
  complete: 35,
  published: 36,
  undone: 37,
  attempted: 38,
} as const

/** One frame: a kind and its fields. On the wire: length, kind, then each field with its length. */
export interface Frame {
  readonly kind: number
  readonly fields: readonly Buffer[]
}

/** Bytes of the largest frame; anything longer is refused. */
export const MAX_FRAME_BYTES = 16 * 1024 * 1024

/**
 * Encodes a frame: 4-byte big-endian length of what follows, 1-byte kind, and for each field a 4-byte
 * big-endian length and its bytes.
 *
 * @param roomBytes Left free behind the frame.
 * @throws {CniError} Internal when it would exceed {@link MAX_FRAME_BYTES}.
 */
export function encodeFrame(
  kind: number,
  fields: readonly (Buffer | string | number)[],
  roomBytes = 0,
): Buffer {
  const sizeBytes = fields.reduce<number>((sum, field) => sum + 4 + sizeOf(field), 1)
  if (sizeBytes > MAX_FRAME_BYTES) {
    throw new CniError(CniErrorCode.Internal, `a frame of ${sizeBytes} bytes exceeds ${MAX_FRAME_BYTES}`)
  }
  const frame = Buffer.allocUnsafe(4 + sizeBytes + roomBytes)
  frame.writeUInt32BE(sizeBytes, 0)
  frame[4] = kind
  let offset = 5
  for (const field of fields) {
    const lengthAt = offset
    offset += 4
    if (typeof field === 'number') offset = frame.writeUInt32BE(field, offset)
    else offset += typeof field === 'string' ? frame.write(field, offset) : field.copy(frame, offset)
    frame.writeUInt32BE(offset - lengthAt - 4, lengthAt)
  }
  return frame
}

function sizeOf(field: Buffer | string | number): number {
  if (typeof field === 'number') return 4
  return typeof field === 'string' ? Buffer.byteLength(field) : field.length
}

/**
 * Decodes what follows a frame's length.
 *
 * @returns `undefined` when the fields do not fill it exactly.
 */
export function decodeFrame(body: Buffer): Frame | undefined {
  const kind = body[0]
  if (kind === undefined) return undefined
  const fields: Buffer[] = []
  let offset = 1
  while (offset < body.length) {
    if (offset + 4 > body.length) return undefined
    const length = body.readUInt32BE(offset)
    offset += 4
    if (offset + length > body.length) return undefined
    fields.push(body.subarray(offset, offset + length))
    offset += length
  }
  return { kind, fields }
}

/** The number in a field, or `undefined` when the field is not 4 bytes. */
export function decodeNumber(field: Buffer | undefined): number | undefined {
  return field?.length === 4 ? field.readUInt32BE(0) : undefined
}

/** When a call of a burst starts: at once, after the one before it succeeded or ended, or with it, unless that one is dropped. */
export const ExecMode = { now: 0, afterSuccess: 1, afterEnd: 2, withBefore: 3 } as const

/** Added to a mode: the end of the call before it is not to be held back until the series is over. */
export const TELL_AT_ONCE = 4

/** Added to a mode: the plugin does nothing without its input and may start up while the call before it runs. */
export const START_AHEAD = 8

/** Added to a mode: the plugin and what it starts stay on one processor, with `withBefore` on another than the call before. */
export const KEEP_PROCESSOR = 16

/** Added to a mode: no call yet; the plugin is started for the call that comes next, if that has the same environment. */
export const HOLD = 32

/** A delegate's call as an `exec` frame carries it. */
export interface ExecFields {
  readonly id: number
  readonly mode: number
  readonly timeoutMs: number
  readonly type: string
  readonly command: string
  readonly containerId: string
  readonly netns: string
  readonly ifName: string
  readonly args: string
  readonly stdin: string
}

/** Fields of an `exec` or `undo` frame, in their order. */
export function encodeExec(exec: ExecFields): (string | number)[] {
  const { id, mode, timeoutMs, type, command, containerId, netns, ifName, args, stdin } = exec
  return [id, mode, timeoutMs, type, command, containerId, netns, ifName, args, stdin]
}

/** The call in an `exec` or `undo` frame; `undefined` when fields are missing or of the wrong size. */
export function decodeExec(fields: readonly Buffer[]): ExecFields | undefined {
  const id = decodeNumber(fields[0])
  const mode = decodeNumber(fields[1])
  const timeoutMs = decodeNumber(fields[2])
  const [type, command, containerId, netns, ifName, args, stdin] = fields
    .slice(3)
    .map((field) => field.toString())
  if (id === undefined || mode === undefined || timeoutMs === undefined || type === undefined)
    return undefined
  if (command === undefined || containerId === undefined || netns === undefined || ifName === undefined) {
    return undefined
  }
  if (args === undefined || stdin === undefined) return undefined
  return { id, mode, timeoutMs, type, command, containerId, netns, ifName, args, stdin }
}
