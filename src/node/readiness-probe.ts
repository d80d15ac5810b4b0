import { statSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { toCniError } from '../cni/cni-error.ts'
import type { ReadinessProbe } from '../plan/systems/network-system.ts'

/** What a probe found. */
export interface ProbeResult {
  readonly probe: ReadinessProbe
  /** Why it does not hold; `undefined` when it does. */
  readonly fault: string | undefined
}

/** Who is ready answers at once. */
const TIMEOUT_MS = 1000

/**
 * Asks whether a default network is ready, all probes at once.
 *
 * @param root Where the host's file system is seen, `/` on the host itself.
 */
export function runProbes(probes: readonly ReadinessProbe[], root = '/'): Promise<ProbeResult[]> {
  return Promise.all(probes.map(async (probe) => ({ probe, fault: await faultOf(probe, root) })))
}

async function faultOf(probe: ReadinessProbe, root: string): Promise<string | undefined> {
  switch (probe.kind) {
    case 'file':
      return statSync(join(root, probe.path), { throwIfNoEntry: false }) === undefined
        ? `${probe.path} is missing`
        : undefined
    case 'socket':
      return await connectFault({ path: join(root, probe.path) }, probe.path)
    case 'tcp':
      return await connectFault({ host: probe.host, port: probe.port }, `${probe.host}:${probe.port}`)
    case 'http':
      return await httpFault(probe.url)
    case 'any': {
      const faults = await Promise.all(probe.of.map((one) => faultOf(one, root)))
      return faults.includes(undefined) ? undefined : faults.join(', and ')
    }
  }
}

function connectFault(
  where: { path: string } | { host: string; port: number },
  title: string,
): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect(where)
    const end = (fault: string | undefined): void => {
      socket.destroy()
      resolve(fault)
    }
    socket.setTimeout(TIMEOUT_MS, () => end(`${title} does not answer`))
    socket.once('connect', () => end(undefined))
    socket.once('error', ({ message }) => end(`${title} accepts no connection: ${message}`))
  })
}

async function httpFault(url: string): Promise<string | undefined> {
  try {
    const { status, body } = await fetch(url, {
      signal: AbortSignal.timeout(TIMEOUT_MS),
      redirect: 'manual',
    })
    await body?.cancel()
    return status === 200 ? undefined : `${url} answers ${status}`
  } catch (error) {
    const { message, cause } = toCniError(error)
    const inner = cause instanceof Error && cause.cause instanceof Error ? `: ${cause.cause.message}` : ''
    return `${url} does not answer: ${message}${inner}`
  }
}
