import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import * as assert from 'uvu/assert'
import { assertAdded, assertDone, assertRefused, stubNode } from '../plugin/stub-node.ts'
import { eventually, installDaemon } from '../rig/daemon.ts'
import { snapshot } from '../rig/leftovers.ts'
import { nad } from '../rig/manifests.ts'
import { leases } from '../rig/state-files.ts'
import { stubPlugin } from '../rig/stub.ts'
import { markedProcesses } from '../rig/teardown.ts'
import { testNode } from '../rig/test-node.ts'
import { spec } from '../spec.ts'
import { assertNothingButStatus } from './after-replay.ts'

/** A node whose network `side` is the real bridge plugin with an IPAM plugin that waits before its lease. */
async function slowIpamNode() {
  const node = await testNode()
  const ipam = stubPlugin(node.binDir, 'slow-ipam', {
    add: { ignoreTerm: true, blockBefore: 'gate', lease: node.leaseDir, stdout: '{{ipamResult}}' },
    del: { lease: node.leaseDir },
  })
  node.write(nad({ name: 'side', config: node.bridge(71, { ipam: { type: 'slow-ipam' } }) }))
  for (const name of ['br90', 'br71']) await node.host.exec('ip', ['link', 'add', name, 'type', 'bridge'])
  const pod = await node.pod({ networks: 'side' })
  const watch = () =>
    snapshot({ netns: [node.host, pod.netns], leases: [node.leaseDir], stateDir: node.stateDir })
  return { node, ipam, pod, watch }
}

/** The guard of a shim: the child that carries its name. */
function guardOf(shim: number): number {
  for (const entry of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const stat = readFileSync(`/proc/${entry}/stat`, 'utf8')
      const parent = stat.replace(/^.*\) /s, '').split(' ')[1]
      if (stat.includes('(plexus-guard)') && Number(parent) === shim) return Number(entry)
    } catch {
      // It ended while we looked.
    }
  }
  throw new Error(`shim ${shim} has no guard`)
}

spec('a shim killed -9 while the bridge plugin and its IPAM child run', (it) => {
  for (const isServed of [true, false]) {
    it(`a DEL at once, ${isServed ? 'through the daemon' : 'without one'}, leaves no lease, no link and no process`, async () => {
      const { node, ipam, pod, watch } = await slowIpamNode()
      const { shim: executable, start } = installDaemon(node, { shim: { delWait: '0' } })
      const daemon = await start()
      const before = await watch()
      const adding = pod.start('ADD', { executable })
      const [orphan] = await ipam.reached(1, 'ADD')
      if (!isServed) daemon.kill('SIGKILL')
      adding.kill('SIGKILL')
      const deleted = await pod.run('DEL', { executable })
      assertDone(deleted)
      assert.ok(deleted.durationMs < 10_000, `${deleted.durationMs} ms`)
      assert.ok(orphan !== undefined)
      for (const pid of [orphan.pid, orphan.ppid]) assert.not(markedProcesses().includes(pid))
      // An IPAM plugin that still lived would take its lease now.
      ipam.release('gate')
      assert.is((await adding.finished).signal, 'SIGKILL')
      await assertNothingButStatus({ stateDir: node.stateDir, watch }, before, pod)
      await daemon.stop()
    })
  }

  it('also when its guard was killed before it', async () => {
    const { node, ipam, pod, watch } = await slowIpamNode()
    const { shim: executable, start } = installDaemon(node)
    const daemon = await start()
    const before = await watch()
    const adding = pod.start('ADD', { executable })
    await ipam.reached(1, 'ADD')
    await eventually(async () => {
      process.kill(guardOf(adding.pid), 'SIGKILL')
    })
    adding.kill('SIGKILL')
    await adding.finished
    assertDone(await pod.run('DEL', { executable }))
    // Nobody ends the plugin now; its interface is gone, so it fails and gives its lease back by itself.
    ipam.release('gate')
    await eventually(() => assert.equal(markedProcesses(), []))
    assertDone(await pod.run('DEL', { executable }))
    assert.equal(leases(node.leaseDir), [])
    await assertNothingButStatus({ stateDir: node.stateDir, watch }, before, pod)
    await daemon.stop()
  })
})

spec("a runtime's deadline: SIGTERM, and SIGKILL a second later", (it) => {
  for (const isStubborn of [false, true]) {
    it(`on ADD, ${isStubborn ? 'while the undo hangs too' : 'while a delegate hangs'}: bounded, and the next DEL is clean`, async () => {
      const node = await stubNode()
      const { shim: executable, start } = installDaemon(node)
      const daemon = await start()
      const pod = await node.pod()
      const before = await node.watch(pod)
      const hang = { hang: true, ignoreTerm: true, lease: node.leaseDir }
      node.behave(node.alpha, { add: hang, ...(isStubborn ? { del: hang } : {}) })
      const adding = pod.start('ADD', { executable })
      await node.alpha.reached(1, 'ADD')
      adding.kill('SIGTERM')
      if (isStubborn) await node.alpha.reached(1, 'DEL')
      // On a slow machine what does end needs longer.
      await Promise.race([delay(isStubborn ? 1000 : 30_000, undefined, { ref: false }), adding.finished])
      adding.kill('SIGKILL')
      const run = await adding.finished
      // Not by a count of calls: the one that was ended may not have counted itself yet.
      node.behave(node.alpha, {})
      if (isStubborn) assert.is(run.signal, 'SIGKILL')
      else assertRefused(run, 11, 'the runtime ended the call')
      const deleted = await pod.run('DEL', { executable })
      assertDone(deleted)
      assert.ok(deleted.durationMs < 10_000, `${deleted.durationMs} ms`)
      await eventually(() => assert.equal(markedProcesses(), []))
      await eventually(() => node.assertClean(before))
      await daemon.stop()
    })
  }

  for (const isServed of [true, false]) {
    it(`on DEL, ${isServed ? 'through the daemon' : 'without one'}: the next DEL does the rest`, async () => {
      const node = await stubNode()
      const { shim: executable, start } = installDaemon(node, { shim: { delWait: '0' } })
      const daemon = await start()
      const pod = await node.pod()
      const before = await node.watch(pod)
      assertAdded(await pod.run('ADD', { executable }))
      if (!isServed) assert.is(await daemon.stop(), 0)
      node.behave(node.alpha, { del: { hang: true, ignoreTerm: true } })
      const deleting = pod.start('DEL', { executable })
      await node.alpha.reached(1, 'DEL')
      deleting.kill('SIGTERM')
      await delay(1000)
      deleting.kill('SIGKILL')
      await deleting.finished
      node.behave(node.alpha, {})
      const steps = node.steps().length
      const again = await pod.run('DEL', { executable })
      assertDone(again)
      assert.ok(again.durationMs < 10_000, `${again.durationMs} ms`)
      assert.equal(node.steps().slice(steps), ['alpha DEL net1', 'primary DEL eth0'])
      await eventually(() => assert.equal(markedProcesses(), []))
      await assertNothingButStatus(node, before, pod)
      await daemon.stop()
    })
  }
})
