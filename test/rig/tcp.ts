import { type ChildProcess, spawn } from 'node:child_process'
import { type AddressInfo, connect, type Server, type Socket } from 'node:net'
import process from 'node:process'
import { enterNetns } from './netns.ts'

/** A program that listens on a port and answers one word to whoever connects. */
const WORD_SERVER = (port: number): string =>
  `require('node:net').createServer((s) => s.end('here')).listen(${port}, '0.0.0.0', () => console.log('up'))`

/** A program that prints what a port answers, or `refused`. */
const CLIENT = (address: string, port: number): string =>
  `const s = require('node:net').connect({ host: '${address}', port: ${port}, timeout: 5000 })
  s.on('data', (data) => process.stdout.write(String(data)))
  s.on('timeout', () => s.destroy(new Error()))
  s.on('error', () => process.stdout.write('refused'))`

/** A program that listens, and prints the Mbit/s that came from the first sender in each half second. */
const METER = (port: number): string =>
  `let bytes = 0, then = performance.now()
  const server = require('node:net').createServer((s) => {
    setInterval(() => {
      const now = performance.now()
      console.log((bytes * 8) / 1000 / (now - then))
      bytes = 0
      then = now
    }, 500)
    s.on('data', (data) => { bytes += data.length })
    s.on('error', () => {})
  }).listen(${port}, '0.0.0.0', () => console.log('up'))`

/** A program that sends as much as it can. */
const SENDER = (address: string, port: number): string =>
  `const s = require('node:net').connect(${port}, '${address}')
  const block = Buffer.alloc(65536)
  const send = () => { while (s.write(block)); }
  s.on('connect', send).on('drain', send).on('error', () => process.exit(1))`

/** A program that listens on a free port of loopback and hands the socket to its parent. */
const LISTENER = `process.once('disconnect', () => process.exit())
const server = require('node:net').createServer()
server.listen(0, '127.0.0.1', () => process.send('listening', server))`

/** A running server. */
interface Listening {
  close(): void
}

/** A port of loopback in a network namespace, behind which is one of this process's own. */
export interface ForwardedPort extends Listening {
  readonly port: number
}

/**
 * Listens in the network namespace of a path and hands each connection on to a port of loopback here, until the end
 * of the test: a socket stays in the namespace in which it was made, whoever has it.
 */
export async function forwardPort(netns: string, to: number): Promise<ForwardedPort> {
  const child = spawn(...enterNetns(netns, process.execPath, ['-e', LISTENER]), {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  let handed: Server | undefined
  child.once('message', (_, handle) => {
    handed = handle as Server
    // It would accept connections as well.
    child.disconnect()
  })
  const status = await new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', resolve)
  })
  if (handed === undefined) throw new Error(`the listener ended with ${status}`)
  const server = handed
  const sockets = new Set<Socket>()
  server.on('connection', (near: Socket) => {
    const far = connect(to, '127.0.0.1')
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(one)
      one.on('error', () => undefined)
      one.once('close', () => {
        sockets.delete(one)
        other.destroy()
      })
      one.pipe(other)
    }
  })
  server.unref()
  return {
    port: (server.address() as AddressInfo).port,
    close() {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}

/** Answers `here` on a TCP port in the network namespace of a path. */
export async function serveWord(netns: string, port: number): Promise<Listening> {
  const server = startIn(netns, WORD_SERVER(port))
  await firstOutput(server)
  return { close: () => void server.kill('SIGKILL') }
}

/** What answers on a port: the server's word, `refused`, or '' when nobody does in time. */
export async function askPort(netns: string, address: string, port: number): Promise<string> {
  const client = startIn(netns, CLIENT(address, port))
  let answer = ''
  client.stdout?.on('data', (data) => {
    answer += data
  })
  await new Promise((resolve) => client.once('close', resolve))
  return answer
}

/**
 * Sends by TCP from one network namespace to another as fast as it goes.
 *
 * @param isEnough Told the Mbit/s of each half second so far; ends the transfer, which `timeoutMs` does too.
 * @returns The Mbit/s of each half second.
 */
export async function transfer(
  way: { readonly from: string; readonly to: string; readonly address: string; readonly port: number },
  isEnough: (rates: readonly number[]) => boolean,
  timeoutMs = 90_000,
): Promise<number[]> {
  const rates: number[] = []
  const meter = startIn(way.to, METER(way.port))
  await firstOutput(meter)
  const sender = startIn(way.from, SENDER(way.address, way.port))
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, timeoutMs)
    meter.stdout?.on('data', (data) => {
      rates.push(...String(data).trim().split('\n').map(Number))
      if (!isEnough(rates)) return
      clearTimeout(timer)
      resolve()
    })
  })
  sender.kill('SIGKILL')
  meter.kill('SIGKILL')
  return rates
}

function startIn(netns: string, program: string): ChildProcess {
  return spawn(...enterNetns(netns, process.execPath, ['-e', program]), {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
}

async function firstOutput(child: ChildProcess): Promise<void> {
  await new Promise((resolve, reject) => {
    child.stdout?.once('data', resolve)
    child.once('exit', (status) => reject(new Error(`the server ended with ${status}`)))
  })
}
