import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Registry } from 'prom-client'

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

/**
 * Serves `/healthz`, `/readyz` and `/metrics`; anything else is 404. While another process has the address,
 * as the old daemon has during a take-over, it is tried again.
 *
 * @throws When the address cannot be had at all.
 */
export async function serveHttp(
  address: { readonly host: string; readonly port: number },
  sources: { readonly readiness: () => Promise<Readiness>; readonly registry: Registry },
  warn: (message: string) => void,
): Promise<HttpEndpoints> {
  const server = createServer({ requestTimeout: 10_000, headersTimeout: 5000 }, (request, response) => {
    const answer = async (): Promise<[number, string, string]> => {
      if (request.method !== 'GET' && request.method !== 'HEAD') return [405, 'text/plain', 'GET only\n']
      switch (request.url?.split('?')[0]) {
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
    answer().then(
      ([status, type, body]) => response.writeHead(status, { 'content-type': type }).end(body),
      (error: unknown) => response.writeHead(500).end(`${String(error)}\n`),
    )
  })
  server.maxConnections = 64
  let timer: NodeJS.Timeout | undefined
  await new Promise<void>((resolve, reject) => {
    server.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EADDRINUSE') {
        if (server.listening) warn(`HTTP endpoints: ${error.message}`)
        else reject(error)
        return
      }
      if (timer === undefined)
        warn(`${address.host}:${address.port} is in use; /readyz and /metrics are served when it is free`)
      timer = setTimeout(() => server.listen(address.port, address.host), RETRY_MS)
      resolve()
    })
    server.listen(address.port, address.host, () => resolve())
  })
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
