import { fileURLToPath } from 'node:url'
import { credentials, loadPackageDefinition, type ServiceClientConstructor } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'

const PROTO = fileURLToPath(new URL('../fixtures/containerd/cri-v1.proto', import.meta.url))

/** A container runtime as the kubelet calls it. */
export interface CriClient {
  /** Calls a method of the RuntimeService; rejects with the runtime's words. */
  // biome-ignore lint/suspicious/noExplicitAny: answers of any shape, looked at by tests.
  call(method: string, request?: object): Promise<any>
  close(): void
}

/** Connects to a runtime's socket with its first call; each call has a bound of `limitMs`. */
export function criClient(socket: string, limitMs = 240_000): CriClient {
  const definition = loadSync(PROTO, { keepCase: true, longs: String, enums: String, defaults: true })
  const { runtime } = loadPackageDefinition(definition) as unknown as {
    runtime: { v1: { RuntimeService: ServiceClientConstructor } }
  }
  const client = new runtime.v1.RuntimeService(`unix://${socket}`, credentials.createInsecure(), {
    // What it would be otherwise, the path with escapes, servers in Go refuse.
    'grpc.default_authority': 'localhost',
    'grpc.max_reconnect_backoff_ms': 500,
    'grpc.initial_reconnect_backoff_ms': 100,
  })
  return {
    call: (method, request = {}) =>
      new Promise((resolve, reject) => {
        const options = { deadline: Date.now() + limitMs }
        client[method]?.(request, options, (error: Error | null, answer: unknown) => {
          if (error === null) resolve(answer)
          else reject(error)
        })
      }),
    close: () => client.close(),
  }
}
