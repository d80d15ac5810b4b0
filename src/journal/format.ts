import { crc32 } from 'node:zlib'
import {
  decodeFrame,
  decodeNumber,
  encodeFrame,
  type Frame,
  FrameKind,
  MAX_FRAME_BYTES,
} from '../executor/frame.ts'

/** First bytes of every journal file. */
const JOURNAL_MAGIC = Buffer.from('PLXJ')

/** Format that this release writes. It reads this one and the one before. */
export const JOURNAL_VERSION = 1

const HEADER_BYTES = JOURNAL_MAGIC.length + 4
const CHECKSUM_BYTES = 4
const KINDS: ReadonlySet<number> = new Set(Object.values(FrameKind))

/** What the bytes of a journal file turned out to be. */
export type DecodedJournal =
  | { readonly state: 'newer'; readonly version: number }
  | {
      /** `torn`: only the last frame is incomplete, which is normal after a crash. */
      readonly state: 'intact' | 'torn' | 'damaged'
      readonly frames: readonly Frame[]
      /** Bytes up to the end of the last whole frame: where the next one is appended. */
      readonly lengthBytes: number
    }

/** The header: magic and 4-byte big-endian format version. */
export function encodeHeader(): Buffer {
  const header = Buffer.alloc(HEADER_BYTES)
  JOURNAL_MAGIC.copy(header)
  header.writeUInt32BE(JOURNAL_VERSION, JOURNAL_MAGIC.length)
  return header
}

/** A record: the frame in the protocol's encoding and the 4-byte CRC-32 of what follows its length. */
export function encodeRecord(kind: number, fields: readonly (Buffer | string | number)[]): Buffer {
  const record = encodeFrame(kind, fields, CHECKSUM_BYTES)
  const end = record.length - CHECKSUM_BYTES
  record.writeUInt32BE(crc32(record.subarray(4, end)), end)
  return record
}

/**
 * Reads a journal file. Every record whose checksum holds is given, also behind a damaged one: the next
 * record is looked for by its own checksum where a length cannot be trusted. Design §7.
 */
export function decodeJournal(bytes: Buffer): DecodedJournal {
  const frames: Frame[] = []
  let offset = 0
  let isDamaged = true
  if (bytes.length >= HEADER_BYTES && bytes.subarray(0, JOURNAL_MAGIC.length).equals(JOURNAL_MAGIC)) {
    const version = bytes.readUInt32BE(JOURNAL_MAGIC.length)
    if (version > JOURNAL_VERSION) return { state: 'newer', version }
    isDamaged = version === 0
    offset = HEADER_BYTES
  }
  let lengthBytes = offset
  while (offset < bytes.length) {
    const record = readRecord(bytes, offset)
    if (record !== undefined) {
      frames.push(record.frame)
      offset = record.end
      lengthBytes = offset
      continue
    }
    const next = findRecord(bytes, offset + 1)
    if (next === undefined) {
      return { state: isDamaged || !hasWholePlan(frames) ? 'damaged' : 'torn', frames, lengthBytes }
    }
    isDamaged = true
    offset = next
  }
  return { state: isDamaged || !hasWholePlan(frames) ? 'damaged' : 'intact', frames, lengthBytes }
}

/**
 * Whether `planned` and every `exec` that it announces are there: they came into being at once, by a
 * rename, so that no crash of ours tears them.
 */
function hasWholePlan(frames: readonly Frame[]): boolean {
  const [planned] = frames
  if (planned?.kind !== FrameKind.planned) return false
  const announced = decodeNumber(planned.fields[4])
  return announced === undefined || frames.filter(({ kind }) => kind === FrameKind.exec).length === announced
}

function findRecord(bytes: Buffer, from: number): number | undefined {
  for (let offset = from; offset + 9 <= bytes.length; offset++) {
    if (KINDS.has(bytes[offset + 4] ?? 0) && readRecord(bytes, offset) !== undefined) return offset
  }
  return undefined
}

function readRecord(bytes: Buffer, offset: number): { frame: Frame; end: number } | undefined {
  if (offset + 9 > bytes.length) return undefined
  const length = bytes.readUInt32BE(offset)
  const end = offset + 4 + length + 4
  if (length < 1 || length > MAX_FRAME_BYTES || end > bytes.length) return undefined
  const body = bytes.subarray(offset + 4, end - 4)
  if (crc32(body) !== bytes.readUInt32BE(end - 4)) return undefined
  const frame = decodeFrame(body)
  return frame === undefined ? undefined : { frame, end }
}
