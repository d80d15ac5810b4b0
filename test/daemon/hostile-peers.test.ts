import { connect, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import * as assert from 'uvu/assert'
import { assertAdded, assertDone, stubNode } from '../plugin/stub-node.ts'
import { eventually, installDaemon } from '../rig/daemon.ts'
import { spec } from '../spec.ts'
import { memoryOf } from './process-memory.ts'

/** What one peer does as soon as it is connected; it comes again when it is sent away. */
type Peer = (socket: Socket) => void

const ROUNDS = 6
const LONGEST_MS = 20_000
/** Time before a peer comes again. */
const PAUSE_MS = 200

const MIB = 2 ** 20
const hello = (bytes: number): Buffer =>
  Buffer.from([bytes >>> 24, (bytes >>> 16) & 255, (bytes >>> 8) & 255, bytes & 255, 1])

const idle: Peer = () => undefined
const garbage: Peer = (socket) => void socket.write(Buffer.alloc(64 * 1024, 0xa5))
const oversized: Peer = (socket) => void socket.write(hello(17 * MIB))
const truncated: Peer = (socket) => void socket.end(Buffer.from([0, 0, 0, 9, 1, 0]))
const slow: Peer = (socket) => {
  socket.write(hello(MIB))
  const drip = setInterval(() => socket.write('x'), 20)
  socket.once('close', () => clearInterval(drip))
}
const ENDLESS = Buffer.alloc(8 * MIB)
/** Half of the largest hello, and then nothing. */
const endless: Peer = (socket) => {
  socket.write(hello(16 * MIB))
  socket.write(ENDLESS)
}

/** Keeps so many of each at the socket until it is told to end; how often one was sent away, and came again. */
function besiege(path: string, crowd: readonly (readonly [peer: Peer, count: number])[]) {
  const sockets = new Set<Socket>()
  let isOver = false
  let sentAway = 0
  let connected = 0
  const come = (peer: Peer): void => {
    const socket = connect(path)
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.resume()
    socket.once('connect', () => {
      connected += 1
      peer(socket)
    })
    socket.once('close', () => {
      sockets.delete(socket)
      if (isOver) return
      sentAway += 1
      setTimeout(() => isOver || come(peer), PAUSE_MS)
    })
  }
  for (const [peer, count] of crowd) for (let number = 0; number < count; number++) come(peer)
  return {
    get connected() {
      return connected
    },
    get sentAway() {
      return sentAway
    },
    end(): void {
      isOver = true
      for (const socket of sockets) socket.destroy()
    },
  }
}

spec('peers that mean no good', (it) => {
  for (const [title, limitMiB, crowd] of [
    [
      '1,000 idle ones, garbage, oversized, truncated and slow frames',
      256,
      [
        [idle, 1000],
        [garbage, 8],
        [oversized, 8],
        [truncated, 8],
        [slow, 8],
      ],
    ],
    // A gigabyte; what is dropped of it is there until it is collected.
    ['frames that never end', 512, [[endless, 128]]],
  ] as const) {
    it(`${title}: the service goes on within ${limitMiB} MiB`, async () => {
      const node = await stubNode()
      const {
        shim: executable,
        socket,
        start,
      } = installDaemon(node, { shim: { addWait: '10', delWait: '10' } })
      const daemon = await start()
      const pods = await Promise.all(['a', 'b', 'c'].map((name) => node.pod({ name: `pod-${name}` })))
      const before = await node.watch(...pods)
      const siege = besiege(socket, crowd)
      const count = crowd.reduce((sum, [, each]) => sum + each, 0)
      try {
        await eventually(() => assert.ok(siege.connected >= count), LONGEST_MS)
        for (let round = 0; round < ROUNDS; round++) {
          const added = await Promise.all(pods.map((pod) => pod.run('ADD', { executable })))
          const deleted = await Promise.all(pods.map((pod) => pod.run('DEL', { executable })))
          for (const run of added) assertAdded(run)
          for (const run of deleted) assertDone(run)
          for (const { durationMs, stderr } of [...added, ...deleted]) {
            assert.ok(durationMs < LONGEST_MS, `${durationMs} ms`)
            assert.is(stderr, '')
          }
          await delay(PAUSE_MS)
        }
        // Long enough for whoever says no hello to be sent away.
        await eventually(() => assert.ok(siege.sentAway >= count, `${siege.sentAway} sent away`), LONGEST_MS)
        assert.is((await daemon.get('/healthz')).status, 200)
        const { peakMiB } = memoryOf(daemon.pid)
        assert.ok(peakMiB < limitMiB, `${peakMiB} MiB`)
      } finally {
        siege.end()
      }
      await eventually(() => node.assertClean(before))
      assert.is(await daemon.stop(), 0)
    })
  }
})
