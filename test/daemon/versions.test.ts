import { execFileSync } from 'node:child_process'
import { copyFileSync, cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { agreedVersion, encodeMessage, PROTOCOL_VERSIONS } from '../../src/executor/protocol.ts'
import { JOURNAL_VERSION } from '../../src/journal/format.ts'
import { openJournalDir } from '../../src/journal/journal.ts'
import { fakeDaemon } from '../native/fake-daemon.ts'
import { testShim } from '../native/shim.ts'
import { assertAdded, assertDone, assertRefused, type StubNode, stubNode } from '../plugin/stub-node.ts'
import { eventually, type Installation, installDaemon } from '../rig/daemon.ts'
import { ROOT } from '../rig/plexus.ts'
import { journalFiles } from '../rig/state-files.ts'
import { forgetCalls } from '../rig/stub.ts'
import { tempDir } from '../rig/temp-dir.ts'
import { spec } from '../spec.ts'

/** A shim of another release, as far as the protocol goes: today's sources with these versions. */
function shimOf(lowest: number, highest: number): string {
  const dir = tempDir(`shim-${lowest}-${highest}`)
  cpSync(join(ROOT, 'native'), join(dir, 'native'), { recursive: true })
  mkdirSync(join(dir, 'scripts'))
  copyFileSync(join(ROOT, 'package.json'), join(dir, 'package.json'))
  // Quick to compile, and a version 0 makes comparisons that are always true.
  const build = readFileSync(join(ROOT, 'scripts/build-native.mjs'), 'utf8')
  writeFileSync(join(dir, 'scripts/build-native.mjs'), build.replace(/, '-Werror'/, '').replace(/-O2/, '-O0'))
  const header = join(dir, 'native/frame.h')
  const text = readFileSync(header, 'utf8')
  const changed = text
    .replace(/LOWEST_PROTOCOL = \d+/, `LOWEST_PROTOCOL = ${lowest}`)
    .replace(/HIGHEST_PROTOCOL = \d+/, `HIGHEST_PROTOCOL = ${highest}`)
  assert.not.equal(changed, text)
  writeFileSync(header, changed)
  execFileSync(process.execPath, [join(dir, 'scripts/build-native.mjs')], { stdio: 'ignore' })
  return join(dir, 'dist/native/plexus')
}

function installWith(node: StubNode, shim: string): Installation {
  const installed = installDaemon(node)
  rmSync(installed.shim)
  copyFileSync(shim, installed.shim)
  return installed
}

const { lowest, highest } = PROTOCOL_VERSIONS
const TOO_NEW = `the plexus daemon speaks protocol ${highest + 7}, the shim ${lowest} to ${highest}`

spec('shim and daemon of different releases', (it) => {
  for (const [title, low, high] of [
    ['the release after, which speaks this one too', highest, highest + 1],
    ['the release before, whose highest is this one', highest - 1, highest],
  ] as const) {
    it(`a shim of ${title}: everything works`, async () => {
      const node = await stubNode()
      const { shim: executable, start } = installWith(node, shimOf(low, high))
      const daemon = await start()
      const pod = await node.pod()
      const before = await node.watch(pod)
      const conf = node.conf({ cniVersion: '1.1.0' })
      assertAdded(await pod.run('ADD', { executable }))
      assertDone(await pod.run('CHECK', { executable }))
      assertDone(await pod.run('STATUS', { executable, conf }))
      assertDone(await pod.run('GC', { executable, conf }))
      assertDone(await pod.run('DEL', { executable }))
      await eventually(() => node.assertClean(before))
      await daemon.stop()
    })
  }

  it('a shim that has no version in common: error 11 that names both, at once, and nothing happens', async () => {
    const node = await stubNode()
    const { shim: executable, start } = installWith(node, shimOf(highest + 2, highest + 3))
    const daemon = await start()
    const pod = await node.pod()
    const before = await node.watch(pod)
    for (const verb of ['ADD', 'CHECK', 'DEL', 'STATUS', 'GC']) {
      const run = await pod.run(verb, { executable, conf: node.conf({ cniVersion: '1.1.0' }) })
      assertRefused(
        run,
        11,
        `the plexus shim speaks protocol ${highest + 2} to ${highest + 3}, the daemon ${lowest} to ${highest}`,
        'same release',
      )
      assert.ok(run.durationMs < 3000, `${verb}: ${run.durationMs} ms`)
    }
    assert.equal(node.steps(), [])
    await eventually(() => node.assertClean(before))
    await daemon.stop()
  })

  it('a daemon of another release answers in the highest version that both speak', () => {
    const next = { lowest: 1, highest: 2 }
    assert.is(agreedVersion({ lowest: 1, highest: 1 }, next), 1)
    assert.is(agreedVersion({ lowest: 2, highest: 3 }, next), 2)
    assert.is(agreedVersion({ lowest: 0, highest: 0 }, next), undefined)
    assert.is(agreedVersion({ lowest: 3, highest: 4 }, next), undefined)
    assert.is(agreedVersion({ lowest: highest - 1, highest }), highest)
  })

  it('a daemon that answers in a version that the shim does not speak: an error that names both, and DEL goes on alone', async () => {
    const shim = testShim()
    await fakeDaemon(shim.socket, (peer) => peer.send(encodeMessage.hello(highest + 7, '')), false)
    for (const verb of ['ADD', 'GC']) {
      const run = await shim.run(verb)
      assert.is(run.status, 1)
      assert.match(String(run.json?.msg), TOO_NEW)
      assert.ok(run.durationMs < 3000, `${verb}: ${run.durationMs} ms`)
    }
    const deleted = await shim.run('DEL')
    assertDone(deleted)
    assert.match(deleted.stderr, TOO_NEW)
  })
})

spec('a journal of a newer release', (it) => {
  it('every verb leaves it as it is; ADD, CHECK, DEL and GC name both formats, and so does DEL without a daemon', async () => {
    const node = await stubNode()
    const { shim: executable, start } = installDaemon(node, { shim: { delWait: '0', addWait: '0' } })
    const daemon = await start()
    const pod = await node.pod()
    const before = await node.watch(pod)
    assertAdded(await pod.run('ADD', { executable }))
    const path = join(node.stateDir, 'sandboxes', pod.containerId, 'eth0')
    const key = { containerId: pod.containerId, ifName: 'eth0' }
    await eventually(async () => {
      const lookup = openJournalDir(node.stateDir).lookup(key)
      assert.ok('record' in lookup && lookup.record.isPublished)
    })
    const bytes = readFileSync(path)
    const newer = Buffer.from(bytes)
    newer.writeUInt32BE(JOURNAL_VERSION + 8, 4)
    writeFileSync(path, newer)
    forgetCalls(node.binDir)
    const conf = node.conf({ cniVersion: '1.1.0', 'cni.dev/valid-attachments': [] })
    const words = [
      path,
      `has format ${JOURNAL_VERSION + 8}`,
      `reads up to format ${JOURNAL_VERSION}`,
    ] as const
    for (const verb of ['ADD', 'CHECK', 'DEL', 'GC']) {
      assertRefused(await pod.run(verb, { executable, conf }), 11, ...words)
    }
    assert.is(await daemon.stop(), 0)
    assertRefused(await pod.run('DEL', { executable }), 11, ...words)
    assertRefused(await pod.run('ADD', { executable }), 11)
    assertRefused(await pod.run('GC', { executable, conf }), 11)
    assertDone(await pod.run('CHECK', { executable }))
    assert.equal(node.steps(), [])
    assert.equal(journalFiles(node.stateDir), [`${pod.containerId}/eth0`])
    assert.ok(readFileSync(path).equals(newer))
    // Once the release is there that reads it.
    writeFileSync(path, bytes)
    const next = await start()
    assertDone(await pod.run('DEL', { executable }))
    await eventually(() => node.assertClean(before))
    await next.stop()
  })
})
