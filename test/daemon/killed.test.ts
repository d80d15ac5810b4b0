import * as assert from 'uvu/assert'
import { assertAdded, assertDone, assertRefused, stubNode } from '../plugin/stub-node.ts'
import { processesOf } from '../rig/crash.ts'
import { eventually, installDaemon } from '../rig/daemon.ts'
import { spec } from '../spec.ts'

spec('daemon or shim killed in the middle', (it) => {
  for (const [where, add] of [
    ['before', { blockBefore: 'gate' }],
    ['after', { blockAfter: 'gate' }],
  ] as const) {
    it(`daemon killed during ADD, ${where} the delegate's effects: error 11, and the next DEL is clean`, async () => {
      const node = await stubNode()
      const { shim: executable, start } = installDaemon(node)
      node.behave(node.alpha, { add: { ...add, link: 'veth', lease: node.leaseDir } })
      const first = await start()
      const pod = await node.pod()
      const before = await node.watch(pod)
      const adding = pod.start('ADD', { executable })
      await node.alpha.reached(1, 'ADD')
      first.kill('SIGKILL')
      await first.ended
      node.alpha.release('gate')
      assertRefused(await adding.finished, 11, 'recorded and undone at DEL')
      const second = await start()
      assertDone(await pod.run('DEL', { executable }))
      await eventually(() => node.assertClean(before))
      await second.stop()
    })
  }

  it('daemon killed during DEL: the shim goes on by itself', async () => {
    const node = await stubNode()
    const { shim: executable, start } = installDaemon(node)
    const first = await start()
    const pod = await node.pod()
    assertAdded(await pod.run('ADD', { executable }))
    node.behave(node.alpha, { del: { blockBefore: 'gate', link: 'veth', lease: node.leaseDir } })
    const deleting = pod.start('DEL', { executable })
    await node.alpha.reached(1, 'DEL')
    first.kill('SIGKILL')
    await first.ended
    node.alpha.release('gate')
    assertDone(await deleting.finished)
    // A guard may need a moment to end.
    await eventually(() => assert.equal(processesOf(pod.containerId, node.stateDir), []))
    const second = await start()
    assertDone(await pod.run('DEL', { executable }))
    await second.stop()
  })

  for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
    it(`shim ended by ${signal} while a delegate runs: nothing of it stays after DEL`, async () => {
      const node = await stubNode()
      const { shim: executable, start } = installDaemon(node)
      const daemon = await start()
      const pod = await node.pod()
      const before = await node.watch(pod)
      node.behave(node.alpha, { add: { hang: true, lease: node.leaseDir, ignoreTerm: true } })
      const adding = pod.start('ADD', { executable })
      await node.alpha.reached(1, 'ADD')
      adding.kill(signal)
      const run = await adding.finished
      // Not by a count of calls: the one that was ended may not have counted itself yet.
      node.behave(node.alpha, {})
      if (signal === 'SIGTERM') assert.is(run.status, 1)
      assertDone(await pod.run('DEL', { executable }))
      await eventually(() => {
        assert.equal(processesOf(pod.containerId, node.stateDir), [])
      })
      await eventually(() => node.assertClean(before))
      assertAdded(await pod.run('ADD', { executable }))
      assertDone(await pod.run('DEL', { executable }))
      await daemon.stop()
    })
  }
})
