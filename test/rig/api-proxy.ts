import { readFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Agent, createServer, request, type Server } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import type { CertificateAuthority } from './certificates.ts'
import type { KubeApiserver } from './kube-apiserver.ts'
import { atEnd } from './teardown.ts'

/** A request as it came to the proxy. */
interface ProxiedRequest {
  readonly method: string
  /** With its query. */
  readonly path: string
  readonly isWatch: boolean
}

/**
 * What happens to a request instead of being handed on: an answer of the proxy's own, the real answer cut
 * off in its middle or given late, no answer at all, or the end of the connection.
 */
export type ProxyFault =
  | { readonly status: number; readonly body: object | string; readonly headers?: Record<string, string> }
  | { readonly cutAfterBytes: number }
  | { readonly delayMs: number }
  | 'hang'
  | 'reset'

/** A TLS server between Plexus and the API server that can be as bad as a network. */
export interface ApiProxy {
  readonly server: string
  /** Everything that was asked, in order. */
  readonly requests: readonly ProxiedRequest[]
  /** Decides each request's fate; replaced at will. */
  fault: (request: ProxiedRequest) => ProxyFault | undefined
  /** Whether an answer to a read, a list or a watch, has had this text. */
  hasTold(text: string): boolean
  /** How many connections are open. */
  readonly connections: number
  /** Nothing more is read or written on the connections that are there; their other end sees no end of them. */
  freeze(): void
  /** Resets all connections. */
  reset(): void
  /** Serves with a certificate of another authority from the next connection on. */
  rotate(authority: CertificateAuthority): void
  close(): Promise<void>
}

/** Parts of answers that are remembered. */
const MOST_TOLD = 500

/** Starts a proxy before an API server, on a port of its own. */
export async function startApiProxy(api: KubeApiserver): Promise<ApiProxy> {
  const requests: ProxiedRequest[] = []
  const sockets = new Set<Socket>()
  const told: Buffer[] = []
  const agent = new Agent({ ca: readFileSync(api.authority.ca), keepAlive: true })
  const frozen = new WeakSet<object>()
  const context = (authority: CertificateAuthority): { cert: Buffer; key: Buffer } => {
    const { cert, key } = authority.serving('proxy')
    return { cert: readFileSync(cert), key: readFileSync(key) }
  }
  const server: Server = createServer(context(api.authority), (incoming, outgoing) => {
    const path = incoming.url ?? ''
    const seen = { method: incoming.method ?? '', path, isWatch: path.includes('watch=1') }
    requests.push(seen)
    // A client that is gone is not to end the test.
    outgoing.on('error', () => undefined)
    void serve(incoming, outgoing, proxy.fault(seen))
  })
  const serve = async (
    incoming: IncomingMessage,
    outgoing: ServerResponse,
    fault: ProxyFault | undefined,
  ): Promise<void> => {
    if (fault === 'hang') return
    if (fault === 'reset') return void incoming.socket.destroy()
    if (fault !== undefined && 'status' in fault) {
      const { body, headers = {} } = fault
      const isText = typeof body === 'string'
      outgoing.writeHead(fault.status, {
        'content-type': isText ? 'text/plain' : 'application/json',
        ...headers,
      })
      return void outgoing.end(isText ? body : JSON.stringify(body))
    }
    // What was sent arrives, however late, and whether or not its sender still waits.
    const late: Buffer[] = []
    const isLate = fault !== undefined && 'delayMs' in fault
    if (isLate) {
      incoming.on('error', () => undefined)
      incoming.on('data', (chunk: Buffer) => late.push(chunk))
      await delay(fault.delayMs, undefined, { ref: false })
    }
    const cutAfter = fault !== undefined && 'cutAfterBytes' in fault ? fault.cutAfterBytes : undefined
    const upstream = request(`${api.server}${incoming.url}`, {
      method: incoming.method ?? 'GET',
      headers: { ...incoming.headers, host: new URL(api.server).host },
      agent,
    })
    upstream.on('error', () => outgoing.destroy())
    outgoing.on('close', () => upstream.destroy())
    upstream.on('response', (answer) => {
      answer.on('error', () => outgoing.destroy())
      const { 'content-length': _, ...headers } = answer.headers
      outgoing.writeHead(answer.statusCode ?? 502, headers)
      outgoing.flushHeaders()
      let sent = 0
      answer.on('data', (chunk: Buffer) => {
        if (frozen.has(incoming.socket)) return
        const part = cutAfter === undefined ? chunk : chunk.subarray(0, Math.max(0, cutAfter - sent))
        sent += part.length
        outgoing.write(part)
        if (incoming.method === 'GET') told.push(part)
        if (told.length > MOST_TOLD) told.shift()
        if (cutAfter !== undefined && sent >= cutAfter) outgoing.end()
      })
      answer.on('end', () => {
        if (!frozen.has(incoming.socket)) outgoing.end()
      })
    })
    if (isLate) upstream.end(Buffer.concat(late))
    else incoming.pipe(upstream)
  }
  server.on('tlsClientError', () => undefined)
  // A connection counts from its TCP part on: what is frozen or reset is that.
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.once('close', () => sockets.delete(socket))
  })
  server.on('secureConnection', (socket) => socket.on('error', () => undefined))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  // A test that failed must not wait for it.
  server.unref()
  const reset = (): void => {
    for (const socket of sockets) socket.resetAndDestroy()
  }
  atEnd(reset)
  const tlsSockets = new Set<Socket>()
  server.on('secureConnection', (socket) => {
    tlsSockets.add(socket)
    socket.once('close', () => tlsSockets.delete(socket))
  })

  const proxy: ApiProxy = {
    server: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    fault: () => undefined,
    hasTold: (text) => Buffer.concat(told).includes(text),
    get connections() {
      return sockets.size
    },
    freeze() {
      for (const socket of tlsSockets) {
        frozen.add(socket)
        socket.pause()
      }
    },
    reset,
    rotate: (authority) => server.setSecureContext(context(authority)),
    async close() {
      reset()
      agent.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return proxy
}
