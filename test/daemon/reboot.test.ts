import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { isJsonObject, parseJson } from '../../src/cni/json.ts'
import { FrameKind } from '../../src/executor/frame.ts'
import { decodeJournal, encodeHeader, encodeRecord } from '../../src/journal/format.ts'
import { assertAdded, assertDone, stubNode } from '../plugin/stub-node.ts'
import { eventually, installDaemon } from '../rig/daemon.ts'
import { journalFiles, leases } from '../rig/state-files.ts'
import type { TestPod } from '../rig/test-node.ts'
import { spec } from '../spec.ts'

/** A busy machine is slow to start programs. */
const soon = (check: () => void | Promise<void>): Promise<void> => eventually(check, 20_000)

/** Makes a record one of before the last boot: an hour old, and what was not flushed is lost. */
function rebooted(path: string): void {
  const decoded = decodeJournal(readFileSync(path))
  assert.ok(decoded.state === 'intact')
  const records = decoded.frames.flatMap(({ kind, fields }) => {
    if (kind === FrameKind.exec) return [encodeRecord(kind, fields)]
    if (kind !== FrameKind.planned) return []
    const meta = parseJson(String(fields[0]), 'meta')
    assert.ok(isJsonObject(meta))
    const time = new Date(Date.now() - 3_600_000).toISOString()
    return [encodeRecord(kind, [JSON.stringify({ ...meta, time }), ...fields.slice(1, 5), 'another boot'])]
  })
  writeFileSync(path, Buffer.concat([encodeHeader(), ...records]))
}

spec('after the node’s reboot', (it) => {
  it('what pods of before held is free with the first requests, and new pods start', async () => {
    const node = await stubNode()
    const installed = installDaemon(node)
    const { shim: executable } = installed
    const first = await installed.start()
    const old: TestPod[] = []
    for (const name of ['a', 'b', 'c']) {
      const pod = await node.pod({ name, networks: 'alpha-net' })
      assertAdded(await pod.run('ADD', { executable }))
      old.push(pod)
    }
    assert.is(leases(node.leaseDir).length, 6)
    first.kill('SIGKILL')
    await first.ended
    for (const pod of old) await pod.netns.delete()
    for (const file of journalFiles(node.stateDir)) rebooted(join(node.stateDir, 'sandboxes', file))
    // A run directory is empty after a boot.
    rmSync(installed.socket)
    const daemon = await installed.start()
    const pod = await node.pod({ name: 'new', networks: 'alpha-net' })
    assertAdded(await pod.run('ADD', { executable }))
    await soon(() => {
      const held = leases(node.leaseDir)
      assert.equal(
        held.filter((path) => !path.includes(pod.containerId)),
        [],
      )
      assert.is(held.length, 2)
    })
    await soon(() => assert.equal(journalFiles(node.stateDir), [`${pod.containerId}/eth0`]))
    assertDone(await pod.run('DEL', { executable }))
    await daemon.stop()
  })
})
