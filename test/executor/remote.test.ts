import * as assert from 'uvu/assert'
import type { DelegateCall } from '../../src/executor/executor.ts'
import { MAX_FRAME_BYTES } from '../../src/executor/frame.ts'
import { openFoundPlugins, remoteExecutor } from '../../src/executor/remote.ts'
import { spec } from '../spec.ts'

const CALL: DelegateCall = {
  ...{ command: 'ADD', type: 'any', containerId: 'one', netns: '/run/netns/one', ifName: 'eth0', args: '' },
  ...{ stdin: '{}', timeoutMs: 1000 },
}

function openExecutor() {
  const sent: Buffer[] = []
  const executor = remoteExecutor(
    {
      send: (...frames) => void sent.push(...frames),
      sendSoon: (frame) => void sent.push(frame),
      close: () => undefined,
    },
    { netns: '/run/netns/one', netnsId: '1:2', factsFollow: false, searchPath: [], searchMark: '' },
    openFoundPlugins(() => 0),
    () => false,
  )
  return { executor, sent }
}

spec('remote executor', (it) => {
  it('a series with a call that no frame can hold is not begun, and leaves nobody waiting', async () => {
    const { executor, sent } = openExecutor()
    const unhandled: unknown[] = []
    const note = (reason: unknown): void => void unhandled.push(reason)
    process.on('unhandledRejection', note)
    const told: (readonly number[])[] = []
    const calls = [CALL, { ...CALL, stdin: 'x'.repeat(MAX_FRAME_BYTES) }]
    assert.throws(
      () =>
        executor.execSeries({
          calls,
          next: 'success',
          withinMs: 1000,
          starting: (indexes) => told.push(indexes),
        }),
      'exceeds',
    )
    executor.disconnect()
    await new Promise((resolve) => setImmediate(resolve))
    process.off('unhandledRejection', note)
    assert.equal([sent, told, unhandled], [[], [], []])
  })

  it('a call whose time has run out on the way is handed over with none left', () => {
    const { executor, sent } = openExecutor()
    executor.execSeries({ calls: [CALL, { ...CALL, timeoutMs: -3 }], next: 'success', withinMs: 1 })
    assert.is(sent.length, 2)
    executor.disconnect()
  })
})
