import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { CniError, toCniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import type { KeyPair } from './serving-certificate.ts'

/** An answer to a request. */
export interface HttpAnswer {
  readonly status: number
  readonly type: string
  readonly body: string
}

/** What the server serves. */
export interface Routes {
  /** Answers of GET by path. */
  readonly get: Readonly<Record<string, () => Promise<HttpAnswer>>>
  /** Answers of POST by path; takes the JSON of the body. */
  readonly post: Readonly<Record<string, (body: unknown) => Promise<HttpAnswer>>>
}

/** A listening server. */
export interface TlsServer {
  readonly port: number
  /** From the next connection on. */
  use(pair: KeyPair): void
  /** Takes no more connections and waits for requests that are under way, at most so long. */
  close(timeoutMs: number): Promise<void>
}

/** The API server sends the object before and after; each has at most 1.5 MiB in etcd. */
const LONGEST_BODY_BYTES = 8 * 1024 * 1024
/** Of all bodies that are being read: whoever reaches the port could fill the memory otherwise. */
const MOST_BODY_BYTES = 64 * 1024 * 1024
const LIMITS = {
  maxHeaderSize: 16_384,
  headersTimeout: 5000,
  /** For the whole request; the API server waits 30 s at most. */
  requestTimeout: 15_000,
  /** The API server keeps its connections. */
  keepAliveTimeout: 120_000,
  connectionsCheckingInterval: 1000,
}

/** @throws {CniError} Io when the address cannot be listened on. */
export async function listenTls(
  { host, port }: { readonly host: string | undefined; readonly port: number },
  pair: KeyPair,
  routes: Routes,
  warn: (message: string) => void,
): Promise<TlsServer> {
  const shown = `${host ?? ''}:${port}`
  const tls = { cert: pair.cert, key: pair.key, minVersion: 'TLSv1.2' } as const
  const all: BodyBytes = { count: 0 }
  const server = createServer({ ...LIMITS, ...tls }, (request, response) => {
    serve(request, routes, all).then(
      (answer) => send(response, answer),
      (error: unknown) => {
        const { code, message } = toCniError(error)
        warn(`${request.url?.slice(0, 64)} cannot be answered: ${message}`)
        // Anything but 200 is a failure to the API server, and the failure policy decides.
        const isOurs = code !== CniErrorCode.Decoding
        send(response, { status: isOurs ? 500 : 400, type: 'text/plain', body: `${message}\n` })
      },
    )
  })
  server.maxConnections = 256
  server.setTimeout(LIMITS.keepAliveTimeout)
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => {
      reject(
        new CniError(CniErrorCode.Io, `${shown} cannot be listened on: ${error.message}`, {
          cause: error,
          hint: 'set --listen to an address of this machine and a free port',
        }),
      )
    })
    server.listen({ port, ...(host === undefined ? {} : { host }) }, resolve)
  })
  server.on('error', (error) => warn(`HTTPS on ${shown}: ${error.message}`))
  return {
    port: (server.address() as AddressInfo).port,
    use: ({ cert, key }) => server.setSecureContext({ cert, key }),
    close: (timeoutMs) => close(server, timeoutMs),
  }
}

async function serve(request: IncomingMessage, routes: Routes, all: BodyBytes): Promise<HttpAnswer> {
  const path = request.url?.split('?')[0] ?? ''
  const { method } = request
  if (method === 'GET' || method === 'HEAD') {
    const get = Object.hasOwn(routes.get, path) ? routes.get[path] : undefined
    return get === undefined ? text(404, `there are ${Object.keys(routes.get).join(', ')}\n`) : await get()
  }
  const post = method === 'POST' && Object.hasOwn(routes.post, path) ? routes.post[path] : undefined
  if (post === undefined) return text(method === 'POST' ? 404 : 405, 'there is nothing to be done here\n')
  if (!request.headers['content-type']?.startsWith('application/json')) return text(415, 'JSON only\n')
  const body = await readBody(request, all)
  return Buffer.isBuffer(body) ? await post(toJson(body)) : body
}

function text(status: number, body: string): HttpAnswer {
  return { status, type: 'text/plain', body }
}

/** How much of bodies is in memory. */
interface BodyBytes {
  count: number
}

/** The whole body, or the answer to one that is not to be read. */
async function readBody(request: IncomingMessage, all: BodyBytes): Promise<Buffer | HttpAnswer> {
  const chunks: Buffer[] = []
  let size = 0
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      size += chunk.length
      all.count += chunk.length
      if (size > LONGEST_BODY_BYTES) return text(413, `the body has more than ${LONGEST_BODY_BYTES} bytes\n`)
      if (all.count > MOST_BODY_BYTES) return text(503, 'too much is being read at once\n')
      chunks.push(chunk)
    }
    return Buffer.concat(chunks)
  } finally {
    all.count -= size
  }
}

function toJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'))
  } catch {
    throw new CniError(CniErrorCode.Decoding, 'the body is no JSON')
  }
}

function send(response: ServerResponse, { status, type, body }: HttpAnswer): void {
  if (response.destroyed) return
  // What is left of a body that nobody reads must not keep the connection.
  const isCutOff = [405, 413, 415, 503].includes(status)
  response.writeHead(status, { 'content-type': type, ...(isCutOff ? { connection: 'close' } : {}) }).end(body)
}

async function close(server: Server, timeoutMs: number): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  server.closeIdleConnections()
  const timer = setTimeout(() => server.closeAllConnections(), timeoutMs)
  await closed
  clearTimeout(timer)
}
