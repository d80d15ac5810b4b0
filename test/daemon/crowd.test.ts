import * as assert from 'uvu/assert'
import { assertAdded, assertDone, type StubNode, stubNode } from '../plugin/stub-node.ts'
import { eventually, installDaemon } from '../rig/daemon.ts'
import { assertNothingLeft } from '../rig/leftovers.ts'
import type { PlexusRun } from '../rig/plexus.ts'
import { journalFiles, leases } from '../rig/state-files.ts'
import type { TestPod } from '../rig/test-node.ts'
import { spec } from '../spec.ts'
import { watchEffects } from './effects.ts'

const CROWD = 250
/** A kubelet gives a DEL about two minutes. */
const LONGEST_MS = 60_000

/** The waits of production. */
const WAITS = { shim: { addWait: '10', delWait: '2' } }

let node: StubNode
let pods: TestPod[] = []

async function each(work: (pod: TestPod) => Promise<PlexusRun>): Promise<PlexusRun[]> {
  const runs = await Promise.all(pods.map(work))
  for (const { durationMs } of runs) assert.ok(durationMs < LONGEST_MS, `one took ${durationMs} ms`)
  return runs
}

spec('a crowd of pods at once', (it) => {
  it.before(async () => {
    node = await stubNode()
    // One link for each pod: the crowd is at the daemon, not in the kernel.
    node.alpha.behave({ add: { lease: node.leaseDir }, del: { lease: node.leaseDir } })
    pods = await Promise.all(
      Array.from({ length: CROWD }, (_, number) =>
        node.pod({ name: `pod-${number}`, networks: 'alpha-net' }),
      ),
    )
  })

  it('250 pods are added and deleted at once', async () => {
    const { shim: executable, start } = installDaemon(node, WAITS)
    const before = await watchEffects(node)
    const daemon = await start()
    for (const run of await each((pod) => pod.run('ADD', { executable }))) assertAdded(run)
    assert.is(leases(node.leaseDir).length, 2 * CROWD)
    assert.is(journalFiles(node.stateDir).length, CROWD)
    for (const run of await each((pod) => pod.run('DEL', { executable }))) assertDone(run)
    // A daemon that is busy for longer than delWait leaves its DELs to the shim, and the network-status behind.
    await eventually(() => assertNothingLeft(before))
    assert.is(await daemon.stop(), 0)
  })

  it('250 pods are deleted at once without a daemon', async () => {
    const { shim: executable, start } = installDaemon(node, WAITS)
    const before = await watchEffects(node)
    const daemon = await start()
    for (const run of await each((pod) => pod.run('ADD', { executable }))) assertAdded(run)
    assert.is(await daemon.stop(), 0)
    for (const run of await each((pod) => pod.run('DEL', { executable }))) assertDone(run)
    await eventually(() => assertNothingLeft(before))
  })

  it('250 pods are deleted at once while the daemon dies', async () => {
    const { shim: executable, start } = installDaemon(node, WAITS)
    const before = await watchEffects(node)
    const daemon = await start()
    for (const run of await each((pod) => pod.run('ADD', { executable }))) assertAdded(run)
    const deleting = each((pod) => pod.run('DEL', { executable }))
    await eventually(() => assert.ok(leases(node.leaseDir).length < 1.5 * CROWD), LONGEST_MS)
    daemon.kill('SIGKILL')
    await daemon.ended
    for (const run of await deleting) assertDone(run)
    // A record is removed after the answer of its DEL: what this daemon did not come to, the next one does.
    const next = await start()
    await eventually(() => assertNothingLeft(before))
    assert.is(await next.stop(), 0)
  })
})
