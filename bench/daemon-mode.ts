import { type ChildProcess, spawn } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { LoopDelay, Mode, ModeContext } from './modes.ts'
import { pluginCall } from './workload.ts'

const START_LIMIT_MS = 10_000
const SCRAPE_LIMIT_MS = 5000
const SERIES = 'plexus_event_loop_delay_seconds'

/** The shim in front of a daemon of its own. @param conf Further keys of the daemon's configuration. */
export function daemonMode(name: string, context: ModeContext, conf: object = {}): Mode {
  const { workload, plexus } = context
  const dir = join(workload.dir, name)
  const shim = join(dir, 'bin', 'plexus')
  const socket = join(dir, 'run', 'plexus.sock')
  let daemon: ChildProcess | undefined
  let metricsPort = 0
  return {
    name,
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
      daemon = spawn(plexus, ['daemon', '--config', file], { stdio: 'ignore' })
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
      loopDelay: () => scrapeLoopDelay(metricsPort),
    },
  }
}

/** Since the last look; the daemon begins anew at each. */
async function scrapeLoopDelay(port: number): Promise<LoopDelay> {
  const url = `http://127.0.0.1:${port}/metrics`
  const text = await (await fetch(url, { signal: AbortSignal.timeout(SCRAPE_LIMIT_MS) })).text()
  const read = (statistic: string): number | null => {
    const line = text
      .split('\n')
      .find((one) => one.startsWith(`${SERIES}{`) && one.includes(`statistic="${statistic}"`))
    const seconds = line?.split(' ').at(-1)
    return seconds === undefined ? null : Number(seconds) * 1000
  }
  return { p50: read('p50'), p90: read('p90'), p99: read('p99'), max: read('max') }
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
