import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { decodeJournal } from '../../src/journal/format.ts'
import { journalFiles } from '../rig/state-files.ts'
import { forgetCalls } from '../rig/stub.ts'
import type { TestPod } from '../rig/test-node.ts'
import { spec } from '../spec.ts'
import { assertAdded, assertDone, assertRefused, type StubNode, stubNode } from './stub-node.ts'

const HEADER_BYTES = 8
const UNDONE = ['beta DEL net2', 'alpha DEL net1', 'primary DEL eth0']

/** A journal of a whole ADD, with the first byte of each of its frames. */
interface WrittenJournal {
  readonly path: string
  readonly bytes: Buffer
  readonly frames: readonly { readonly kind: number; readonly start: number; readonly end: number }[]
}

function readWritten(node: StubNode, pod: TestPod): WrittenJournal {
  const path = join(node.stateDir, 'sandboxes', pod.containerId, 'eth0')
  const bytes = readFileSync(path)
  const frames: { kind: number; start: number; end: number }[] = []
  for (let start = HEADER_BYTES; start < bytes.length; ) {
    const end = start + 4 + bytes.readUInt32BE(start) + 4
    frames.push({ kind: bytes[start + 4] ?? 0, start, end })
    start = end
  }
  assert.is(decodeJournal(bytes).state, 'intact')
  return { path, bytes, frames }
}

function write(path: string, bytes: Buffer): void {
  mkdirSync(join(path, '..'), { recursive: true })
  writeFileSync(path, bytes)
}

/** The files moved aside, which are forgotten again. */
function takeDamaged(node: StubNode): string[] {
  const folder = join(node.stateDir, 'damaged')
  const names = readdirSync(folder)
  rmSync(folder, { recursive: true })
  return names
}

spec('a damaged journal', (it) => {
  it('with a flipped byte in any frame: all is undone all the same, the fault told once, the file kept aside', async () => {
    const node = await stubNode()
    const pod = await node.pod()
    const before = await node.watch(pod)
    assertAdded(await pod.run('ADD'))
    const { path, bytes, frames } = readWritten(node, pod)
    assert.ok(frames.length >= 11, `${frames.length} frames`)
    const places = frames.flatMap(({ start, end }) => [start + 3, (start + end) >> 1, end - 1])
    for (const place of [0, ...places]) {
      const flipped = Buffer.from(bytes)
      flipped[place] = (flipped[place] ?? 0) ^ 0x20
      write(path, flipped)
      forgetCalls(node.binDir)
      const deleted = await pod.run('DEL')
      assertDone(deleted)
      for (const step of UNDONE)
        assert.ok(node.steps().includes(step), `byte ${place}: ${node.steps().join()}`)
      // The last frame is as good as torn, which is normal after a crash.
      if (place >= (frames.at(-1)?.start ?? 0)) continue
      assert.match(deleted.stderr, 'is damaged', `byte ${place}`)
      assert.is(takeDamaged(node).length, 1, `byte ${place}`)
    }
    assertDone(await pod.run('DEL'))
    await node.assertClean(before)
  })

  it('cut off at any length: what it still says was started is undone', async () => {
    const node = await stubNode()
    const pod = await node.pod()
    const before = await node.watch(pod)
    assertAdded(await pod.run('ADD'))
    const { path, bytes, frames } = readWritten(node, pod)
    const firstAppended = frames.findIndex(({ kind }) => kind === 33)
    for (const [index, { start, end }] of frames.entries()) {
      for (const length of [(start + end) >> 1, end]) {
        write(path, bytes.subarray(0, length))
        forgetCalls(node.binDir)
        assertDone(await pod.run('DEL'))
        const isInPlan = index < firstAppended
        const isPlanTorn = isInPlan && !(length === end && index === firstAppended - 1)
        const whole = frames.filter((frame) => frame.end <= length)
        const known = whole.filter(({ kind }) => kind === (isPlanTorn ? 4 : 33)).length
        // The networks in the order of ADD; without a plan the default network is the likeliest.
        const expected = UNDONE.toReversed().slice(0, whole.length === 0 ? 1 : known)
        assert.equal(node.steps().toReversed(), expected, `frame ${index} cut at ${length}`)
        if (isPlanTorn) assert.is(takeDamaged(node).length, 1, `frame ${index} cut at ${length}`)
        assert.equal(journalFiles(node.stateDir), [])
      }
    }
    write(path, bytes)
    assertDone(await pod.run('DEL'))
    await node.assertClean(before)
  })

  it('that is empty, or of another program: DEL of the default network, and the file kept aside', async () => {
    const node = await stubNode()
    const pod = await node.pod()
    const path = join(node.stateDir, 'sandboxes', pod.containerId, 'eth0')
    for (const bytes of [
      Buffer.alloc(0),
      Buffer.from('PLX'),
      Buffer.alloc(5000, 'x'),
      Buffer.from('{"kind":"cniCacheV1"}'),
    ]) {
      write(path, bytes)
      forgetCalls(node.binDir)
      assertDone(await pod.run('DEL'))
      assert.equal(node.steps(), ['primary DEL eth0'])
      assert.is(takeDamaged(node).length, 1)
    }
  })

  it('lets an ADD on the same container through after its undo', async () => {
    const node = await stubNode()
    const pod = await node.pod()
    const before = await node.watch(pod)
    assertAdded(await pod.run('ADD'))
    const { path, bytes, frames } = readWritten(node, pod)
    const flipped = Buffer.from(bytes)
    const middle = ((frames[0]?.start ?? 0) + (frames[0]?.end ?? 0)) >> 1
    flipped[middle] = (flipped[middle] ?? 0) ^ 1
    write(path, flipped)
    forgetCalls(node.binDir)
    assertAdded(await pod.run('ADD'))
    for (const step of UNDONE) assert.ok(node.steps().includes(step))
    takeDamaged(node)
    assertDone(await pod.run('DEL'))
    await node.assertClean(before)
  })
})

spec('a journal of a newer format', (it) => {
  for (const verb of ['DEL', 'ADD', 'CHECK']) {
    it(`${verb} answers error 11 naming both formats, and leaves the file as it is`, async () => {
      const node = await stubNode()
      const pod = await node.pod()
      const before = await node.watch(pod)
      assertAdded(await pod.run('ADD'))
      const { path, bytes } = readWritten(node, pod)
      const newer = Buffer.from(bytes)
      newer.writeUInt32BE(7, 4)
      write(path, newer)
      forgetCalls(node.binDir)
      assertRefused(await pod.run(verb), 11, 'has format 7', 'reads up to format 1', path)
      assert.equal(node.steps(), [])
      assert.ok(readFileSync(path).equals(newer))
      write(path, bytes)
      assertDone(await pod.run('DEL'))
      await node.assertClean(before)
    })
  }

  it('GC tells of it, and collects the others', async () => {
    const node = await stubNode({ cniVersion: '1.1.0' })
    const [pod, stale] = [await node.pod(), await node.pod({ name: 'stale' })]
    assertAdded(await pod.run('ADD'))
    assertAdded(await stale.run('ADD'))
    const { path, bytes } = readWritten(node, pod)
    const newer = Buffer.from(bytes)
    newer.writeUInt32BE(7, 4)
    write(path, newer)
    const conf = node.conf({
      'cni.dev/valid-attachments': [{ containerID: pod.containerId, ifname: 'eth0' }],
    })
    assertRefused(await pod.run('GC', { conf }), 11, 'has format 7')
    assert.equal(journalFiles(node.stateDir), [`${pod.containerId}/eth0`])
  })
})
