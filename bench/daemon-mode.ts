import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, copyFileSync, existsSync, mkdirSync, openSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { LoopDelay, Mode, ModeContext } from './modes.ts'
import { pluginCall } from './workload.ts'

const START_LIMIT_MS = 10_000
const SCRAPE_LIMIT_MS = 5000
const SERIES = 'plexus_event_loop_delay_seconds'

/** What of a daemon is not the usual. */
interface DaemonOptions {
  /** Further keys of its configuration. */
  readonly conf?: object
  /** Variables beside those of the benchmark. */
  readonly env?: Readonly<Record<string, string>>
  /** A file for its log, which else goes nowhere. */
  readonly log?: string
}

/** The shim in front of a daemon of its own. */
export function daemonMode(
  name: string,
  context: ModeContext,
  { conf, env, log }: DaemonOptions = {},
): Mode & { readonly shim: string } {
  const { workload, plexus } = context
  const dir = join(workload.dir, name)
  const shim = join(dir, 'bin', 'plexus')
  const socket = join(dir, 'run', 'plexus.sock')
  let daemon: ChildProcess | undefined
  let metricsPort = 0
  let seen: Buckets = []
  return {
    name,
    shim,
    async start() {
      mkdirSync(join(dir, 'bin'), { recursive: true, mode: 0o700 })
      copyFileSync(join(plexus, '../../dist/native/plexus'), shim)
      const stateDir = join(dir, 'state')
      writeFileSync(join(dir, 'bin', 'plexus.shim'), `socket=${socket}\nstateDir=${stateDir}\n`, {
        mode: 0o600,
      })
      metricsPort = await findFreePort()
      const metricsAddress = `127.0.0.1:${metricsPort}`
      const file = join(dir, 'daemon.json')
      writeFileSync(file, JSON.stringify({ socket, stateDir, metricsAddress, ...conf }))
      const logFd = log === undefined ? undefined : openSync(log, 'w', 0o600)
      daemon = spawn(plexus, ['daemon', '--config', file], {
        stdio: ['ignore', 'ignore', logFd ?? 'ignore'],
        env: { ...process.env, ...env },
      })
      if (logFd !== undefined) closeSync(logFd)
      const end = performance.now() + START_LIMIT_MS
      while (!existsSync(socket)) {
        if (performance.now() > end) throw new Error('the daemon does not listen')
        await delay(20)
      }
    },
    async stop() {
      const running = daemon
      if (running === undefined || running.exitCode !== null) return
      const ended = new Promise((resolve) => running.once('close', resolve))
      running.kill('SIGTERM')
      await ended
    },
    programs: (verb, pod, blockSize) => [
      pluginCall(workload, verb, pod, { executable: shim, manifests: workload.manifests(blockSize) }),
    ],
    service: {
      get pid() {
        if (daemon?.pid === undefined) throw new Error(`the daemon of ${name} does not run`)
        return daemon.pid
      },
      async loopDelay() {
        const now = await scrapeLoopDelay(metricsPort)
        const since = toLoopDelay(seen, now)
        seen = now
        return since
      },
    },
  }
}

/** The counts of the daemon's histogram: bounds in milliseconds, each with all that is below it. */
type Buckets = readonly (readonly [boundMs: number, count: number])[]

async function scrapeLoopDelay(port: number): Promise<Buckets> {
  const url = `http://127.0.0.1:${port}/metrics`
  const text = await (await fetch(url, { signal: AbortSignal.timeout(SCRAPE_LIMIT_MS) })).text()
  const lines = text.matchAll(new RegExp(`^${SERIES}_bucket\\{le="([^"]+)"\\} (\\d+)$`, 'gm'))
  return [...lines].map(([, bound, count]) => [
    bound === '+Inf' ? Number.POSITIVE_INFINITY : Number(bound) * 1000,
    Number(count),
  ])
}

/** Of what was counted since the last look: each as the upper bound of its bucket. */
function toLoopDelay(before: Buckets, now: Buckets): LoopDelay {
  const counts = now.map(([boundMs, count], index) => [boundMs, count - (before[index]?.[1] ?? 0)] as const)
  const all = counts.at(-1)?.[1] ?? 0
  const share = (part: number): number | null => {
    const found = all === 0 ? undefined : counts.find(([, count]) => count >= part * all)
    return found === undefined || !Number.isFinite(found[0]) ? null : found[0]
  }
  return { p50: share(0.5), p90: share(0.9), p99: share(0.99), max: share(1) }
}

async function findFreePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('no free port')
  return address.port
}
