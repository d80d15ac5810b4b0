import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { basename, dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import * as assert from 'uvu/assert'
import { MAX_FRAME_BYTES } from '../../src/executor/frame.ts'
import { assertAdded, assertDone, assertRefused, stubNode } from '../plugin/stub-node.ts'
import { eventually, installDaemon } from '../rig/daemon.ts'
import { atEnd } from '../rig/teardown.ts'
import { spec } from '../spec.ts'

/** For shims among many who keep the daemon busy. */
const PATIENT = { shim: { addWait: '20', delWait: '20' } }

const PEERS: readonly [title: string, bytes: Buffer][] = [
  ['garbage', Buffer.alloc(4096, 0xa5)],
  ['a frame of no byte', Buffer.alloc(4)],
  ['a frame of 4 GiB', Buffer.from([0xff, 0xff, 0xff, 0xff, 1])],
  ['a field longer than its frame', Buffer.from([0, 0, 0, 9, 1, 0, 0, 0, 200, 1, 2, 3, 4])],
  ['a frame before hello', Buffer.from([0, 0, 0, 1, 11])],
  ['a hello without fields', Buffer.from([0, 0, 0, 1, 1])],
]

function peer(path: string): { socket: Socket; closed: Promise<void> } {
  const socket = connect(path)
  socket.on('error', () => undefined)
  socket.resume()
  return { socket, closed: new Promise((resolve) => socket.once('close', () => resolve())) }
}

const refusals = (daemon: { log(): Record<string, unknown>[] }): Record<string, unknown>[] =>
  daemon.log().filter(({ msg }) => msg === 'a peer was sent away')

function residentBytes(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024
}

/** Makes a socket file that nobody listens on any more. */
async function staleSocket(path: string): Promise<void> {
  const listen = `require('net').createServer().listen(process.argv[1],()=>process.kill(process.pid,'SIGKILL'))`
  spawnSync(process.execPath, ['-e', listen, path])
  assert.ok(existsSync(path))
}

spec('peers that are no shims', (it) => {
  it('are closed, and the service goes on; one line in ten seconds tells of them', async () => {
    const node = await stubNode()
    const { shim: executable, socket: path, start } = installDaemon(node, PATIENT)
    const daemon = await start()
    for (const [title, bytes] of PEERS) {
      const { socket, closed } = peer(path)
      socket.write(bytes)
      const isClosed = await Promise.race([closed.then(() => true), delay(3000, false)])
      assert.ok(isClosed, `${title}: not closed`)
    }
    const told = refusals(daemon)
    assert.ok(told.length === 1 || told.length === 2, String(told.length))
    assert.match(String(told[0]?.reason), /^protocol: a frame of \d+ bytes is not allowed$/)
    const truncated = peer(path)
    truncated.socket.end(Buffer.from([0, 0, 0, 9, 1, 0]))
    await truncated.closed
    const idle = Array.from({ length: 200 }, () => peer(path))
    const slow = peer(path)
    const drip = setInterval(() => slow.socket.write(Buffer.from([0])), 500)
    const pod = await node.pod()
    const before = await node.watch(pod)
    assertAdded(await pod.run('ADD', { executable }))
    assertDone(await pod.run('DEL', { executable }))
    await eventually(() => node.assertClean(before))
    const ends = Promise.all([...idle, slow].map(({ closed }) => closed)).then(() => true)
    assert.ok(await Promise.race([ends, delay(30_000, false)]), 'who says no hello is not closed')
    clearInterval(drip)
    assert.is(await daemon.stop(), 0)
  })

  it('a flood of silent ones, and of hellos that do not end, leaves room and memory for shims', async () => {
    const node = await stubNode()
    const { shim: executable, socket: path, start } = installDaemon(node, PATIENT)
    const daemon = await start()
    const pod = await node.pod()
    assertAdded(await pod.run('ADD', { executable }))
    assertDone(await pod.run('DEL', { executable }))
    const first = peer(path)
    const silent = Array.from({ length: 1500 }, () => peer(path))
    assert.ok(await Promise.race([first.closed.then(() => true), delay(4000, false)]), 'the oldest stays')
    assertAdded(await pod.run('ADD', { executable }))
    // All but the last byte of a hello, from so many that all together would take a GiB.
    const head = Buffer.from([0, 0, 0, 0, 1])
    head.writeUInt32BE(MAX_FRAME_BYTES)
    const half = Buffer.alloc(MAX_FRAME_BYTES / 2)
    const large = Array.from({ length: 120 }, () => peer(path))
    let peakBytes = 0
    const watch = setInterval(() => {
      peakBytes = Math.max(peakBytes, residentBytes(daemon.pid))
    }, 5)
    for (const { socket } of large) {
      socket.write(head)
      socket.write(half)
    }
    assertDone(await pod.run('DEL', { executable }))
    await Promise.all([...silent, ...large].map(({ closed }) => closed))
    clearInterval(watch)
    assert.ok(peakBytes < 400 * 2 ** 20, `${Math.round(peakBytes / 2 ** 20)} MiB`)
    assertAdded(await pod.run('ADD', { executable }))
    assertDone(await pod.run('DEL', { executable }))
    assert.is(await daemon.stop(), 0)
  })

  it('another user than root cannot connect, by the folder and by the socket', async () => {
    const node = await stubNode()
    const { shim: executable, socket: path, start } = installDaemon(node)
    const daemon = await start()
    const script = `require('net').connect(process.argv[1]).on('connect',()=>{console.log('in');process.exit()}).on('error',({code})=>console.log(code))`
    // Under a name whose folders everybody may pass: the rig's own must not be what keeps them out.
    const asNobody = (): string =>
      execFileSync(
        'unshare',
        [
          ...['--mount', 'sh', '-c', 'mount --bind "$1" /mnt; shift; exec "$@"', 'sh', dirname(path)],
          ...['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'],
          ...[process.execPath, '-e', script, join('/mnt', basename(path))],
        ],
        { encoding: 'utf8' },
      ).trim()
    assert.is(asNobody(), 'EACCES')
    chmodSync(dirname(path), 0o711)
    assert.is(asNobody(), 'EACCES')
    // That they would get in if nothing kept them out.
    chmodSync(path, 0o666)
    assert.is(asNobody(), 'in')
    chmodSync(dirname(path), 0o700)
    assert.is(asNobody(), 'EACCES')
    const pod = await node.pod()
    assertAdded(await pod.run('ADD', { executable }))
    assertDone(await pod.run('DEL', { executable }))
    await daemon.stop()
  })

  it('a shim that waits for the lock of its container is not taken for one that says nothing', async () => {
    const node = await stubNode()
    const { shim: executable, start } = installDaemon(node)
    const daemon = await start()
    const pod = await node.pod()
    node.behave(node.primary, { add: { blockBefore: 'gate' } })
    const adding = pod.start('ADD', { executable })
    await node.primary.reached(1, 'ADD')
    const deleting = pod.start('DEL', { executable })
    // Longer than the daemon waits for a hello.
    await delay(6000)
    node.primary.release('gate')
    assertAdded(await adding.finished)
    assertDone(await deleting.finished)
    assert.equal(refusals(daemon), [])
    await daemon.stop()
  })

  it('a socket directory that others may enter, with something in it, is refused by the daemon with the reason', async () => {
    const node = await stubNode()
    const { socket, start } = installDaemon(node)
    chmodSync(dirname(socket), 0o755)
    writeFileSync(join(dirname(socket), 'something'), '')
    try {
      await start()
      assert.unreachable('it started')
    } catch (error) {
      assert.match((error as { message: string }).message, 'with mode 0700, it has uid 0 and mode 755')
    }
  })

  it('what daemons left that ended while they began to listen goes, and nothing else', async () => {
    const node = await stubNode()
    const { socket, start } = installDaemon(node)
    const at = (name: string): string => join(dirname(socket), name)
    const old = new Date(Date.now() - 60_000)
    const [stale, young, living, other] = [
      '.plexus.sock-1-a',
      '.plexus.sock-1-b',
      '.plexus.sock-1-c',
      'other.sock-1',
    ].map(at)
    for (const path of [stale, young, other]) await staleSocket(String(path))
    const server = createServer(() => undefined).listen(living)
    atEnd(() => server.close())
    await new Promise((resolve) => server.once('listening', resolve))
    writeFileSync(at('.plexus.sock-file'), '')
    mkdirSync(at('.plexus.sock-folder'))
    for (const path of [stale, living, other, at('.plexus.sock-file'), at('.plexus.sock-folder')])
      utimesSync(String(path), old, old)
    const daemon = await start()
    assert.not(existsSync(String(stale)))
    for (const path of [young, living, other, at('.plexus.sock-file'), at('.plexus.sock-folder')])
      assert.ok(existsSync(String(path)), path)
    server.close()
    await daemon.stop()
  })

  it('a shim that goes while its ADD waits for its turn leaves the queue at once', async () => {
    const node = await stubNode()
    const { shim: executable, start } = installDaemon(node, { conf: { maxConcurrentAdds: 1 } })
    const daemon = await start()
    const waiting = async (): Promise<number> =>
      Number(/^plexus_adds_waiting (\d+)$/m.exec((await daemon.get('/metrics')).body)?.[1])
    node.behave(node.alpha, { add: { blockBefore: 'gate', calls: [1, 1] } })
    const [first, second, third] = [
      await node.pod(),
      await node.pod({ name: 'pod-b' }),
      await node.pod({ name: 'pod-c' }),
    ]
    const adding = first.start('ADD', { executable })
    await node.alpha.reached(1, 'ADD')
    const killed = second.start('ADD', { executable })
    const ended = third.start('ADD', { executable })
    await eventually(async () => assert.is(await waiting(), 2))
    killed.kill('SIGKILL')
    await killed.finished
    await eventually(async () => assert.is(await waiting(), 1))
    ended.kill('SIGTERM')
    assertRefused(await ended.finished, 11, 'while it waited for its turn')
    assert.is(await waiting(), 0)
    node.alpha.release('gate')
    assertAdded(await adding.finished)
    assertDone(await first.run('DEL', { executable }))
    await daemon.stop()
  })
})
