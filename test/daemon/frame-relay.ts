import { chmodSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { dirname, join } from 'node:path'
import { atEnd } from '../rig/teardown.ts'

/** Where the conversation of a shim with its daemon is broken off. */
export interface BreakPoint {
  /** Counted from 1 over what the daemon sends to one shim. */
  readonly frame: number
  /** Whether the frame still reaches the shim whole, or the first half of it. */
  readonly part: 'half' | 'whole'
}

/** Stands between shim and daemon, so that a fault falls exactly where a test wants it. */
export interface FrameRelay {
  /** Where the daemon has to listen. */
  readonly daemonSocket: string
  /** Kinds of the frames that reached the shim, in order. */
  readonly kinds: number[]
  /** Calls `broken` at this point of the next connection, and cuts it; `undefined` lets all through. */
  breakAt(point: BreakPoint | undefined, broken: () => void): void
}

/** Listens on the socket of a shim and hands all on to `daemonSocket` beside it, frame by frame. */
export async function frameRelay(socket: string): Promise<FrameRelay> {
  const daemonSocket = join(dirname(socket), 'daemon.sock')
  const kinds: number[] = []
  let next: { point: BreakPoint; broken: () => void } | undefined
  const server = createServer((shim: Socket) => {
    const daemon = connect(daemonSocket)
    const current = next
    next = undefined
    let bytes = Buffer.alloc(0)
    let count = 0
    const cut = (): void => {
      shim.destroy()
      daemon.destroy()
    }
    const end = (rest: Buffer): void => {
      current?.broken()
      shim.write(rest, cut)
    }
    daemon.on('data', (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk])
      while (bytes.length >= 4 && bytes.length >= 4 + bytes.readUInt32BE(0)) {
        const frame = bytes.subarray(0, 4 + bytes.readUInt32BE(0))
        bytes = bytes.subarray(frame.length)
        count += 1
        kinds.push(frame[4] ?? 0)
        if (current?.point.frame === count) {
          end(current.point.part === 'half' ? frame.subarray(0, frame.length >> 1) : frame)
          return
        }
        shim.write(frame)
      }
    })
    shim.pipe(daemon)
    daemon.on('end', () => shim.end())
    for (const side of [shim, daemon]) {
      side.on('error', cut)
      side.on('close', cut)
    }
  })
  await new Promise<void>((resolve) => server.listen(socket, () => resolve()))
  chmodSync(socket, 0o600)
  // It must not keep a test process alive that is done.
  server.unref()
  atEnd(() => server.close())
  return {
    daemonSocket,
    kinds,
    breakAt(point, broken) {
      kinds.length = 0
      next = point === undefined ? undefined : { point, broken }
    },
  }
}
