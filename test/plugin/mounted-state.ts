import { spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { PLEXUS } from '../rig/plexus.ts'
import { atEnd, TEST_RUN } from '../rig/teardown.ts'
import { tempDir } from '../rig/temp-dir.ts'

/** A private mount namespace in which a state directory lies on a tmpfs of its own. */
export interface MountedState {
  /** Runs Plexus in there. */
  readonly executable: string
  /** Program and arguments that run the command behind them in there. */
  readonly enter: readonly string[]
  /** The same state directory as seen from here. */
  readonly visible: string
  /** Remounts the tmpfs with these options, for example `ro`. */
  remount(options: string): Promise<void>
  /** Uses up all space or all inodes; what it made is removed by the function it gives back. */
  fill(what: 'space' | 'inodes'): Promise<() => Promise<void>>
}

/**
 * Mounts a tmpfs on the state directory, seen only by Plexus started with `executable`; namespaces made
 * later are seen in there too.
 *
 * @param options Of mount(8), for example `size=64k,nr_inodes=40`.
 * @param program What `executable` runs, for example the shim.
 */
export async function mountState(
  stateDir: string,
  options: string,
  program: string = PLEXUS,
): Promise<MountedState> {
  mkdirSync(stateDir, { recursive: true, mode: 0o700 })
  const script = `mount -t tmpfs -o mode=0700,${options} state '${stateDir}' && exec sleep 600`
  const holder = spawn('unshare', ['--mount', '--propagation', 'slave', 'sh', '-c', script], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', PLEXUS_TEST_RUN: TEST_RUN },
  })
  const { pid } = holder
  if (pid === undefined) throw new Error('unshare cannot be started')
  holder.unref()
  atEnd(() => void holder.kill('SIGKILL'))
  const inside = async (command: string): Promise<void> => {
    const child = spawn('nsenter', [`--mount=/proc/${pid}/ns/mnt`, 'sh', '-c', command], { stdio: 'inherit' })
    const status = await new Promise((resolve) => child.once('exit', resolve))
    if (status !== 0) throw new Error(`status ${status}: ${command}`)
  }
  for (let tries = 0; ; tries++) {
    try {
      await inside(`mountpoint -q '${stateDir}'`)
      break
    } catch (error) {
      if (tries === 100) throw error
      await setTimeout(20)
    }
  }
  const executable = join(tempDir('mounted'), 'plexus')
  const enter = ['nsenter', `--mount=/proc/${pid}/ns/mnt`, '--']
  writeFileSync(executable, `#!/bin/sh\nexec ${enter.join(' ')} '${program}'\n`, { mode: 0o755 })
  const filler = `${stateDir}/.filler`
  return {
    executable,
    enter,
    visible: `/proc/${pid}/root${stateDir}`,
    remount: (given) => inside(`mount -o 'remount,${given}' '${stateDir}'`),
    async fill(what) {
      await inside(
        what === 'space'
          ? `mkdir '${filler}'; dd if=/dev/zero of='${filler}/bytes' bs=4k 2>/dev/null || :`
          : `mkdir '${filler}' && i=0 && while true 2>/dev/null >'${filler}/'$i; do i=$((i+1)); done; :`,
      )
      return () => inside(`rm -rf '${filler}'`)
    },
  }
}
