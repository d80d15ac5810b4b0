import { rmSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { assertAdded, assertDone, assertRefused } from '../plugin/stub-node.ts'
import { eventually } from '../rig/daemon.ts'
import { spec } from '../spec.ts'
import { assertNothingButStatus } from './after-replay.ts'
import { breakPoints, killedAt, relayedNode } from './kill-daemon.ts'

spec('a daemon killed -9 at any frame that it sends', (it) => {
  it('of ADD: error 11 or success, and the DEL that follows is clean without a daemon and with one', async () => {
    const setUp = await relayedNode()
    const { node, installed } = setUp
    const executable = installed.shim
    let answered = 0
    let turns = 0
    for (const point of breakPoints()) {
      const pod = await node.pod({ name: `pod-${turns}` })
      const before = await node.watch(pod)
      const daemon = await installed.start()
      const { run, isKilled } = await killedAt(point, 'ADD', pod, daemon, setUp)
      if (run.status === 0) {
        assertAdded(run)
        answered++
      } else assertRefused(run, 11, 'plexus daemon')
      assert.ok(run.durationMs < 8000, `frame ${point.frame}, ${point.part}: ${run.durationMs} ms`)
      if (turns % 3 === 0) {
        const next = await installed.start()
        assertDone(await pod.run('DEL', { executable }))
        await eventually(() => node.assertClean(before))
        assert.is(await next.stop(), 0)
      } else {
        assertDone(await pod.run('DEL', { executable }))
        await assertNothingButStatus(node, before, pod)
        rmSync(join(node.stateDir, 'status'), { recursive: true, force: true })
      }
      if (!isKilled) break
      turns++
    }
    // hello, probe, three calls and the answer, each of them twice.
    assert.ok(turns >= 12, `${turns} turns`)
    assert.ok(answered >= 1, `${answered} answers`)
  })

  it('of DEL: success, since the shim goes on by itself, and nothing is left', async () => {
    const setUp = await relayedNode()
    const { node, installed } = setUp
    const executable = installed.shim
    let turns = 0
    for (const point of breakPoints()) {
      const pod = await node.pod({ name: `pod-${turns}` })
      const before = await node.watch(pod)
      const daemon = await installed.start()
      assertAdded(await pod.run('ADD', { executable }))
      const { run, isKilled } = await killedAt(point, 'DEL', pod, daemon, setUp)
      assertDone(run)
      assert.ok(run.durationMs < 8000, `frame ${point.frame}, ${point.part}: ${run.durationMs} ms`)
      assertDone(await pod.run('DEL', { executable }))
      await assertNothingButStatus(node, before, pod)
      if (!isKilled) break
      turns++
    }
    assert.ok(turns >= 8, `${turns} turns`)
  })
})
