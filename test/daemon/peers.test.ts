import { chmodSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { dirname } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import * as assert from 'uvu/assert'
import { assertAdded, assertDone, stubNode } from '../plugin/stub-node.ts'
import { eventually, installDaemon } from '../rig/daemon.ts'
import { spec } from '../spec.ts'

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

spec('peers that are no shims', (it) => {
  it('are closed, and the service goes on', async () => {
    const node = await stubNode()
    const { shim: executable, socket: path, start } = installDaemon(node)
    const daemon = await start()
    for (const [title, bytes] of PEERS) {
      const { socket, closed } = peer(path)
      socket.write(bytes)
      const isClosed = await Promise.race([closed.then(() => true), delay(3000, false)])
      assert.ok(isClosed, `${title}: not closed`)
    }
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
    assert.ok(await Promise.race([ends, delay(10_000, false)]), 'who says no hello is not closed')
    clearInterval(drip)
    assert.is(await daemon.stop(), 0)
  })

  it('a socket directory that others may enter is refused by the daemon with the reason', async () => {
    const node = await stubNode()
    const { socket, start } = installDaemon(node)
    chmodSync(dirname(socket), 0o755)
    try {
      await start()
      assert.unreachable('it started')
    } catch (error) {
      assert.match((error as { message: string }).message, 'with mode 0700, it has uid 0 and mode 755')
    }
  })
})
