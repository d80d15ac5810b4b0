import { chmodSync, rmSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { openConnection } from '../../src/executor/connection.ts'
import { type ExecFields, ExecMode, type Frame } from '../../src/executor/frame.ts'
import {
  decodeExit,
  decodeFacts,
  decodeHello,
  type ExitMessage,
  encodeMessage,
  type Facts,
  type Hello,
} from '../../src/executor/protocol.ts'
import { atEnd } from '../rig/teardown.ts'

/** What a script of a fake daemon has of one connected shim. */
export interface Peer {
  readonly hello: Hello
  /** What the shim of an ADD tells unasked. */
  readonly early: Promise<Facts | undefined>
  readonly socket: Socket
  send(...frames: readonly Buffer[]): void
  /** The next frame; rejects when the connection ends or nothing comes for 10 s. */
  next(): Promise<Frame>
  exit(): Promise<ExitMessage>
  facts(): Promise<Facts>
  /** Whether the connection has ended, waited for. */
  closed(): Promise<true>
  /** Sends a call with defaults for what is left out, and waits for its end. */
  exec(call: Partial<ExecFields>): Promise<ExitMessage>
  /** Ends the request without errands. */
  done(status?: number, stdout?: string, isForgotten?: boolean): void
}

/** A scripted daemon. */
export interface FakeDaemon {
  readonly hellos: readonly Hello[]
  /** What scripts threw; a test looks at it when its shim has ended. */
  readonly faults: readonly unknown[]
  /** Stops listening and cuts all connections. */
  kill(): void
}

/** The call that {@link Peer.exec} fills up. */
export function execFields(call: Partial<ExecFields>): ExecFields {
  return {
    id: 1,
    mode: ExecMode.now,
    timeoutMs: 10_000,
    type: 'stub',
    command: 'ADD',
    containerId: 'pod-1',
    netns: call.command === undefined || call.command === 'ADD' ? '/run/netns/none' : '',
    ifName: 'eth0',
    args: '',
    stdin: '{"cniVersion":"1.0.0","name":"n","type":"stub"}',
    ...call,
  }
}

/**
 * Listens and runs the script for each shim that says hello.
 *
 * @param greet Whether it answers the hello by itself.
 */
export async function fakeDaemon(
  path: string,
  script: (peer: Peer) => Promise<void> | void,
  greet = true,
): Promise<FakeDaemon> {
  const hellos: Hello[] = []
  const faults: unknown[] = []
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    serve(socket, greet, (peer) => {
      hellos.push(peer.hello)
      Promise.resolve(script(peer)).catch((error: unknown) => faults.push(error))
    })
  })
  rmSync(path, { force: true })
  await new Promise<void>((resolve) => server.listen(path, () => resolve()))
  // A test ends with its shims, whether or not it has stopped us.
  server.unref()
  chmodSync(path, 0o600)
  const kill = (): void => {
    server.close()
    for (const socket of sockets) socket.destroy()
  }
  atEnd(kill)
  return { hellos, faults, kill }
}

function serve(socket: Socket, greet: boolean, run: (peer: Peer) => void): void {
  const frames: Frame[] = []
  const waiting: ((frame: Frame | undefined) => void)[] = []
  let isGreeted = false
  let isClosed = false
  let factsFollow = false
  let tellClosed: (closed: true) => void
  let tellEarly: (facts: Facts | undefined) => void
  const early = new Promise<Facts | undefined>((resolve) => {
    tellEarly = resolve
  })
  const closed = new Promise<true>((resolve) => {
    tellClosed = resolve
  })
  const connection = openConnection(socket, {
    frame(frame) {
      if (!isGreeted) {
        const hello = decodeHello(frame)
        isGreeted = true
        if (hello === undefined) throw new Error('no hello')
        factsFollow = hello.factsFollow
        if (greet) connection.send(encodeMessage.hello(1, ''))
        run(peerOf(hello))
        return
      }
      if (factsFollow && decodeFacts(frame) !== undefined) {
        factsFollow = false
        tellEarly(decodeFacts(frame))
        return
      }
      const take = waiting.shift()
      if (take === undefined) frames.push(frame)
      else take(frame)
    },
    closed() {
      isClosed = true
      tellClosed(true)
      for (const take of waiting) take(undefined)
    },
  })
  const next = (): Promise<Frame> =>
    new Promise((resolve, reject) => {
      const frame = frames.shift()
      if (frame !== undefined) {
        resolve(frame)
        return
      }
      if (isClosed) {
        reject(new Error('the shim has closed the connection'))
        return
      }
      const timer = setTimeout(() => reject(new Error('the shim is silent')), 10_000)
      waiting.push((taken) => {
        clearTimeout(timer)
        if (taken === undefined) reject(new Error('the shim has closed the connection'))
        else resolve(taken)
      })
    })
  const decoded = async <T>(decode: (frame: Frame) => T | undefined): Promise<T> => {
    const frame = await next()
    const message = decode(frame)
    if (message === undefined) throw new Error(`a frame of kind ${frame.kind} came instead`)
    return message
  }
  const peerOf = (hello: Hello): Peer => ({
    hello,
    early,
    socket,
    send: (...sent) => connection.send(...sent),
    next,
    exit: () => decoded(decodeExit),
    facts: () => decoded(decodeFacts),
    closed: () => closed,
    exec(call) {
      connection.send(encodeMessage.exec(execFields(call)))
      return decoded(decodeExit)
    },
    done: (status = 0, stdout = '', isForgotten = false) =>
      connection.send(encodeMessage.done(status, isForgotten, false, stdout)),
  })
}
