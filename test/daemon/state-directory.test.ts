import { setTimeout } from 'node:timers/promises'
import * as assert from 'uvu/assert'
import { mountState } from '../plugin/mounted-state.ts'
import { assertAdded, assertDone, assertRefused, type StubNode, stubNode } from '../plugin/stub-node.ts'
import { eventually, installDaemon } from '../rig/daemon.ts'
import { assertNothingLeft } from '../rig/leftovers.ts'
import { filesBelow } from '../rig/state-files.ts'
import { spec } from '../spec.ts'

/** Who serves a DEL. */
const SERVED = [
  ['the daemon', true],
  ['the shim alone', false],
] as const

/** A node whose state directory is a small file system of its own, with shim and daemon that see it. */
async function mountedNode(options: string) {
  const node = await stubNode()
  const installed = installDaemon(node, { shim: { delWait: '0' } })
  const state = await mountState(node.stateDir, options, installed.shim)
  return {
    node,
    state,
    call: { executable: state.executable },
    start: () => installed.start({ wrap: state.enter }),
  }
}

const stepsSince = (node: StubNode, count: number): string[] => node.steps().slice(count)
const UNDONE = ['beta DEL net2', 'alpha DEL net1', 'primary DEL eth0']

spec('a state directory in trouble, through shim and daemon', (it) => {
  for (const [who, isServed] of SERVED) {
    it(`read-only: ADD is refused before any delegate, DEL by ${who} works, and the record goes when it can`, async () => {
      const { node, state, call, start } = await mountedNode('size=4m')
      const daemon = await start()
      const [pod, other] = [await node.pod(), await node.pod({ name: 'other' })]
      const before = await node.watch(pod, other)
      assertAdded(await pod.run('ADD', call))
      // Nothing may be open to be written any more.
      await eventually(() => state.remount('ro'))
      assertRefused(await other.run('ADD', call), 5, `state directory ${node.stateDir}`, 'writable')
      assert.equal(stepsSince(node, 3), [])
      if (!isServed) daemon.kill('SIGKILL')
      const deleted = await pod.run('DEL', call)
      assertDone(deleted)
      assert.ok(deleted.durationMs < 5000, `${deleted.durationMs} ms`)
      assert.equal(stepsSince(node, 3), UNDONE)
      await eventually(() => assertNothingLeft(before))
      await state.remount('rw')
      const again = isServed ? daemon : await start()
      assertDone(await pod.run('DEL', call))
      assertDone(await other.run('DEL', call))
      await eventually(() => assertNothingLeft(before))
      await eventually(() => assert.equal(filesBelow(state.visible), []))
      await again.stop()
    })

    for (const what of ['space', 'inodes'] as const) {
      it(`full (${what}): ADD is refused before any delegate, DEL by ${who} leaves nothing`, async () => {
        const { node, state, call, start } = await mountedNode('size=128k,nr_inodes=40')
        const daemon = await start()
        const [pod, other] = [await node.pod(), await node.pod({ name: 'other' })]
        const before = await node.watch(pod, other)
        assertAdded(await pod.run('ADD', call))
        const free = await state.fill(what)
        assertRefused(await other.run('ADD', call), 5, `state directory ${node.stateDir}`, 'space and inodes')
        assert.equal(stepsSince(node, 3), [])
        if (!isServed) daemon.kill('SIGKILL')
        assertDone(await other.run('DEL', call))
        const steps = node.steps().length
        assertDone(await pod.run('DEL', call))
        assert.equal(stepsSince(node, steps), UNDONE)
        await eventually(() => assertNothingLeft(before))
        const isOurs = (file: string): boolean => !/^(\.filler|status)\//.test(file)
        await eventually(() => assert.equal(filesBelow(state.visible).filter(isOurs), []))
        await free()
        const again = isServed ? daemon : await start()
        assertAdded(await other.run('ADD', call))
        assertDone(await other.run('DEL', call))
        await eventually(() => assert.equal(filesBelow(state.visible).filter(isOurs), []))
        await eventually(() => assertNothingLeft(before))
        await again.stop()
      })
    }
  }

  it('that fills up during an ADD: it fails whole, what was attached is undone', async () => {
    const { node, state, call, start } = await mountedNode('size=128k')
    const daemon = await start()
    node.behave(node.primary, { add: { blockBefore: 'gate' } })
    const pod = await node.pod()
    const before = await node.watch(pod)
    const adding = pod.start('ADD', call)
    await node.primary.reached(1, 'ADD')
    const free = await state.fill('space')
    // The last page of the journal may have room; what is recorded of this result has none.
    const ips = Array.from({ length: 1000 }, (_, index) => ({
      address: `10.8.${index >> 8}.${index & 255}/16`,
    }))
    node.behave(node.alpha, { add: { result: { cniVersion: '1.0.0', ips } } })
    node.primary.release('gate')
    assertRefused(await adding.finished, 5, 'ENOSPC')
    await eventually(() => assertNothingLeft(before))
    await free()
    assertDone(await pod.run('DEL', call))
    await eventually(() => assert.equal(filesBelow(state.visible), []))
    await eventually(() => assertNothingLeft(before))
    await daemon.stop()
  })

  it('that fills up while networks are attached in parallel: what still runs has ended before it is undone', async () => {
    const { node, state, call, start } = await mountedNode('size=128k')
    const daemon = await start()
    node.behave(node.alpha, { add: { blockBefore: 'gate' } })
    node.behave(node.beta, { add: { blockBefore: 'gate' } })
    const pod = await node.pod()
    const before = await node.watch(pod)
    const adding = pod.start('ADD', { ...call, conf: node.conf({ parallel: true }) })
    await Promise.all([node.alpha.reached(1, 'ADD'), node.beta.reached(1, 'ADD')])
    const free = await state.fill('space')
    const ips = Array.from({ length: 1000 }, (_, index) => ({
      address: `10.8.${index >> 8}.${index & 255}/16`,
    }))
    node.behave(node.alpha, { add: { result: { cniVersion: '1.0.0', ips } } })
    node.alpha.release('gate')
    // Time for an undo that does not wait.
    await setTimeout(1000)
    const undone = node.steps().filter((step) => step.includes('DEL'))
    node.beta.release('gate')
    assertRefused(await adding.finished, 5, 'ENOSPC')
    assert.equal(undone, [])
    await eventually(() => assertNothingLeft(before))
    await free()
    assertDone(await pod.run('DEL', call))
    await eventually(() => assert.equal(filesBelow(state.visible), []))
    await eventually(() => assertNothingLeft(before))
    await daemon.stop()
  })
})
