import { spawn } from 'node:child_process'
import { closeSync, existsSync, openSync } from 'node:fs'
import { connect } from 'node:net'
import * as assert from 'uvu/assert'
import { assertAdded, assertDone, stubNode } from '../plugin/stub-node.ts'
import { ask, eventually, installDaemon } from '../rig/daemon.ts'
import { freePort } from '../rig/free-port.ts'
import { PLEXUS } from '../rig/plexus.ts'
import { atEnd } from '../rig/teardown.ts'
import { spec } from '../spec.ts'

spec('the end of a daemon', (it) => {
  it('SIGTERM: not ready, nothing new, what is under way is finished, then 0', async () => {
    const node = await stubNode()
    const { shim: executable, socket, start } = installDaemon(node, { shim: { delWait: '0' } })
    const daemon = await start()
    node.behave(node.beta, { add: { blockBefore: 'gate' } })
    const pod = await node.pod()
    const adding = pod.run('ADD', { executable })
    await eventually(() => assert.ok(node.steps().includes('beta ADD net2')))
    const ended = daemon.stop()
    await eventually(async () =>
      assert.equal(await daemon.get('/readyz'), { status: 503, body: 'the daemon is stopping\n' }),
    )
    assert.is((await daemon.get('/healthz')).status, 200)
    await eventually(() => assert.not.ok(existsSync(socket)))
    node.beta.release('gate')
    assertAdded(await adding)
    assert.is(await ended, 0)
    assert.is(daemon.log().at(-1)?.msg, 'daemon has stopped')
    assertDone(await pod.run('DEL', { executable }))
  })

  it('drainTimeout bounds the wait, the exit status tells of what was cut off', async () => {
    const node = await stubNode()
    const { shim: executable, start } = installDaemon(node, {
      conf: { drainTimeout: 0.3 },
      shim: { delWait: '0' },
    })
    const daemon = await start()
    node.behave(node.beta, { add: { sleepMs: 8000, calls: [1, 1] } })
    const pod = await node.pod()
    const before = await node.watch(pod)
    const adding = pod.run('ADD', { executable })
    await eventually(() => assert.ok(node.steps().includes('beta ADD net2')))
    const startMs = performance.now()
    assert.is(await daemon.stop(), 1)
    assert.ok(performance.now() - startMs < 7000)
    assert.is(daemon.log().at(-1)?.cutOff, 1)
    assert.is((await adding).status, 1)
    assertDone(await pod.run('DEL', { executable }))
    await eventually(() => node.assertClean(before))
  })

  it('a second signal ends it at once', async () => {
    const node = await stubNode()
    const { shim: executable, start } = installDaemon(node, { shim: { delWait: '0' } })
    const daemon = await start()
    node.behave(node.beta, { add: { sleepMs: 8000, calls: [1, 1] } })
    const pod = await node.pod()
    const before = await node.watch(pod)
    const adding = pod.run('ADD', { executable })
    await eventually(() => assert.ok(node.steps().includes('beta ADD net2')))
    const startMs = performance.now()
    daemon.kill('SIGINT')
    await eventually(() => assert.ok(daemon.log().some(({ msg }) => msg === 'daemon is stopping')))
    daemon.kill('SIGTERM')
    assert.is(await daemon.ended, 1)
    assert.ok(performance.now() - startMs < 7000)
    await adding
    assertDone(await pod.run('DEL', { executable }))
    await eventually(() => node.assertClean(before))
  })

  it('who connected but has not said hello holds up the end for a second at most', async () => {
    const node = await stubNode()
    const { socket, start } = installDaemon(node)
    const daemon = await start()
    const peers = Array.from({ length: 20 }, () => connect(socket).on('error', () => undefined))
    await Promise.all(peers.map((peer) => new Promise((resolve) => peer.once('connect', resolve))))
    const startMs = performance.now()
    assert.is(await daemon.stop(), 0)
    assert.ok(performance.now() - startMs < 4000)
    for (const peer of peers) peer.destroy()
  })

  for (const [title, code] of [
    ['an exception', 'throw new Error("boom token=hunter2")'],
    ['a rejection', 'void Promise.reject(new Error("boom token=hunter2"))'],
  ] as const) {
    it(`${title} that nothing has caught: its stack in the log, and no half-dead daemon`, async () => {
      const node = await stubNode()
      const { start } = installDaemon(node)
      const module = `data:text/javascript,${encodeURIComponent(`process.on("SIGUSR2",()=>{${code}})`)}`
      const daemon = await start({ wrap: ['/usr/bin/env', `NODE_OPTIONS=--import=${module}`] })
      daemon.kill('SIGUSR2')
      assert.is(await daemon.ended, 1)
      const last = daemon.log().at(-1)
      assert.is(last?.level, 60)
      assert.match(String(last?.stack), /^Error: boom token=\[redacted\]\n +at /)
    })
  }

  it('a log that cannot be written never ends it: full disk, reader gone', async () => {
    const node = await stubNode()
    const port = await freePort()
    const { shim: executable, confFile } = installDaemon(node, {
      conf: { metricsAddress: `127.0.0.1:${port}` },
    })
    for (const kind of ['full', 'gone'] as const) {
      const full = openSync('/dev/full', 'w')
      const child = spawn(PLEXUS, ['daemon', '--config', confFile], {
        env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
        stdio: ['ignore', 'inherit', kind === 'full' ? full : 'pipe'],
      })
      closeSync(full)
      atEnd(() => child.kill('SIGKILL'))
      child.stderr?.destroy()
      const ended = new Promise((resolve) =>
        child.once('exit', (status, signal) => resolve(status ?? signal)),
      )
      await eventually(async () => {
        const response = await ask(`http://127.0.0.1:${port}/readyz`)
        assert.is(response.status, 200)
      })
      const pod = await node.pod({ name: `pod-${kind}` })
      await eventually(async () => assertDone(await pod.run('DEL', { executable })))
      assertAdded(await pod.run('ADD', { executable }))
      assertDone(await pod.run('DEL', { executable }))
      await eventually(async () => {
        const text = await (await ask(`http://127.0.0.1:${port}/metrics`)).text()
        const dropped = Number(/^plexus_log_lines_dropped_total (\d+)$/m.exec(text)?.[1])
        assert.ok(dropped >= 3, `${dropped} lines dropped`)
      })
      child.kill('SIGTERM')
      assert.is(await ended, 0)
    }
  })
})
