import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { assertAdded, assertDone, assertRefused, stubNode } from '../plugin/stub-node.ts'
import { compileFixture } from '../rig/compiled-fixture.ts'
import { eventually, installDaemon } from '../rig/daemon.ts'
import { assertNothingLeft } from '../rig/leftovers.ts'
import { ROOT } from '../rig/plexus.ts'
import { leases } from '../rig/state-files.ts'
import { spec } from '../spec.ts'
import { watchEffects } from './effects.ts'

const HOUR_MS = 3600 * 1000

spec('a wall clock that jumps', (it) => {
  it("the daemon's: nothing times out, waits too long or counts as dead by it", async () => {
    const node = await stubNode()
    const { shim: executable, start } = installDaemon(node, {
      conf: { maxConcurrentAdds: 1, errandInterval: 0.1 },
      // A DEL that the shim does alone, since the daemon has no time for it, leaves the status.
      shim: { addWait: '10', delWait: '10' },
    })
    const preload = join(ROOT, 'test/fixtures/clock/jumping.cjs')
    const daemon = await start({ wrap: ['env', `NODE_OPTIONS=--require=${preload}`] })
    const alive = await node.pod({ name: 'alive' })
    const pods = await Promise.all(
      Array.from({ length: 8 }, (_, number) => node.pod({ name: `pod-${number}` })),
    )
    const before = await node.watch(alive, ...pods)
    assertAdded(await alive.run('ADD', { executable }))
    const taken = leases(node.leaseDir)
    // Long enough for turns, limits and errands to be looked at often.
    node.behave(node.alpha, { add: { sleepMs: 150 }, del: { sleepMs: 50 } })
    for (let round = 0; round < 3; round++) {
      const added = await Promise.all(pods.map((pod) => pod.run('ADD', { executable })))
      const checked = await Promise.all(pods.map((pod) => pod.run('CHECK', { executable })))
      const deleted = await Promise.all(pods.map((pod) => pod.run('DEL', { executable })))
      for (const run of added) assertAdded(run)
      for (const run of [...checked, ...deleted]) assertDone(run)
      for (const { durationMs } of [...added, ...checked, ...deleted]) {
        assert.ok(durationMs < 30_000, `${durationMs} ms`)
      }
    }
    await eventually(() => assert.equal(leases(node.leaseDir), taken))
    assertDone(await alive.run('CHECK', { executable }))
    const body = (await daemon.get('/metrics')).body
    assert.not.match(body, /plexus_errands_total\{/)
    assertDone(await alive.run('DEL', { executable }))
    await eventually(() => node.assertClean(before))
    assert.is(await daemon.stop(), 0)
    const times = daemon.log().map(({ time }) => Date.parse(String(time)))
    assert.ok(Math.max(...times) - Math.min(...times) > HOUR_MS, 'its clock did not jump')
  })

  it("the shim's: it never looks at it, with a daemon and without", async () => {
    const executable = compileFixture('clock/no-wall-clock.c')
    const watched = (program: string) => ({ PLEXUS_NO_WALL_CLOCK_RUN: program })
    assert.is(spawnSync(executable, { env: watched('/bin/date') }).signal, 'SIGSYS')

    const node = await stubNode()
    const { shim, start } = installDaemon(node, { shim: { addWait: '1', delWait: '1' } })
    const call = { executable, env: watched(shim) }
    const daemon = await start()
    const pod = await node.pod()
    const other = await node.pod({ name: 'pod-b' })
    const before = await watchEffects(node, pod, other)
    assertAdded(await pod.run('ADD', call))
    assertDone(await pod.run('CHECK', call))
    assertDone(await pod.run('DEL', call))
    await eventually(() => node.assertClean(before))
    assertAdded(await pod.run('ADD', call))
    assert.is(await daemon.stop(), 0)

    const added = await other.run('ADD', call)
    assertRefused(added, 11, 'does not answer')
    assert.ok(added.durationMs > 900 && added.durationMs < 10_000, `${added.durationMs} ms`)
    const deleted = await pod.run('DEL', call)
    assertDone(deleted)
    assert.ok(deleted.durationMs < 10_000, `${deleted.durationMs} ms`)
    assertDone(await other.run('DEL', call))
    await eventually(() => assertNothingLeft(before))
  })
})
