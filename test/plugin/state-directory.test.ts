import { chmodSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { assertNothingLeft, snapshot } from '../rig/leftovers.ts'
import { filesBelow } from '../rig/state-files.ts'
import { spec } from '../spec.ts'
import { mountState } from './mounted-state.ts'
import { assertAdded, assertDone, assertRefused, stubNode } from './stub-node.ts'

spec('a state directory that cannot be used', (it) => {
  it('a file in its place: ADD is refused before any delegate, DEL frees the default network', async () => {
    const node = await stubNode()
    writeFileSync(node.stateDir, 'not a folder')
    const pod = await node.pod()
    const before = await snapshot({ netns: [node.host, pod.netns], leases: [node.leaseDir] })
    assertRefused(await pod.run('ADD'), 5, `state directory ${node.stateDir}`, /ENOTDIR|EEXIST/)
    assert.equal(node.steps(), [])
    assertDone(await pod.run('DEL'))
    assert.equal(node.steps(), ['primary DEL eth0'])
    await assertNothingLeft(before)
    assert.is(readFileSync(node.stateDir, 'utf8'), 'not a folder')
  })

  for (const inner of ['locks', 'sandboxes']) {
    it(`a file in place of ${inner}/: the same`, async () => {
      const node = await stubNode()
      mkdirSync(node.stateDir)
      writeFileSync(join(node.stateDir, inner), '')
      const pod = await node.pod()
      const before = await node.watch(pod)
      assertRefused(await pod.run('ADD'), 5, `state directory ${node.stateDir}`)
      assert.equal(node.steps(), [])
      assertDone(await pod.run('DEL'))
      await assertNothingLeft(before)
      rmSync(join(node.stateDir, inner))
      assertAdded(await pod.run('ADD'))
      assertDone(await pod.run('DEL'))
      await node.assertClean(before)
    })
  }

  it('a folder in place of a journal: ADD is refused, DEL says what is wrong, nothing is attached', async () => {
    const node = await stubNode()
    const pod = await node.pod()
    const path = join(node.stateDir, 'sandboxes', pod.containerId, 'eth0')
    mkdirSync(path, { recursive: true })
    assertRefused(await pod.run('ADD'), 5, `journal ${path} cannot be read`)
    assertRefused(await pod.run('DEL'), 5, `journal ${path} cannot be read`)
    assert.equal(node.steps(), [])
  })

  it('files and folders are for root alone, whatever the umask', async () => {
    const node = await stubNode()
    const pod = await node.pod()
    assertAdded(await pod.run('ADD'))
    const mode = (path: string): number => statSync(join(node.stateDir, path)).mode & 0o777
    for (const file of filesBelow(node.stateDir)) assert.is(mode(file), 0o600, file)
    for (const folder of [
      '',
      'locks',
      'sandboxes',
      `sandboxes/${pod.containerId}`,
      'status',
      'status/default',
    ]) {
      assert.is(mode(folder), 0o700, folder)
    }
    chmodSync(node.stateDir, 0o700)
    assertDone(await pod.run('DEL'))
  })
})

spec('a state directory on a file system in trouble', (it) => {
  it('CNI-108 read-only: ADD is refused before any delegate, DEL works, and the record goes when it can', async () => {
    const node = await stubNode()
    const state = await mountState(node.stateDir, 'size=4m')
    const call = { executable: state.executable }
    const [pod, other] = [await node.pod(), await node.pod({ name: 'other' })]
    const before = await node.watch(pod, other)
    assertAdded(await pod.run('ADD', call))
    await state.remount('ro')
    assertRefused(await other.run('ADD', call), 5, `state directory ${node.stateDir}`, 'EROFS', 'writable')
    assert.equal(node.steps().slice(3), [])
    const deleted = await pod.run('DEL', call)
    assertDone(deleted)
    assert.match(deleted.stderr, 'EROFS')
    assert.equal(node.steps().slice(3), ['beta DEL net2', 'alpha DEL net1', 'primary DEL eth0'])
    await assertNothingLeft(before)
    await state.remount('rw')
    assertDone(await pod.run('DEL', call))
    await assertNothingLeft(before)
    assert.equal(filesBelow(state.visible), [])
  })

  for (const what of ['space', 'inodes'] as const) {
    it(`full (${what}): ADD is refused before any delegate; DEL of what was attached before leaves nothing`, async () => {
      const node = await stubNode()
      const state = await mountState(node.stateDir, 'size=128k,nr_inodes=40')
      const call = { executable: state.executable }
      const [pod, other] = [await node.pod(), await node.pod({ name: 'other' })]
      const before = await node.watch(pod, other)
      assertAdded(await pod.run('ADD', call))
      const free = await state.fill(what)
      assertRefused(
        await other.run('ADD', call),
        5,
        `state directory ${node.stateDir}`,
        'ENOSPC',
        'space and inodes',
      )
      assert.equal(node.steps().slice(3), [])
      assertDone(await other.run('DEL', call))
      assert.equal(node.steps().slice(3), ['primary DEL eth0'])
      assertDone(await pod.run('DEL', call))
      assert.equal(node.steps().slice(4), ['beta DEL net2', 'alpha DEL net1', 'primary DEL eth0'])
      await assertNothingLeft(before)
      const isFiller = (file: string): boolean => file.startsWith('.filler/')
      assert.equal(
        filesBelow(state.visible).filter((file) => !isFiller(file)),
        [],
      )
      await free()
      assertAdded(await other.run('ADD', call))
      assertDone(await other.run('DEL', call))
      assert.equal(filesBelow(state.visible), [])
      await assertNothingLeft(before)
    })
  }

  it('that fills up during an ADD: it fails whole, what was attached is undone', async () => {
    const node = await stubNode()
    const state = await mountState(node.stateDir, 'size=128k')
    const call = { executable: state.executable }
    node.behave(node.primary, { add: { blockBefore: 'gate' } })
    const pod = await node.pod()
    const before = await node.watch(pod)
    const adding = pod.start('ADD', call)
    await node.primary.reached(1, 'ADD')
    const free = await state.fill('space')
    // Every byte of the last page of the journal may be there already; what is recorded later is bigger.
    node.behave(node.alpha, { add: { result: { cniVersion: '1.0.0', ips: manyIps() } } })
    node.primary.release('gate')
    assertRefused(await adding.finished, 5, 'ENOSPC')
    await assertNothingLeft(before)
    await free()
    assertDone(await pod.run('DEL', call))
    assert.equal(filesBelow(state.visible), [])
    await assertNothingLeft(before)
  })
})

function manyIps(): object[] {
  return Array.from({ length: 1000 }, (_, index) => ({ address: `10.8.${index >> 8}.${index & 255}/16` }))
}
