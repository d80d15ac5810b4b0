import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import * as assert from 'uvu/assert'
import { assertAdded, assertDone, type StubNode, stubNode } from '../plugin/stub-node.ts'
import { eventually, installDaemon } from '../rig/daemon.ts'
import { journalFiles } from '../rig/state-files.ts'
import { forgetCalls } from '../rig/stub.ts'
import type { TestPod } from '../rig/test-node.ts'
import { spec } from '../spec.ts'
import { assertNothingButStatus } from './after-replay.ts'

const HEADER_BYTES = 8
const UNDONE = ['beta DEL net2', 'alpha DEL net1', 'primary DEL eth0']

/** First and last byte of each record, and the one in its middle. */
function placesIn(bytes: Buffer): { places: number[]; last: number } {
  const places: number[] = []
  let last = HEADER_BYTES
  for (let start = HEADER_BYTES; start < bytes.length; ) {
    const end = start + 4 + bytes.readUInt32BE(start) + 4
    places.push(start + 3, start + 4, (start + end) >> 1, end - 1)
    last = start
    start = end
  }
  return { places, last }
}

function journalOf(node: StubNode, pod: TestPod): string {
  return join(node.stateDir, 'sandboxes', pod.containerId, 'eth0')
}

function takeDamaged(node: StubNode): string[] {
  const folder = join(node.stateDir, 'damaged')
  try {
    return readdirSync(folder)
  } catch {
    return []
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

spec('a damaged journal, through shim and daemon', (it) => {
  for (const [who, isServed] of [
    ['the daemon', true],
    ['the shim alone', false],
  ] as const) {
    it(`DEL by ${who}: a flipped byte anywhere, and all is undone, the file kept aside and told of once`, async () => {
      const node = await stubNode()
      const { shim: executable, start } = installDaemon(node, { shim: { delWait: '0' } })
      const daemon = await start()
      const pod = await node.pod()
      const before = await node.watch(pod)
      assertAdded(await pod.run('ADD', { executable }))
      if (!isServed) assert.is(await daemon.stop(), 0)
      const path = journalOf(node, pod)
      const bytes = readFileSync(path)
      const { places, last } = placesIn(bytes)
      // The magic too; a version that is higher is one of a newer release.
      for (const place of [0, 3, ...places]) {
        const flipped = Buffer.from(bytes)
        flipped[place] = (flipped[place] ?? 0) ^ 0x20
        mkdirSync(dirname(path), { recursive: true })
        writeFileSync(path, flipped)
        forgetCalls(node.binDir)
        const deleted = await pod.run('DEL', { executable })
        assertDone(deleted)
        assert.ok(deleted.durationMs < 5000, `byte ${place}: ${deleted.durationMs} ms`)
        for (const step of UNDONE)
          assert.ok(node.steps().includes(step), `byte ${place}: ${node.steps().join()}`)
        // A daemon clears up after its answer.
        await eventually(() => assert.equal(journalFiles(node.stateDir), [], `byte ${place}`))
        // The last record is as good as torn, which is normal after a crash.
        assert.is(takeDamaged(node).length, place >= last ? 0 : 1, `byte ${place}`)
        if (!isServed && place < last) assert.is(deleted.stderr.split('is damaged').length, 2, deleted.stderr)
      }
      await assertNothingButStatus(node, before, pod)
      await daemon.stop()
    })
  }

  it('ADD of the same container undoes it first, and a DEL of its own follows', async () => {
    const node = await stubNode()
    const { shim: executable, start } = installDaemon(node)
    const daemon = await start()
    const pod = await node.pod()
    const before = await node.watch(pod)
    assertAdded(await pod.run('ADD', { executable }))
    const path = journalOf(node, pod)
    const bytes = readFileSync(path)
    bytes[HEADER_BYTES + 20] = (bytes[HEADER_BYTES + 20] ?? 0) ^ 1
    writeFileSync(path, bytes)
    forgetCalls(node.binDir)
    assertAdded(await pod.run('ADD', { executable }))
    for (const step of UNDONE) assert.ok(node.steps().includes(step))
    assert.is(takeDamaged(node).length, 1)
    assertDone(await pod.run('DEL', { executable }))
    await eventually(() => node.assertClean(before))
    await daemon.stop()
  })

  for (const bytes of [Buffer.alloc(0), Buffer.from('PLX'), Buffer.alloc(5000, 'x')]) {
    it(`${bytes.length} bytes that say nothing: DEL is success, the daemon deletes the default network, the file is kept aside`, async () => {
      const node = await stubNode()
      const { shim: executable, start } = installDaemon(node, { shim: { delWait: '0' } })
      const pod = await node.pod()
      const path = journalOf(node, pod)
      for (const isServed of [true, false]) {
        const daemon = isServed ? await start() : undefined
        mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
        writeFileSync(path, bytes)
        forgetCalls(node.binDir)
        assertDone(await pod.run('DEL', { executable }))
        assert.equal(node.steps(), isServed ? ['primary DEL eth0'] : [])
        await eventually(() => assert.is(takeDamaged(node).length, 1))
        await daemon?.stop()
      }
    })
  }
})
