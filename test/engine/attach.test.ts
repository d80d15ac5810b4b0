import * as assert from 'uvu/assert'
import { CniError } from '../../src/cni/cni-error.ts'
import { CniErrorCode } from '../../src/cni/codes.ts'
import { parseNetConf } from '../../src/config/net-conf.ts'
import { type AttachEvents, attachAll } from '../../src/engine/attach.ts'
import type { EngineContext } from '../../src/engine/engine.ts'
import type { RecordedAttachment } from '../../src/engine/recorded-plan.ts'
import { type DelegateExit, dropped, type Executor } from '../../src/executor/executor.ts'
import { spec } from '../spec.ts'

const FAILED: DelegateExit = {
  status: 1,
  signal: undefined,
  stdout: '{"code":105,"msg":"no such bridge"}',
  stderr: '',
  ended: undefined,
  durationMs: 1,
}

function attachment(index: number): RecordedAttachment {
  const given: Partial<RecordedAttachment> = {
    ...{ index, network: `n${index}`, source: 'test', ifName: `net${index}`, args: '', cniVersion: '1.0.0' },
    plugins: [{ type: 'any', conf: { type: 'any' } }] as unknown as RecordedAttachment['plugins'],
    ...{ isOptional: false, waitsFor: [], timeoutMs: undefined, calls: [index] },
  }
  return given as RecordedAttachment
}

spec('attaching in order', (it) => {
  it('a disk that fills up behind a plugin that failed does not hide why it failed', async () => {
    const warnings: string[] = []
    const executor: Partial<Executor> = {
      execSeries: ({ calls, starting }) => {
        starting?.([...calls.keys()])
        return calls.map(async (call, index) => {
          if (index > 0) throw dropped(call)
          return FAILED
        })
      },
    }
    const context: Partial<EngineContext> = {
      request: { containerId: 'c1', netns: '/run/netns/c1' } as EngineContext['request'],
      conf: parseNetConf({ type: 'plexus' }),
      executor: executor as Executor,
      signal: new AbortController().signal,
      now: () => 0,
      startedAt: 0,
      called: () => undefined,
      warn: (message) => warnings.push(message),
    }
    const events: AttachEvents = {
      started: () => undefined,
      dropped: () => {
        throw new CniError(CniErrorCode.Io, 'ENOSPC')
      },
      spared: () => undefined,
      attached: () => undefined,
      failedOptional: async () => undefined,
    }
    try {
      await attachAll(context as EngineContext, [attachment(0), attachment(1)], 1000, events)
      assert.unreachable()
    } catch (error) {
      assert.match(String((error as Error).message), 'no such bridge')
    }
    assert.equal(warnings, ['ENOSPC'])
  })
})
