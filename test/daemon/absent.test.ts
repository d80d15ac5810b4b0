import * as assert from 'uvu/assert'
import { assertAdded, assertDone, assertRefused, stubNode } from '../plugin/stub-node.ts'
import { eventually, installDaemon } from '../rig/daemon.ts'
import { filesBelow, journalFiles, leases } from '../rig/state-files.ts'
import { spec } from '../spec.ts'

spec('requests without a daemon', (it) => {
  it('each verb has its answer in bounded time, and DEL undoes what the daemon has recorded', async () => {
    const node = await stubNode()
    const { shim: executable, start } = installDaemon(node, { shim: { addWait: '1', delWait: '1' } })
    const daemon = await start()
    const pod = await node.pod()
    assertAdded(await pod.run('ADD', { executable }))
    const other = await node.pod({ name: 'pod-b' })
    assert.is(await daemon.stop(), 0)

    const added = await other.run('ADD', { executable })
    assertRefused(added, 11, 'does not answer')
    assert.ok(added.durationMs >= 950 && added.durationMs < 8000, `${added.durationMs} ms`)
    const checked = await pod.run('CHECK', { executable })
    assertDone(checked)
    assert.match(checked.stderr, 'CHECK is left out')
    const patient = installDaemon(node, { shim: { addWait: '60', delWait: '60' } }).shim
    const status = await pod.run('STATUS', { executable: patient, conf: node.conf({ cniVersion: '1.1.0' }) })
    assertRefused(status, 50, 'does not answer')
    assert.ok(status.durationMs < 10_000, `${status.durationMs} ms`)
    assertRefused(await pod.run('GC', { executable, conf: { ...node.conf(), cniVersion: '1.1.0' } }), 11)
    const deleted = await pod.run('DEL', { executable })
    assertDone(deleted)
    assert.ok(deleted.durationMs < 10_000, `${deleted.durationMs} ms`)
    assert.equal(node.steps().slice(-3), ['beta DEL net2', 'alpha DEL net1', 'primary DEL eth0'])
    assertDone(await other.run('DEL', { executable }))
    await eventually(async () => {
      assert.equal(journalFiles(node.stateDir), [])
      assert.equal(leases(node.leaseDir), [])
      assert.equal(
        (await pod.netns.links()).map(({ ifname }) => ifname),
        ['lo'],
      )
    })
    // What the manifest store shows of the pod the shim leaves to the next daemon.
    await (await start()).stop()
    assert.equal(filesBelow(node.stateDir), [])
  })

  it('a daemon that comes within addWait serves the ADD that waits', async () => {
    const node = await stubNode()
    const { shim: executable, start } = installDaemon(node, { shim: { addWait: '20' } })
    const pod = await node.pod()
    const before = await node.watch(pod)
    const waiting = pod.start('ADD', { executable })
    const daemon = await start()
    assertAdded(await waiting.finished)
    assertDone(await pod.run('DEL', { executable }))
    await eventually(() => node.assertClean(before))
    await daemon.stop()
  })

  it('a socket file that a killed daemon left is taken over', async () => {
    const node = await stubNode()
    const { shim: executable, start } = installDaemon(node)
    const first = await start()
    first.kill('SIGKILL')
    await first.ended
    const second = await start()
    assertDone(
      await (await node.pod()).run('STATUS', { executable, conf: node.conf({ cniVersion: '1.1.0' }) }),
    )
    await second.stop()
  })
})
