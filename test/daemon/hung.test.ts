import { setTimeout as delay } from 'node:timers/promises'
import * as assert from 'uvu/assert'
import { assertAdded, assertDone, assertRefused, stubNode } from '../plugin/stub-node.ts'
import { eventually, installDaemon } from '../rig/daemon.ts'
import { spec } from '../spec.ts'
import { assertNothingButStatus } from './after-replay.ts'

spec('a daemon that hangs', (it) => {
  it('each verb has its answer in bounded time; when it goes on, it does not do what is over', async () => {
    const node = await stubNode()
    const { shim: executable, start } = installDaemon(node, { shim: { addWait: '1', delWait: '1' } })
    const daemon = await start()
    const [pod, other] = [await node.pod(), await node.pod({ name: 'pod-b' })]
    const before = await node.watch(pod, other)
    assertAdded(await pod.run('ADD', { executable }))
    const conf = node.conf({ cniVersion: '1.1.0' })
    daemon.kill('SIGSTOP')
    const [added, checked, status, gc] = await Promise.all([
      other.run('ADD', { executable }),
      pod.run('CHECK', { executable }),
      pod.run('STATUS', { executable, conf }),
      // GC waits for the locks of the others.
      delay(2000).then(() => pod.run('GC', { executable, conf })),
    ])
    assertRefused(added, 11, 'the daemon is silent')
    assert.ok(added.durationMs < 4000, `ADD ${added.durationMs} ms`)
    assertDone(checked)
    assert.match(checked.stderr, 'CHECK is left out')
    assertRefused(status, 50, 'the daemon is silent')
    assert.ok(status.durationMs < 8000, `STATUS ${status.durationMs} ms`)
    assertRefused(gc, 11, 'the daemon is silent')
    assert.ok(gc.durationMs < 8000, `GC ${gc.durationMs} ms`)
    const deleted = await pod.run('DEL', { executable })
    assertDone(deleted)
    assert.ok(deleted.durationMs < 5000, `DEL ${deleted.durationMs} ms`)
    const steps = node.steps()
    assert.equal(steps.slice(3), ['beta DEL net2', 'alpha DEL net1', 'primary DEL eth0'])
    daemon.kill('SIGCONT')
    // A request behind all those that are over, so that they have been looked at.
    assertDone(await other.run('DEL', { executable }))
    assert.equal(node.steps().slice(steps.length), ['primary DEL eth0'])
    assertAdded(await pod.run('ADD', { executable }))
    assertDone(await pod.run('DEL', { executable }))
    await eventually(() => node.assertClean(before))
    assert.is(await daemon.stop(), 0)
  })

  for (const verb of ['ADD', 'DEL'] as const) {
    it(`in the middle of ${verb}: the runtime's TERM and KILL end it, and the next DEL is clean without the daemon`, async () => {
      const node = await stubNode()
      const { shim: executable, start } = installDaemon(node, { shim: { delWait: '1' } })
      const daemon = await start()
      const pod = await node.pod()
      const before = await node.watch(pod)
      if (verb === 'DEL') assertAdded(await pod.run('ADD', { executable }))
      const gate = { blockBefore: 'gate' }
      node.behave(node.alpha, verb === 'ADD' ? { add: gate } : { del: gate })
      const running = pod.start(verb, { executable })
      await node.alpha.reached(1, verb)
      daemon.kill('SIGSTOP')
      node.alpha.release('gate')
      await delay(200)
      running.kill('SIGTERM')
      await delay(1000)
      running.kill('SIGKILL')
      await running.finished
      assertDone(await pod.run('DEL', { executable }))
      daemon.kill('SIGCONT')
      assertDone(await pod.run('DEL', { executable }))
      await assertNothingButStatus(node, before, pod)
      assert.is(await daemon.stop(), 0)
    })
  }
})
