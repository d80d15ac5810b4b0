import { type StdioOptions, spawnSync } from 'node:child_process'
import { chmodSync, closeSync, openSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import * as assert from 'uvu/assert'
import { parseVersionRequest } from '../../src/cni/request.ts'
import { lockSandbox } from '../../src/journal/lock.ts'
import { stubPlugin } from '../rig/stub.ts'
import { spec } from '../spec.ts'
import { fakeDaemon } from './fake-daemon.ts'
import { type TestShim, testShim } from './shim.ts'

const ANNOTATED = (annotations: object): object => ({
  cniVersion: '1.0.0',
  name: 'plexus-net',
  type: 'plexus',
  runtimeConfig: { 'io.kubernetes.cri.pod-annotations': annotations },
})

/** A fallback that says what it was given, and whether the lock is free. */
function withFallback(): TestShim {
  const shim = testShim()
  const path = join(shim.dir, 'standalone')
  const script = `#!/bin/sh
exec 9<"${shim.stateDir}/locks/pod-1"
flock --nonblock 9 && lock=free || lock=held
echo "{\\"lock\\":\\"$lock\\",\\"command\\":\\"$CNI_COMMAND\\",\\"bytes\\":$(wc -c)}"
`
  writeFileSync(path, script, { mode: 0o755 })
  shim.configure({ addWait: '0', fallback: path })
  return shim
}

spec('shim: without a daemon', (it) => {
  it('ADD waits addWait and is error 11 that names the socket and the wait', async () => {
    const shim = testShim()
    shim.configure({ addWait: '1' })
    const run = await shim.run('ADD')
    assert.is(run.status, 1)
    assert.is(run.json?.code, 11)
    assert.is(run.json?.cniVersion, '1.0.0')
    assert.match(
      String(run.json?.msg),
      `does not answer on ${shim.socket}: No such file or directory; waited 1 s`,
    )
    assert.ok(run.durationMs > 900 && run.durationMs < 15_000, String(run.durationMs))
    assert.equal(readdirSync(join(shim.stateDir, 'locks')), [])
  })

  it('CHECK is success with a warning, STATUS error 50 and GC error 11 at once, DEL without a record success', async () => {
    const shim = testShim()
    shim.configure({ addWait: '60', delWait: '0' })
    const check = await shim.run('CHECK')
    assert.is(check.status, 0)
    assert.match(check.stderr, 'CHECK is left out')
    const status = await shim.run('STATUS')
    assert.is(status.json?.code, 50)
    assert.ok(status.durationMs < 15_000)
    const gc = await shim.run('GC')
    assert.is(gc.json?.code, 11)
    assert.ok(gc.durationMs < 15_000)
    assert.is((await shim.run('DEL')).status, 0)
  })

  it('a daemon that comes within the wait serves the request', async () => {
    const shim = testShim()
    shim.configure({ addWait: '20' })
    const running = shim.start('ADD')
    await sleep(300)
    await fakeDaemon(shim.socket, (peer) => peer.done(0, '{"a":1}'))
    assert.is((await running.finished).stdout, '{"a":1}')
  })

  it('a socket file that nobody listens on is no daemon', async () => {
    const shim = testShim()
    const daemon = await fakeDaemon(shim.socket, (peer) => peer.done())
    daemon.kill()
    shim.configure({ addWait: '1' })
    writeFileSync(shim.socket, '')
    assert.match(String((await shim.run('ADD')).json?.msg), 'Connection refused')
  })

  it('a daemon that dies before anything ran is asked again', async () => {
    const shim = testShim()
    let times = 0
    await fakeDaemon(shim.socket, (peer) => {
      times += 1
      if (times < 3) peer.socket.destroy()
      else peer.done(0, 'third')
    })
    assert.is((await shim.run('ADD')).stdout, 'third')
  })

  it('a daemon that takes the hello and says nothing is given up after the wait', async () => {
    const shim = testShim()
    shim.configure({ addWait: '1', delWait: '1' })
    const daemon = await fakeDaemon(shim.socket, () => undefined, false)
    const run = await shim.run('ADD')
    assert.is(run.json?.code, 11)
    assert.match(String(run.json?.msg), 'the daemon is silent')
    const del = await shim.run('DEL')
    assert.is(del.status, 0)
    assert.ok(run.durationMs < 15_000 && del.durationMs < 15_000)
    assert.is(daemon.hellos.length, 2)
  })

  it('a DEL goes on with the journal when the daemon dies in the middle again and again', async () => {
    const shim = testShim()
    shim.configure({ delWait: '1' })
    const stub = stubPlugin(shim.binDir, 'stub')
    await fakeDaemon(shim.socket, async (peer) => {
      await peer.exec({ command: 'DEL' })
      peer.socket.destroy()
    })
    const run = await shim.run('DEL')
    assert.is(run.status, 0)
    assert.ok(stub.calls().length > 1)
  })

  it('the lock is waited for before the daemon is asked', async () => {
    const shim = testShim()
    shim.configure({ delWait: '0' })
    const lock = await lockSandbox(shim.stateDir, 'pod-1', 1000, false)
    const running = shim.start('DEL')
    await sleep(200)
    lock.release(false)
    assert.is((await running.finished).status, 0)
  })

  it('the fallback gets environment and stdin of a pod without network annotations, and the lock is free', async () => {
    const shim = withFallback()
    const conf = ANNOTATED({ 'kubernetes.io/config.hash': 'a', x: 'a < b & c \u0001 "q"' })
    const run = await shim.run('ADD', { conf })
    assert.is(run.status, 0, run.stdout + run.stderr)
    assert.equal(run.json, { lock: 'free', command: 'ADD', bytes: JSON.stringify(conf).length })
  })

  for (const [title, conf] of [
    ['whose annotations the runtime did not pass', { cniVersion: '1.0.0', name: 'n', type: 'plexus' }],
    ['with a networks annotation', ANNOTATED({ 'k8s.v1.cni.cncf.io/networks': 'a' })],
    ['with a default-network annotation', ANNOTATED({ 'v1.multus-cni.io/default-network': 'a' })],
    ['with an annotation of ours', ANNOTATED({ 'plexus-cni.io/x': 'a' })],
    [
      'with an escaped name',
      JSON.stringify(ANNOTATED({ 'k8s.v1.cni.cncf.io/networks': 'a' })).replaceAll(
        'networks',
        '\\u006eetworks',
      ),
    ],
    [
      'with an escaped slash',
      JSON.stringify(ANNOTATED({ 'k8s.v1.cni.cncf.io/networks': 'a' })).replaceAll('/', '\\/'),
    ],
  ] as const) {
    it(`the fallback is not run for a pod ${title}`, async () => {
      const run = await withFallback().run('ADD', { conf })
      assert.is(run.json?.code, 11)
    })
  }

  it('a fallback that others may write is not run', async () => {
    const shim = withFallback()
    chmodSync(join(shim.dir, 'standalone'), 0o777)
    const run = await shim.run('ADD', { conf: ANNOTATED({}) })
    assert.is(run.json?.code, 11)
    assert.match(run.stderr, 'can be written by others than root')
  })

  it('plexus.shim that others may write is refused', async () => {
    const shim = testShim()
    chmodSync(join(shim.dir, 'plexus.shim'), 0o666)
    const run = await shim.run('ADD')
    assert.is(run.json?.code, 5)
    assert.match(String(run.json?.msg), 'plexus.shim is refused')
  })

  for (const [title, keys] of [
    ['a relative path', { socket: 'run/plexus.sock' }],
    ['a wait that is no number', { addWait: '1s' }],
    ['a socket path that is too long', { socket: `/${'x'.repeat(120)}` }],
  ] as const) {
    it(`plexus.shim with ${title} is an error`, async () => {
      const shim = testShim()
      shim.configure(keys)
      assert.is((await shim.run('ADD')).json?.code, 7)
    })
  }

  it('without plexus.shim the defaults hold', async () => {
    const shim = testShim()
    rmSync(join(shim.dir, 'plexus.shim'))
    assert.match(String((await shim.run('STATUS')).json?.msg), '/run/plexus/plexus.sock')
  })

  for (const [title, env, words] of [
    ['no container ID', { CNI_CONTAINERID: undefined }, 'required env variables [CNI_CONTAINERID] missing'],
    ['a path as container ID', { CNI_CONTAINERID: '../x' }, 'invalid characters in CNI_CONTAINERID'],
    ['a long container ID', { CNI_CONTAINERID: 'x'.repeat(201) }, 'at most 200'],
    ['a path as interface', { CNI_IFNAME: 'a/b' }, 'contains "/"'],
    ['dots as interface', { CNI_IFNAME: '..' }, 'is a directory name'],
    ['a long interface', { CNI_IFNAME: 'x'.repeat(16) }, 'more than 15 bytes'],
    ['64 KiB of variables', { CNI_ARGS: 'x'.repeat(65_536) }, 'exceed 64 KiB'],
  ] as const) {
    it(`CNI-005 ${title} is error 4 without the daemon`, async () => {
      const shim = testShim()
      const daemon = await fakeDaemon(shim.socket, (peer) => peer.done())
      const run = await shim.run('DEL', { env })
      assert.is(run.json?.code, 4, run.stdout)
      assert.match(String(run.json?.msg), words)
      assert.is(daemon.hellos.length, 0)
    })
  }

  for (const conf of [
    '{"cniVersion":"0.3.1"}',
    '{"delegates":[{"cniVersion":"0.3.1"}],"x":"\\"cniVersion\\":\\"0.2.0\\"", "cniVersion" : "0.4.0"}',
    '{"cniVersion":"9.0.0"}',
    '',
    'no json',
  ]) {
    it(`CNI-032 VERSION of ${conf} is answered as by TypeScript, without daemon and environment`, async () => {
      const shim = testShim()
      const run = await shim.run('VERSION', { conf })
      assert.is(run.status, 0)
      assert.equal(run.json, parseVersionRequest(conf))
    })
  }

  it('CNI-032 VERSION with a stdin that is never closed is answered all the same', async () => {
    const run = await testShim().run('VERSION', { conf: '{"cniVersion":"0.4.0"}', isStdinOpen: true })
    assert.is(run.status, 0)
    assert.is(run.json?.cniVersion, '0.4.0')
  })

  it('an answer that cannot be written is no success', async () => {
    const { executable } = testShim()
    const full = openSync('/dev/full', 'w')
    const options = { env: { CNI_COMMAND: 'VERSION' }, stdio: ['ignore', full, 'pipe'] as StdioOptions }
    const { status, stderr } = spawnSync(executable, options)
    closeSync(full)
    assert.is(status, 1)
    assert.match(String(stderr), 'the answer cannot be written: No space left on device')
  })

  it('an unknown or missing CNI_COMMAND is error 4', async () => {
    const shim = testShim()
    assert.is((await shim.run('add')).json?.msg, 'unknown CNI_COMMAND: add')
    assert.is((await shim.run(undefined)).json?.msg, 'required env variables [CNI_COMMAND] missing')
  })

  it('a stdin above 15 MiB is an error', async () => {
    const run = await testShim().run('ADD', { conf: 'x'.repeat(15 * 2 ** 20 + 10) })
    assert.is(run.json?.code, 7)
  })

  it('a state directory that cannot be made is error 5 before anything happens', async () => {
    const shim = testShim()
    writeFileSync(shim.stateDir, '')
    const run = await shim.run('ADD')
    assert.is(run.json?.code, 5)
    assert.match(String(run.json?.msg), `state directory ${shim.stateDir} cannot be written`)
  })
})
