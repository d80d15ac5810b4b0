import * as assert from 'uvu/assert'
import { type ExecFields, encodeExec, FrameKind } from '../../src/executor/frame.ts'
import { decodeJournal, encodeHeader, encodeRecord, JOURNAL_VERSION } from '../../src/journal/format.ts'
import { toJournalRecord } from '../../src/journal/record.ts'
import { seededRandom } from '../cni/random.ts'
import { spec } from '../spec.ts'

const exec = (id: number, stdin = '{}'): ExecFields => ({
  id,
  mode: 2,
  timeoutMs: 60_000,
  type: 'bridge',
  command: 'DEL',
  containerId: 'c1',
  netns: '/run/netns/p',
  ifName: `net${id}`,
  args: '',
  stdin,
})

const RECORDS: readonly Buffer[] = [
  encodeRecord(FrameKind.planned, ['{"containerId":"c1"}', '/run/netns/p', '4:1', '', 2]),
  encodeRecord(FrameKind.exec, encodeExec(exec(0))),
  encodeRecord(FrameKind.exec, encodeExec(exec(1))),
  encodeRecord(FrameKind.started, [0]),
  encodeRecord(FrameKind.started, [1]),
  encodeRecord(FrameKind.undo, encodeExec(exec(1, '{"prevResult":{}}'))),
  encodeRecord(FrameKind.complete, ['{"results":[]}']),
]
const FILE = Buffer.concat([encodeHeader(), ...RECORDS])
const KINDS = [32, 4, 4, 33, 33, 34, 35]

/** Offsets of the records' ends, the header's first. */
const ENDS = [0, ...RECORDS.keys()].map((_, count) =>
  RECORDS.slice(0, count).reduce((end, record) => end + record.length, 8),
)

/** State, kinds and length of what is read; fails for a newer file. */
function read(bytes: Buffer) {
  const decoded = decodeJournal(bytes)
  if (decoded.state === 'newer') throw new Error('newer')
  return { ...decoded, kinds: decoded.frames.map(({ kind }) => kind) }
}

spec('journal format', (it) => {
  it('a file is magic, version and records with their CRC-32', () => {
    assert.is(encodeHeader().toString('latin1'), 'PLXJ\0\0\0\u0001')
    // 9 bytes follow the length; the checksum is that of kind and fields.
    assert.is(encodeRecord(FrameKind.started, [0]).toString('hex'), '000000092100000004000000008603248e')
  })

  it('what is written is read', () => {
    const { state, kinds, lengthBytes } = read(FILE)
    assert.equal([state, kinds, lengthBytes], ['intact', KINDS, FILE.length])
  })

  it('a file that is torn anywhere keeps every whole record before the tear', () => {
    for (let length = 8; length < FILE.length; length++) {
      const { state, kinds, lengthBytes } = read(FILE.subarray(0, length))
      const whole = ENDS.filter((end) => end <= length).length - 1
      assert.equal(kinds, KINDS.slice(0, whole), `cut at ${length}`)
      assert.is(lengthBytes, ENDS[whole], `cut at ${length}`)
      const isEnd = ENDS.includes(length)
      // A file is renamed into place with `planned` and its two `exec` in it: one without them is damaged.
      if (whole < 3) assert.is(state, 'damaged', `cut at ${length}`)
      else assert.is(state, isEnd ? 'intact' : 'torn', `cut at ${length}`)
    }
  })

  it('a file shorter than its header is damaged and empty', () => {
    for (let length = 0; length < 8; length++) {
      const { state, kinds } = read(FILE.subarray(0, length))
      assert.equal([state, kinds], ['damaged', []], `${length} bytes`)
    }
  })

  it('with any one byte flipped every other record is found and nothing is thrown', () => {
    for (let at = 0; at < FILE.length; at++) {
      for (const mask of [0x01, 0x80, 0xff]) {
        const bytes = Buffer.from(FILE)
        bytes[at] = (bytes[at] ?? 0) ^ mask
        const decoded = decodeJournal(bytes)
        if (decoded.state === 'newer') {
          assert.ok(at >= 4 && at < 8, `byte ${at}`)
          continue
        }
        const hit = ENDS.findIndex((end) => at < end)
        const expected = KINDS.filter((_, index) => index !== hit - 1)
        assert.equal(
          decoded.frames.map(({ kind }) => kind),
          expected,
          `byte ${at} ^ ${mask}`,
        )
        // Only the last record can also be a torn one.
        assert.ok(
          decoded.state === 'damaged' || (decoded.state === 'torn' && hit === RECORDS.length),
          `byte ${at}`,
        )
        assert.is(toJournalRecord(decoded.frames, true).isDamaged, true)
      }
    }
  })

  it('with a whole record replaced by garbage of another length the rest is found', () => {
    const random = seededRandom(8)
    for (const [index, record] of RECORDS.entries()) {
      for (const length of [0, 1, record.length - 1, record.length, record.length + 7]) {
        const garbage = Buffer.from(Array.from({ length }, () => random.below(256)))
        const parts = RECORDS.map((bytes, place) => (place === index ? garbage : bytes))
        const { kinds, state } = read(Buffer.concat([encodeHeader(), ...parts]))
        assert.equal(
          kinds,
          KINDS.filter((_, place) => place !== index),
        )
        if (index === 0) assert.is(state, 'damaged')
      }
    }
  })

  it('any bytes are read without an exception', () => {
    const random = seededRandom(9)
    for (let round = 0; round < 2000; round++) {
      const bytes = Buffer.from(
        Array.from({ length: random.below(80) }, () => (random.chance() ? 0 : random.below(256))),
      )
      decodeJournal(random.chance() ? bytes : Buffer.concat([encodeHeader(), bytes]))
    }
  })

  it('a format newer than ours is told by its number, whatever follows', () => {
    const header = encodeHeader()
    header.writeUInt32BE(JOURNAL_VERSION + 1, 4)
    assert.equal(decodeJournal(Buffer.concat([header, Buffer.from('??')])), {
      state: 'newer',
      version: JOURNAL_VERSION + 1,
    })
  })

  it('format 0, which there never was, is damaged and its records are read', () => {
    const bytes = Buffer.from(FILE)
    bytes.writeUInt32BE(0, 4)
    const { state, kinds } = read(bytes)
    assert.equal([state, kinds], ['damaged', KINDS])
  })

  it('a file without the magic is damaged and its records are read', () => {
    for (const bytes of [FILE.subarray(8), Buffer.concat([Buffer.from('XXXX'), FILE.subarray(4)])]) {
      const { state, kinds } = read(bytes)
      assert.equal([state, kinds], ['damaged', KINDS])
    }
  })
})
