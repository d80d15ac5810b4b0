import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Registry } from 'prom-client'
import { CniError, toCniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'

/** Whether the daemon can serve an ADD, and why not. */
export interface Readiness {
  readonly isReady: boolean
  readonly reason: string
}

/** The endpoints, listening. */
export interface HttpEndpoints {
  /** `undefined` while another process, for example the daemon that drains, has the address. */
  readonly port: number | undefined
  close(): void
}

const RETRY_MS = 500
const METHODS: readonly (string | undefined)[] = ['GET', 'HEAD']

/**
 * Serves `/healthz`, `/readyz` and `/metrics`; anything else is 404. While another process has the address,
 * as the old daemon has during a take-over, it is tried again.
 *
 * @throws {CniError} Io when the address cannot be had at all.
 */
export async function serveHttp(
  address: { readonly host: string; readonly port: number },
  sources: { readonly readiness: () => Promise<Readiness>; readonly registry: Registry },
  warn: (message: string) => void,
): Promise<HttpEndpoints> {
  const shown = `${address.host}:${address.port}`
  const answer = async (path: string | undefined): Promise<[number, string, string]> => {
    switch (path) {
      case '/healthz':
        return [200, 'text/plain', 'ok\n']
      case '/readyz': {
        const { isReady, reason } = await sources.readiness()
        return [isReady ? 200 : 503, 'text/plain', `${reason}\n`]
      }
      case '/metrics':
        return [200, sources.registry.contentType, await sources.registry.metrics()]
      default:
        return [404, 'text/plain', 'there are /healthz, /readyz and /metrics\n']
    }
  }
  const limits = {
    maxHeaderSize: 8192,
    headersTimeout: 5000,
    requestTimeout: 10_000,
    keepAliveTimeout: 5000,
    // Limits are looked after this often.
    connectionsCheckingInterval: 1000,
  }
  const server = createServer(limits, (request, response) => {
    if (!METHODS.includes(request.method)) {
      // A body that nobody reads must not keep the connection.
      response.writeHead(405, { allow: 'GET, HEAD', 'content-type': 'text/plain', connection: 'close' })
      response.end('GET only\n')
      return
    }
    answer(request.url?.split('?')[0]).then(
      ([status, type, body]) => response.writeHead(status, { 'content-type': type }).end(body),
      (error: unknown) => {
        warn(`${request.url?.slice(0, 64)} cannot be answered: ${toCniError(error).message}`)
        response.writeHead(500, { 'content-type': 'text/plain' }).end('see the log of the daemon\n')
      },
    )
  })
  server.maxConnections = 64
  // One that reads its answer slowly, or not at all.
  server.setTimeout(15_000)
  let timer: NodeJS.Timeout | undefined
  await new Promise<void>((resolve, reject) => {
    let isStarted = false
    server.on('error', (error: NodeJS.ErrnoException) => {
      if (server.listening) {
        warn(`HTTP endpoints on ${shown}: ${error.message}`)
        return
      }
      if (!isStarted && error.code !== 'EADDRINUSE') {
        reject(
          new CniError(CniErrorCode.Io, `metricsAddress ${shown} cannot be listened on: ${error.message}`, {
            cause: error,
            hint: 'set metricsAddress to an address of this machine and a free port, or to "" for none',
          }),
        )
        return
      }
      if (timer === undefined) {
        warn(
          `metricsAddress ${shown} is in use by another process: /healthz, /readyz and /metrics are served when it is free`,
        )
      }
      isStarted = true
      timer = setTimeout(() => server.listen(address.port, address.host), RETRY_MS)
      timer.unref()
      resolve()
    })
    server.listen(address.port, address.host, () => {
      isStarted = true
      resolve()
    })
  })
  if (!isLoopback(address.host)) {
    warn(`metricsAddress ${shown} is not loopback: whoever reaches it reads the metrics, without a password`)
  }
  return {
    get port() {
      return (server.address() as AddressInfo | null)?.port
    },
    close: () => {
      clearTimeout(timer)
      server.close()
      server.closeAllConnections()
    },
  }
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(?:\.\d{1,3}){3}$/.test(host)
}
