import { type ChildProcess, spawn } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Mode, ModeContext } from './modes.ts'
import { pluginCall } from './workload.ts'

const START_LIMIT_MS = 10_000

/** The shim in front of a daemon of its own. @param conf Further keys of the daemon's configuration. */
export function daemonMode(name: string, context: ModeContext, conf: object = {}): Mode {
  const { workload, plexus } = context
  const dir = join(workload.dir, name)
  const shim = join(dir, 'bin', 'plexus')
  const socket = join(dir, 'run', 'plexus.sock')
  let daemon: ChildProcess | undefined
  return {
    name,
    async start() {
      mkdirSync(join(dir, 'bin'), { recursive: true, mode: 0o700 })
      copyFileSync(join(plexus, '../../dist/native/plexus'), shim)
      const stateDir = join(dir, 'state')
      writeFileSync(join(dir, 'bin', 'plexus.shim'), `socket=${socket}\nstateDir=${stateDir}\n`, {
        mode: 0o600,
      })
      const file = join(dir, 'daemon.json')
      writeFileSync(file, JSON.stringify({ socket, stateDir, metricsAddress: '', ...conf }))
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
  }
}
