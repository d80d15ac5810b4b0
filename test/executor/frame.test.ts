import * as assert from 'uvu/assert'
import { CniErrorCode } from '../../src/cni/codes.ts'
import {
  decodeExec,
  decodeFrame,
  decodeNumber,
  type ExecFields,
  ExecMode,
  encodeExec,
  encodeFrame,
  FrameKind,
  MAX_FRAME_BYTES,
} from '../../src/executor/frame.ts'
import { seededRandom } from '../cni/random.ts'
import { thrownBy } from '../cni/thrown.ts'
import { spec } from '../spec.ts'

const EXEC: ExecFields = {
  id: 3,
  mode: ExecMode.afterEnd,
  timeoutMs: 60_000,
  type: 'bridge',
  command: 'DEL',
  containerId: 'c1',
  netns: '',
  ifName: 'ü0',
  args: 'IgnoreUnknown=1',
  stdin: '{"name":"n"}\n',
}

/** The fields of a frame's exec call, or `undefined`. */
const execIn = (body: Buffer): ExecFields | undefined => {
  const frame = decodeFrame(body)
  return frame === undefined ? undefined : decodeExec(frame.fields)
}

spec('frames', (it) => {
  it('a frame is its length, its kind, and each field with its length', () => {
    assert.is(
      encodeFrame(FrameKind.started, [7, 'ab', Buffer.from([0xff]), '']).toString('hex'),
      [
        '00000018', // 24 bytes follow
        '21', // started
        '0000000400000007',
        '000000026162',
        '00000001ff',
        '00000000',
      ].join(''),
    )
  })

  it('what is encoded is decoded again, whatever the bytes', () => {
    const random = seededRandom(6)
    for (let round = 0; round < 2000; round++) {
      const kind = random.below(256)
      const fields = Array.from({ length: random.below(6) }, () =>
        Buffer.from(Array.from({ length: random.below(40) }, () => random.below(256))),
      )
      const bytes = encodeFrame(kind, fields)
      assert.is(bytes.readUInt32BE(0), bytes.length - 4)
      const frame = decodeFrame(bytes.subarray(4))
      assert.is(frame?.kind, kind)
      assert.equal(
        frame?.fields.map((field) => field.toString('hex')),
        fields.map((field) => field.toString('hex')),
      )
    }
  })

  it('a frame cut anywhere between its fields is no frame or has fewer fields, never others', () => {
    const body = encodeFrame(FrameKind.exec, encodeExec(EXEC)).subarray(4)
    const whole = decodeFrame(body)?.fields.map(String) ?? []
    assert.is(whole.length, 10)
    for (let length = 0; length < body.length; length++) {
      const cut = decodeFrame(body.subarray(0, length))
      if (cut !== undefined) assert.equal(cut.fields.map(String), whole.slice(0, cut.fields.length))
      assert.is(execIn(body.subarray(0, length)), undefined, `${length} of ${body.length} bytes`)
    }
  })

  it('a byte too many is no frame', () => {
    const body = encodeFrame(FrameKind.exec, encodeExec(EXEC)).subarray(4)
    for (let more = 1; more <= 3; more++) {
      assert.is(decodeFrame(Buffer.concat([body, Buffer.alloc(more)])), undefined)
    }
  })

  it('a length that points behind the end is no frame', () => {
    assert.is(decodeFrame(Buffer.from('2100000005aabb', 'hex')), undefined)
    assert.is(decodeFrame(Buffer.from('21ffffffff', 'hex')), undefined)
    assert.is(decodeFrame(Buffer.alloc(0)), undefined)
  })

  it('any bytes are a frame or none, and nothing is thrown', () => {
    const random = seededRandom(7)
    for (let round = 0; round < 5000; round++) {
      const body = Buffer.from(
        Array.from({ length: random.below(30) }, () => (random.chance() ? 0 : random.below(256))),
      )
      const frame = decodeFrame(body)
      if (frame !== undefined) decodeExec(frame.fields)
    }
  })

  it('the largest frame is written, a larger one refused', () => {
    const largest = MAX_FRAME_BYTES - 5
    assert.is(encodeFrame(FrameKind.complete, [Buffer.alloc(largest)]).length, MAX_FRAME_BYTES + 4)
    const error = thrownBy(() => encodeFrame(FrameKind.complete, [Buffer.alloc(largest + 1)]))
    assert.is(error.code, CniErrorCode.Internal)
  })
})

spec('exec frames', (it) => {
  it('a call is encoded and decoded with every field', () => {
    assert.equal(execIn(encodeFrame(FrameKind.exec, encodeExec(EXEC)).subarray(4)), EXEC)
  })

  it('numbers at their limits are kept', () => {
    const exec = { ...EXEC, id: 0xffffffff, timeoutMs: 0 }
    assert.equal(execIn(encodeFrame(FrameKind.undo, encodeExec(exec)).subarray(4)), exec)
  })

  it('a field that is missing makes it no call', () => {
    const { fields } = decodeFrame(encodeFrame(FrameKind.exec, encodeExec(EXEC)).subarray(4)) ?? {
      fields: [],
    }
    for (let count = 0; count < fields.length; count++) {
      assert.is(decodeExec(fields.slice(0, count)), undefined, String(count))
    }
    assert.equal(decodeExec(fields), EXEC)
  })

  it('a number is 4 bytes', () => {
    assert.is(decodeNumber(Buffer.from([0, 0, 1, 0])), 256)
    for (const length of [0, 3, 5]) assert.is(decodeNumber(Buffer.alloc(length)), undefined)
    assert.is(decodeNumber(undefined), undefined)
  })
})
