import * as assert from 'uvu/assert'
import { assertDone, assertRefused } from '../plugin/stub-node.ts'
import { spec } from '../spec.ts'
import { assertNothingButStatus } from './after-replay.ts'
import { breakPoints, killedAt, relayedNode } from './kill-daemon.ts'

spec('a daemon killed -9 while an ADD fails', (it) => {
  it('at any frame of the undo: its error or error 11, and the next DEL is clean', async () => {
    const setUp = await relayedNode()
    const { node, installed } = setUp
    const executable = installed.shim
    const effects = { link: 'veth', lease: node.leaseDir } as const
    node.behave(node.beta, { add: { ...effects, error: { code: 117, msg: 'no free VF' } } })
    let turns = 0
    for (const point of breakPoints()) {
      // What comes before beta's failure is like that of an ADD that succeeds.
      if (point.frame < 5) continue
      const pod = await node.pod({ name: `pod-${turns}` })
      const before = await node.watch(pod)
      const daemon = await installed.start()
      const { run, isKilled } = await killedAt(point, 'ADD', pod, daemon, setUp)
      if (run.json?.code === 117) assertRefused(run, 117, 'no free VF')
      else assertRefused(run, 11, 'plexus daemon')
      assert.ok(run.durationMs < 8000, `frame ${point.frame}, ${point.part}: ${run.durationMs} ms`)
      assertDone(await pod.run('DEL', { executable }))
      await assertNothingButStatus(node, before, pod)
      if (!isKilled) break
      turns++
    }
    // Beta's call, three undos and the answer, each of them twice.
    assert.ok(turns >= 10, `${turns} turns`)
  })
})
