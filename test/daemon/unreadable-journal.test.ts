import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { assertAdded, assertDone, assertRefused, stubNode } from '../plugin/stub-node.ts'
import { eventually, installDaemon } from '../rig/daemon.ts'
import { filesBelow, leases } from '../rig/state-files.ts'
import { spec } from '../spec.ts'

/** A record that no read gets at, as after an I/O error: its DEL fails, and nobody else's. */
function makeUnreadable(stateDir: string, containerId: string): string {
  const path = join(stateDir, 'sandboxes', containerId, 'eth0')
  mkdirSync(path, { recursive: true, mode: 0o700 })
  return path
}

spec('a journal that cannot be read', (it) => {
  it('is an error for its own container, by the daemon and by the shim alone', async () => {
    const node = await stubNode()
    const { shim: executable, start } = installDaemon(node, { shim: { delWait: '0' } })
    const daemon = await start()
    const pod = await node.pod()
    const path = makeUnreadable(node.stateDir, pod.containerId)
    assertRefused(await pod.run('ADD', { executable }), 5, path, 'cannot be read')
    assertRefused(await pod.run('DEL', { executable }), 5, path, 'cannot be read')
    await daemon.stop()
    assertRefused(await pod.run('DEL', { executable }), 5, path, 'cannot be read')
    assert.equal(node.steps(), [])
  })

  it('holds up no other: ADD and DEL, a DEL of which nothing is recorded, errands', async () => {
    const node = await stubNode()
    const { shim: executable, start } = installDaemon(node, { conf: { errandInterval: 0.2 } })
    // Before all others in the order of names.
    makeUnreadable(node.stateDir, '0-unreadable')
    const daemon = await start()
    const pod = await node.pod()
    assertDone(await pod.run('DEL', { executable }))
    assert.equal(node.steps(), ['primary DEL eth0'])
    assertAdded(await pod.run('ADD', { executable }))
    node.behave(node.alpha, { del: { error: { code: 117, msg: 'not now' }, calls: [1, 1] } })
    assertRefused(await pod.run('DEL', { executable }), 117)
    await eventually(async () => {
      assertDone(await pod.run('STATUS', { executable, conf: node.conf({ cniVersion: '1.1.0' }) }))
      assert.equal(filesBelow(join(node.stateDir, 'sandboxes')), [])
    }, 30_000)
    assert.equal(leases(node.leaseDir), [])
    await daemon.stop()
  })
})
