import { toCniError } from '../../cni/cni-error.ts'

/** What the daemon's HTTP endpoints say. */
export interface DaemonAnswers {
  /** `http://host:port`; `undefined` when it has none, or one that only the daemon knows. */
  readonly url: string | undefined
  /** Why they do not answer. */
  readonly fault: string | undefined
  readonly isReady: boolean | undefined
  /** What `/readyz` says. */
  readonly reason: string | undefined
  readonly version: string | undefined
}

/** One that answers at all does so at once. */
const TIMEOUT_MS = 3000
const MOST_BYTES = 1024 * 1024

/** Asks `/readyz` and `/metrics`. */
export async function askDaemon(
  address: { readonly host: string; readonly port: number } | undefined,
): Promise<DaemonAnswers> {
  const nothing = { isReady: undefined, reason: undefined, version: undefined }
  // Port 0 is one that the kernel chose: only the daemon's log has it.
  if (address === undefined || address.port === 0) return { url: undefined, fault: undefined, ...nothing }
  const host = address.host.includes(':') ? `[${address.host}]` : address.host
  const url = `http://${host}:${address.port}`
  try {
    const [ready, metrics] = await Promise.all([ask(`${url}/readyz`), ask(`${url}/metrics`)])
    return {
      url,
      fault: undefined,
      isReady: ready.status === 200,
      reason: ready.text.trim(),
      version: /^plexus_build_info\{[^}\n]*\bversion="([^"\n]*)"/m.exec(metrics.text)?.[1],
    }
  } catch (error) {
    const { message, cause } = toCniError(error)
    const inner = cause instanceof Error && cause.cause instanceof Error ? `: ${cause.cause.message}` : ''
    return { url, fault: `${message}${inner}`, ...nothing }
  }
}

async function ask(url: string): Promise<{ readonly status: number; readonly text: string }> {
  const { status, body } = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS), redirect: 'manual' })
  const decoder = new TextDecoder()
  let text = ''
  for await (const chunk of body ?? []) {
    text += decoder.decode(chunk, { stream: true })
    if (text.length > MOST_BYTES) throw new Error(`${url} answers without end`)
  }
  return { status, text }
}
