import * as assert from 'uvu/assert'
import {
  decodeFrame,
  type ExecFields,
  encodeExec,
  encodeFrame,
  type Frame,
  FrameKind,
} from '../../src/executor/frame.ts'
import { pendingUndo, toJournalRecord } from '../../src/journal/record.ts'
import { spec } from '../spec.ts'

const exec = (id: number, stdin = '{}'): ExecFields => ({
  id,
  mode: 2,
  timeoutMs: 1,
  type: `plugin-${id}`,
  command: 'DEL',
  containerId: 'c1',
  netns: '',
  ifName: 'eth0',
  args: '',
  stdin,
})

const frame = (kind: number, ...fields: readonly (string | number | Buffer)[]): Frame => {
  const decoded = decodeFrame(encodeFrame(kind, fields).subarray(4))
  if (decoded === undefined) throw new Error('no frame')
  return decoded
}

const call = (kind: number, fields: ExecFields): Frame => frame(kind, ...encodeExec(fields))
const planned = frame(FrameKind.planned, '{"containerId":"c1"}', '', '', '')

const ids = (frames: readonly Frame[], isDamaged = false): number[] =>
  pendingUndo(toJournalRecord(frames, isDamaged)).map((entry) => entry.exec.id)

spec('journal record', (it) => {
  const calls = [0, 1, 2].map((id) => call(FrameKind.exec, exec(id)))
  const started = [0, 1, 2].map((id) => frame(FrameKind.started, id))
  const undone = (id: number): Frame => frame(FrameKind.undone, id)

  const pending: readonly (readonly [string, readonly Frame[], readonly number[]])[] = [
    ['nothing was started', [planned, ...calls], []],
    ['CNI-049 all were started: in reverse', [planned, ...calls, ...started], [2, 1, 0]],
    ['only some were started', [planned, ...calls, ...started.slice(0, 2)], [1, 0]],
    ['CNI-051 one is undone: the others are left', [planned, ...calls, ...started, undone(1)], [2, 0]],
    ['all are undone', [planned, ...calls, ...started, undone(0), undone(1), undone(2)], []],
    ['started in another order', [planned, ...calls, ...started.toReversed()], [2, 1, 0]],
    ['a start without a call', [planned, frame(FrameKind.started, 9)], []],
    [
      'a mark without a number',
      [planned, ...calls, frame(FrameKind.started, 'x'), frame(FrameKind.undone)],
      [],
    ],
    ['a frame of a kind that is not known', [planned, ...calls, frame(99, 1), ...started], [2, 1, 0]],
  ]
  for (const [title, frames, expected] of pending) {
    it(`what is still to be undone when ${title}`, () => assert.equal(ids(frames), expected))
  }

  it('the last undo of a call counts, in the place of the first', () => {
    const frames = [
      planned,
      ...calls,
      ...started,
      call(FrameKind.undo, exec(1, '{"prevResult":1}')),
      call(FrameKind.undo, exec(1, '{"prevResult":2}')),
    ]
    assert.equal(
      pendingUndo(toJournalRecord(frames, false)).map((entry) => entry.exec.stdin),
      ['{}', '{"prevResult":2}', '{}'],
    )
  })

  it('an undo is enough where the call itself is lost', () => {
    assert.equal(ids([planned, call(FrameKind.undo, exec(1)), ...started]), [1])
  })

  it('in a damaged file every call counts as started unless it is undone', () => {
    assert.equal(ids([planned, ...calls, undone(2)], true), [1, 0])
  })

  it('a call with a field too few is passed over', () => {
    const fields = encodeExec(exec(0)).slice(0, -1)
    assert.equal(ids([planned, frame(FrameKind.exec, ...fields), ...started]), [])
  })

  it('a journal of nothing but its plan is neither complete nor published', () => {
    assert.equal(toJournalRecord([planned], false), {
      planned: { containerId: 'c1' },
      complete: undefined,
      calls: [],
      isPublished: false,
      failedDels: 0,
      netnsId: '',
      bootId: undefined,
      isDamaged: false,
    })
  })

  it('meta, publication and failed DELs are read', () => {
    const record = toJournalRecord(
      [
        planned,
        frame(FrameKind.complete, '{"results":[]}'),
        frame(FrameKind.published),
        frame(FrameKind.attempted),
        frame(FrameKind.attempted),
      ],
      false,
    )
    assert.equal(record, {
      planned: { containerId: 'c1' },
      complete: { results: [] },
      calls: [],
      isPublished: true,
      failedDels: 2,
      netnsId: '',
      bootId: undefined,
      isDamaged: false,
    })
  })

  for (const meta of ['[]', '1', '{', '']) {
    it(`meta "${meta}" is none, and the calls are undone all the same`, () => {
      const frames = [frame(FrameKind.planned, meta), ...calls, ...started, frame(FrameKind.complete, meta)]
      const record = toJournalRecord(frames, false)
      assert.equal([record.planned, record.complete], [undefined, undefined])
      assert.is(pendingUndo(record).length, 3)
    })
  }

  it('numbers in the meta are kept to the digit', () => {
    const meta = '{"big":9007199254740993,"x":1.0}'
    assert.is(JSON.stringify(toJournalRecord([frame(FrameKind.planned, meta)], false).planned), meta)
  })

  it('after another boot every call counts as started: its `started` may never have reached the disk', () => {
    const first = frame(FrameKind.planned, '{}', '', '', '', 1, 'boot-1')
    const frames = [first, call(FrameKind.exec, exec(0))]
    assert.equal(pendingUndo(toJournalRecord(frames, false, 'boot-1')), [])
    assert.is(pendingUndo(toJournalRecord(frames, false, 'boot-2')).length, 1)
  })
})
