import { execFileSync } from 'node:child_process'
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { assertAdded, assertDone, assertRefused, stubNode } from '../plugin/stub-node.ts'
import { ask, eventually, installDaemon } from '../rig/daemon.ts'
import { freePort } from '../rig/free-port.ts'
import { filesBelow } from '../rig/state-files.ts'
import { atEnd } from '../rig/teardown.ts'
import { tempDir } from '../rig/temp-dir.ts'
import { spec } from '../spec.ts'

/** All that comes back for the bytes sent. */
async function exchange(port: number, bytes: string): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  let text = ''
  socket.setEncoding('latin1').on('data', (chunk) => {
    text += chunk
  })
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject)
    socket.once('close', () => resolve())
    socket.write(bytes)
  })
  return text
}

spec('readiness of the daemon', (it) => {
  it('follows what is wrong and what is right again, and STATUS says the same', async () => {
    const indicator = join(tempDir('indicator'), 'ready')
    writeFileSync(indicator, '')
    const node = await stubNode({ readinessindicatorfile: indicator })
    const { shim: executable, start } = installDaemon(node)
    const daemon = await start()
    const pod = await node.pod()
    const conf = node.conf({ cniVersion: '1.1.0' })
    const ready = async (): Promise<void> => {
      await eventually(async () =>
        assert.equal(await daemon.get('/readyz'), { status: 200, body: 'ready\n' }),
      )
      assertDone(await pod.run('STATUS', { executable, conf }))
    }
    const notReady = async (reason: RegExp): Promise<void> => {
      await eventually(async () => {
        const { status, body } = await daemon.get('/readyz')
        assert.is(status, 503, body)
        assert.match(body, reason)
      }, 30_000)
      assertRefused(await pod.run('STATUS', { executable, conf }), 50, reason)
      assert.match((await daemon.get('/metrics')).body, /^plexus_ready 0$/m)
      assert.is((await daemon.get('/healthz')).status, 200)
    }
    await ready()

    rmSync(indicator)
    await notReady(/readinessindicatorfile .* is missing/)
    writeFileSync(indicator, '')
    await ready()

    renameSync(node.manifests, `${node.manifests}.away`)
    await notReady(/manifests .* cannot be read/)
    renameSync(`${node.manifests}.away`, node.manifests)
    await ready()

    // Only a mount makes it unwritable for root.
    mkdirSync(node.stateDir, { recursive: true })
    const umount = (): void => void execFileSync('umount', [node.stateDir])
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', node.stateDir])
    let isMounted = true
    atEnd(() => {
      if (isMounted) umount()
    })
    writeFileSync(join(node.stateDir, 'filler'), Buffer.alloc(64 * 1024))
    await notReady(/state directory .* cannot be written: .*no space/)
    rmSync(join(node.stateDir, 'filler'))
    await ready()
    // The daemon may just be trying to write there.
    await eventually(() => void execFileSync('mount', ['-o', 'remount,ro', node.stateDir]))
    await notReady(/state directory .* cannot be written: .*read-only/)
    await eventually(umount)
    isMounted = false
    await ready()
    assert.equal(filesBelow(node.stateDir), [])
    // Each turn is told once, not each look.
    await eventually(() => {
      const turns = daemon.log().filter(({ msg }) => /^daemon is (not ready|ready again)$/.test(String(msg)))
      assert.equal(
        turns.map(({ msg }) => msg),
        Array.from({ length: 8 }, (_, index) => `daemon is ${index % 2 === 0 ? 'not ready' : 'ready again'}`),
      )
    })
    assert.is(await daemon.stop(), 0)
  })

  it("judges the default network of the daemon's file at once, the runtime's once it has seen it", async () => {
    const node = await stubNode()
    const { shim: executable, configure, start } = installDaemon(node)
    const daemon = await start()
    const pod = await node.pod()
    assert.is((await daemon.get('/readyz')).status, 200)
    const path = join(node.confDir, '10-none.conf')
    const lost = node.conf({ cniVersion: '1.1.0', delegates: undefined, defaultNetwork: path })
    assertRefused(await pod.run('STATUS', { executable, conf: lost }), 50, path)
    const { status, body } = await daemon.get('/readyz')
    assert.is(status, 503)
    assert.match(body, `${path} does not exist`)
    const good = join(node.confDir, '20-good.conf')
    const network = { cniVersion: '1.0.0', name: 'cluster-net', type: 'primary' }
    writeFileSync(good, JSON.stringify(network))
    configure({ defaultNetwork: good })
    await eventually(async () => assert.is((await daemon.get('/readyz')).status, 200))
    configure({ defaultNetwork: path })
    await eventually(async () => assert.is((await daemon.get('/readyz')).status, 503))
    writeFileSync(path, 'no JSON')
    await eventually(async () => assert.match((await daemon.get('/readyz')).body, /is not JSON/))
    writeFileSync(path, JSON.stringify(network))
    await eventually(async () => assert.is((await daemon.get('/readyz')).status, 200))
    assertAdded(await pod.run('ADD', { executable }))
    assertDone(await pod.run('DEL', { executable }))
    assert.is(await daemon.stop(), 0)
  })

  it('HTTP answers GET and HEAD alone, with bounded headers and time', async () => {
    const node = await stubNode()
    const daemon = await installDaemon(node).start()
    const port = Number(daemon.log().find(({ msg }) => msg === 'daemon is ready')?.httpPort)
    const url = `http://127.0.0.1:${port}`
    const posted = await fetch(`${url}/readyz`, { method: 'POST', body: 'x'.repeat(1024 * 1024) }).catch(
      () => undefined,
    )
    if (posted !== undefined) {
      assert.is(posted.status, 405)
      assert.is(posted.headers.get('allow'), 'GET, HEAD')
    }
    const head = await fetch(`${url}/metrics`, { method: 'HEAD' })
    assert.is(head.status, 200)
    assert.is(await head.text(), '')
    for (const path of ['/', '/metrics/', '/../etc/passwd', '/%2e%2e/etc/passwd', '//metrics'])
      assert.match(
        await exchange(port, `GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`),
        / 404 /,
      )
    assert.match(await exchange(port, `GET / HTTP/1.1\r\nhost: x\r\nx: ${'x'.repeat(9000)}\r\n\r\n`), / 431 /)
    assert.match(await exchange(port, 'no HTTP\r\n\r\n'), / 400 /)
    const start = performance.now()
    assert.match(await exchange(port, 'GET / HTTP/1.1\r\nx: '), / 408 /)
    assert.ok(performance.now() - start < 30_000)
    assert.is((await daemon.get('/healthz')).status, 200)
    assert.is(await daemon.stop(), 0)
  })

  it('a daemon that takes over has the port as soon as it serves, while the old one still runs', async () => {
    const node = await stubNode()
    const metricsAddress = `127.0.0.1:${await freePort()}`
    const { start } = installDaemon(node, { conf: { metricsAddress } })
    const old = await start()
    const next = await start()
    await eventually(() =>
      assert.ok(old.log().some(({ msg }) => String(msg).startsWith('another daemon has taken over'))),
    )
    // What is held up cannot be who answers.
    old.kill('SIGSTOP')
    await eventually(async () => {
      const answer = await ask(`http://${metricsAddress}/readyz`, { signal: AbortSignal.timeout(2000) })
      assert.is(answer.status, 200)
    }, 20_000)
    old.kill('SIGCONT')
    assert.is(await old.stop(), 0)
    assert.is((await ask(`http://${metricsAddress}/healthz`)).status, 200)
    assert.is(await next.stop(), 0)
  })

  it('a port that is taken is told and waited for, an address that cannot be had ends the start', async () => {
    const node = await stubNode()
    const other = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => other.once('listening', resolve))
    const address = other.address()
    const port = typeof address === 'object' ? (address?.port ?? 0) : 0
    const metricsAddress = `127.0.0.1:${port}`
    const { shim: executable, start } = installDaemon(node, { conf: { metricsAddress } })
    const daemon = await start()
    assert.ok(
      daemon.log().some(({ msg }) => String(msg).startsWith(`metricsAddress ${metricsAddress} is in use`)),
    )
    const pod = await node.pod()
    assertAdded(await pod.run('ADD', { executable }))
    assertDone(await pod.run('DEL', { executable }))
    other.close()
    await eventually(async () => assert.is((await ask(`http://${metricsAddress}/readyz`)).status, 200))
    assert.is(await daemon.stop(), 0)
    const elsewhere = installDaemon(node, { conf: { metricsAddress: '192.0.2.1:9097' } })
    const error = await elsewhere.start().then(
      () => 'it started',
      (reason: unknown) => String(reason),
    )
    assert.match(error, /metricsAddress 192\.0\.2\.1:9097 cannot be listened on: .*EADDRNOTAVAIL/)
  })
})
