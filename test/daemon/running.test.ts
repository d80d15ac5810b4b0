import { setTimeout as delay } from 'node:timers/promises'
import * as assert from 'uvu/assert'
import { assertAdded, assertDone, assertRefused, stubNode } from '../plugin/stub-node.ts'
import { eventually, installDaemon } from '../rig/daemon.ts'
import { journalFiles, leases } from '../rig/state-files.ts'
import { spec } from '../spec.ts'

spec('a daemon while it runs', (it) => {
  it('tells of itself: readiness, metrics, and one log line of at most 2 KiB for a request', async () => {
    const node = await stubNode()
    const { shim: executable, start } = installDaemon(node)
    const daemon = await start()
    assert.equal(await daemon.get('/healthz'), { status: 200, body: 'ok\n' })
    assert.equal(await daemon.get('/readyz'), { status: 200, body: 'ready\n' })
    assert.is((await daemon.get('/other')).status, 404)
    const pod = await node.pod()
    assertAdded(await pod.run('ADD', { executable }))
    node.behave(node.beta, { del: { error: { code: 105, msg: 'x'.repeat(8000) }, calls: [1, 1] } })
    assertRefused(await pod.run('DEL', { executable }), 105)
    assertDone(await pod.run('DEL', { executable }))
    // A request is counted and told of after its answer, and the journal is not counted anew at each look.
    await eventually(async () => {
      const { body } = await daemon.get('/metrics')
      assert.match(body, 'plexus_requests_total{command="ADD",code="0"} 1')
      assert.match(body, 'plexus_requests_total{command="DEL",code="0"} 1')
      assert.match(body, 'plexus_delegate_duration_seconds_count{plugin="alpha",command="ADD"} 1')
      assert.match(body, 'plexus_journal_records 0')
      const requests = daemon.log().filter(({ command }) => command !== undefined)
      assert.equal(
        requests.map(({ command }) => command),
        ['ADD', 'DEL', 'DEL'],
      )
      assert.is(requests[0]?.pod, 'default/pod-a')
    }, 60_000)
    for (const line of daemon.lines()) assert.ok(Buffer.byteLength(line) <= 2048, `${line.length} characters`)
    assert.is(await daemon.stop(), 0)
  })

  it('an undo that failed delAttempts times is done later with the help of another request', async () => {
    const node = await stubNode({ delAttempts: 2 })
    const { shim: executable, start } = installDaemon(node, { conf: { errandInterval: 0.2 } })
    const daemon = await start()
    const pod = await node.pod()
    assertAdded(await pod.run('ADD', { executable }))
    // More than this test's requests and errands can use up before it is told otherwise.
    node.behave(node.alpha, { del: { error: { code: 105, msg: 'not now' } } })
    assert.is((await pod.run('DEL', { executable })).status, 1)
    assertDone(await pod.run('DEL', { executable }))
    assert.is(journalFiles(node.stateDir).length, 1)
    node.behave(node.alpha, {})
    await eventually(async () => {
      const other = await node.pod({ name: 'pod-b' })
      assertDone(await other.run('DEL', { executable }))
      await delay(300)
      assert.equal(journalFiles(node.stateDir), [])
    }, 30_000)
    assert.equal(leases(node.leaseDir), [])
    await eventually(async () =>
      assert.match((await daemon.get('/metrics')).body, 'plexus_errands_total{outcome="undone"} 1'),
    )
    await daemon.stop()
  })

  it('an undo that the runtime has repeated itself is no errand any more, and leaves no lock file', async () => {
    const node = await stubNode()
    const { shim: executable, start } = installDaemon(node, { conf: { errandInterval: 0.2 } })
    const daemon = await start()
    const pod = await node.pod()
    const other = await node.pod({ name: 'pod-b' })
    const before = await node.watch(pod, other)
    assertAdded(await pod.run('ADD', { executable }))
    node.behave(node.alpha, { del: { error: { code: 105, msg: 'not now' } } })
    assert.is((await pod.run('DEL', { executable })).status, 1)
    const pending = async (): Promise<string | undefined> =>
      /^plexus_errands_pending (\d+)$/m.exec((await daemon.get('/metrics')).body)?.[1]
    await eventually(async () => assert.is(await pending(), '1'))
    node.behave(node.alpha, {})
    assertDone(await pod.run('DEL', { executable }))
    await eventually(async () => {
      assertDone(await other.run('DEL', { executable }))
      assert.is(await pending(), '0')
    })
    await eventually(() => node.assertClean(before))
    assert.not.match((await daemon.get('/metrics')).body, 'plexus_errands_total{outcome="undone"} 1')
    await daemon.stop()
  })

  it('a new daemon takes over while the old one drains: no request fails', async () => {
    const node = await stubNode()
    const { shim: executable, start } = installDaemon(node, { shim: { addWait: '10', delWait: '10' } })
    let daemon = await start()
    const pod = await node.pod()
    const before = await node.watch(pod)
    let isOver = false
    let count = 0
    const stream = (async () => {
      while (!isOver) {
        assertAdded(await pod.run('ADD', { executable }))
        assertDone(await pod.run('DEL', { executable }))
        count++
      }
    })()
    const takeOvers = (async () => {
      try {
        for (let turn = 0; turn < 3; turn++) {
          const next = await start()
          assert.is(await daemon.stop(), 0)
          daemon = next
          const done = count
          await eventually(() => assert.ok(count > done + 1), 20_000)
        }
      } finally {
        isOver = true
      }
    })()
    await Promise.all([stream, takeOvers])
    await eventually(() => node.assertClean(before))
    await daemon.stop()
  })
})
