import {
  ExecMode,
  encodeExec,
  encodeFrame,
  FrameKind,
  HOLD,
  KEEP_PROCESSOR,
  START_AHEAD,
  TELL_AT_ONCE,
} from '../../src/executor/frame.ts'
import { encodeMessage } from '../../src/executor/protocol.ts'
import { encodeHeader, encodeRecord } from '../../src/journal/format.ts'
import { execFields } from './fake-daemon.ts'

const JOURNAL_MAGIC = Buffer.from('PLXJ')

/** Frames and journal files as TypeScript writes them today, by their name in `native/corpus/`. */
export function corpus(): Map<string, Buffer> {
  const call = (id: number, more: object = {}): Buffer =>
    encodeRecord(FrameKind.exec, encodeExec(execFields({ id, command: 'DEL', ...more })))
  const plan = ['{"version":1}', '/run/netns/none', '4:1:2', '/a\0/proc/none/cni/x-pod-1_eth0']
  const planned = encodeRecord(FrameKind.planned, [...plan, 2, '1b4e28ba-2fa1-11d2-883f-0016d3cca427'])
  const started = (id: number): Buffer => encodeRecord(FrameKind.started, [id])
  const undo = encodeRecord(
    FrameKind.undo,
    encodeExec(execFields({ id: 1, command: 'DEL', stdin: '{"name":"n","prevResult":{}}' })),
  )
  const whole = Buffer.concat([
    encodeHeader(),
    planned,
    call(0),
    call(1, { type: 'macvlan', ifName: 'net1', args: 'A=1;B=2' }),
    started(0),
    started(1),
    undo,
    encodeRecord(FrameKind.complete, ['{"results":[]}']),
    encodeRecord(FrameKind.published, []),
    encodeRecord(FrameKind.undone, [1]),
    encodeRecord(FrameKind.attempted, []),
  ])
  const damaged = Buffer.from(whole)
  damaged.writeUInt8(damaged.readUInt8(20) ^ 1, 20)
  const newer = Buffer.concat([JOURNAL_MAGIC, Buffer.from([0, 0, 0, 2]), whole.subarray(8)])
  const change = [
    {
      family: 4 as const,
      losers: ['eth0'],
      owner: 'net1',
      gateways: ['10.1.0.1', '10.1.0.2'],
      keepCidrs: ['10.0.0.0/8'],
      keepIfName: 'eth0',
    },
    {
      family: 6 as const,
      losers: ['eth0', 'net2'],
      owner: undefined,
      gateways: [],
      keepCidrs: [],
      keepIfName: undefined,
    },
  ]
  return new Map([
    ['journal-whole', whole],
    ['journal-header', encodeHeader()],
    ['journal-torn', whole.subarray(0, whole.length - 5)],
    ['journal-torn-early', Buffer.concat([encodeHeader(), planned, call(0).subarray(0, 30)])],
    ['journal-damaged', damaged],
    ['journal-no-planned', Buffer.concat([encodeHeader(), call(0), started(0)])],
    ['journal-lacks-exec', Buffer.concat([encodeHeader(), planned, call(0), started(0)])],
    // As a release wrote it that did not announce how many calls follow.
    [
      'journal-without-count',
      Buffer.concat([encodeHeader(), encodeRecord(FrameKind.planned, plan), call(0), started(0)]),
    ],
    ['journal-newer', newer],
    ['journal-version-0', Buffer.concat([JOURNAL_MAGIC, Buffer.alloc(4), whole.subarray(8)])],
    [
      'frames-add',
      Buffer.concat([
        encodeMessage.hello(1, ''),
        encodeMessage.probe('/run/netns/none', ['bridge', 'macvlan', '../x', '']),
        encodeMessage.exec(execFields({ id: 1, type: 'bridge' })),
        encodeMessage.exec(execFields({ id: 2, type: 'macvlan', mode: 1 })),
        encodeMessage.log('a line'),
        encodeMessage.done(0, true, true, '{"cniVersion":"1.0.0"}\n'),
      ]),
    ],
    [
      'frames-ahead',
      Buffer.concat([
        encodeMessage.hello(1, ''),
        encodeMessage.exec(
          execFields({ id: 0, type: 'bridge', mode: START_AHEAD + HOLD, timeoutMs: 0, stdin: '' }),
        ),
        encodeMessage.exec(execFields({ id: 1, type: 'bridge', mode: TELL_AT_ONCE })),
        encodeMessage.exec(execFields({ id: 2, type: 'macvlan', mode: ExecMode.afterSuccess + START_AHEAD })),
        encodeMessage.exec(execFields({ id: 3, type: 'tap', mode: ExecMode.withBefore + START_AHEAD })),
        encodeMessage.exec(execFields({ id: 4, type: 'ptp', mode: ExecMode.afterSuccess + KEEP_PROCESSOR })),
        encodeMessage.done(1, false, false, '{"code":11}'),
      ]),
    ],
    [
      'frames-errands',
      Buffer.concat([
        encodeMessage.errand('pod-2'),
        encodeMessage.probe('', []),
        encodeMessage.exec(execFields({ containerId: 'pod-2', mode: 2, command: 'DEL' })),
        encodeMessage.errand(''),
      ]),
    ],
    ['frame-routes', encodeMessage.routes('/run/netns/none', change)],
    ['frame-exec', encodeMessage.exec(execFields({ args: 'A=1', netns: '/run/netns/none' }))],
    [
      'frame-refused',
      Buffer.concat([encodeMessage.hello(0, 'too old'), encodeMessage.done(1, false, false, '{"code":11}')]),
    ],
    ['frame-cut', encodeMessage.log('cut off').subarray(0, 9)],
    ['frame-too-long', Buffer.from([0xff, 0xff, 0xff, 0xff, 4])],
    ['frame-overrun', Buffer.concat([encodeFrame(3, []), Buffer.from([0, 0, 0, 6, 10, 0, 0, 0, 9, 65])])],
    [
      'text-conf',
      Buffer.from(
        '{"delegates":[{"cniVersion":"0.3.1"}],"cniVersion":"1.0.0","x":"\\u006e\\/","runtimeConfig":{"io.kubernetes.cri.pod-annotations":{"a":"b"}}}',
      ),
    ],
    [
      'text-shim',
      Buffer.from('# a line\nsocket = /run/plexus/plexus.sock\nbinDirs=/a:/b\naddWait=10\nunknown=1\n'),
    ],
    // A route as the kernel gives it: IPv4 default of two hops.
    [
      'route-multipath',
      Buffer.from(
        '0200000000fe030001000000000000000800 0f00fe000000 0800 06000500000024000900100000000200000008000500 0a5a0001 1000000003000000080005000a5c0001'.replaceAll(
          ' ',
          '',
        ),
        'hex',
      ),
    ],
  ])
}
