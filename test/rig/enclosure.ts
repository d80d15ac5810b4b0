import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { closeSync, existsSync, openSync, readdirSync, readFileSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { promisify } from 'node:util'
import { enterNetns, type Netns } from './netns.ts'
import { atEnd, isAlive } from './teardown.ts'

const execFileAsync = promisify(execFile)
const ENVIRONMENT = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' }

/** Before anything else in it: own `/run` and `/var/lib`, which runtimes and libcni write to by fixed paths. */
const FIRST_PROCESS = [
  'set -e',
  'mount -t tmpfs -o mode=755 tmpfs /run',
  'mkdir /run/netns /run/lock',
  'mount -t tmpfs -o mode=755 tmpfs /var/lib',
  'exec 3<&0',
  'echo ready',
  // A shell, because somebody has to wait for the processes whose parents are gone.
  'cat <&3 >/dev/null &',
  'wait $!',
].join('\n')

/**
 * A machine within the machine for a container runtime: own processes, mounts, `/run` and `/var/lib`, the
 * network of a namespace. All of it ends with this process, however that ends.
 */
export interface Enclosure {
  /** Its file system as others see it, also `<root>/run/netns/<name>`. */
  readonly root: string
  /** Name of a cgroup below each controller's root; removed at the end with what is in it. */
  readonly cgroup: string
  /** Starts a program in it; output goes to `logFile`. */
  start(program: string, args: readonly string[], options: EnclosedOptions): Promise<EnclosedProcess>
  /** Runs a program in it to its end, at most five minutes, and gives its stdout; rejects with all its words. */
  run(program: string, args?: readonly string[], options?: RunOptions): Promise<string>
  /** Ends all that is in it at once, as a power cut does. */
  cut(): Promise<void>
}

/** How a program in an {@link Enclosure} is started. */
interface EnclosedOptions {
  readonly logFile: string
  readonly env: NodeJS.ProcessEnv
}

/** How a program is run to its end. */
interface RunOptions {
  readonly env?: NodeJS.ProcessEnv
  readonly stdin?: string
}

/** A program that runs in an {@link Enclosure}. */
export interface EnclosedProcess {
  /** Its id outside. */
  readonly pid: number
  readonly isOver: boolean
  /** Sends a signal and waits for the end. */
  end(signal: NodeJS.Signals): Promise<void>
}

const CGROUP_PREFIX = 'plexus-test-'
let count = 0

/** Makes an {@link Enclosure} whose network is that of `host`. */
export async function createEnclosure(host: Netns): Promise<Enclosure> {
  if (count === 0) sweepDead()
  count += 1
  const cgroup = `${CGROUP_PREFIX}${process.pid}-${count}`
  const namespaces = ['--mount', '--pid', '--fork', '--kill-child', '--mount-proc']
  const args = [...namespaces, '/bin/sh', '-c', FIRST_PROCESS]
  const holder = spawn(...enterNetns(host.path, 'unshare', args), {
    env: ENVIRONMENT,
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  atEnd(() => {
    holder.kill('SIGKILL')
    removeCgroups(cgroup)
  })
  await new Promise<void>((resolve, reject) => {
    holder.stdout.once('data', () => resolve())
    holder.once('error', reject)
    holder.once('exit', (status) => reject(new Error(`the enclosure ended with ${status}`)))
  })
  holder.stdout.destroy()
  // A test that failed must not wait for it.
  holder.unref()
  ;(holder.stdin as unknown as { unref(): void }).unref()
  const first = await onlyChild(holder)
  const enter = ['nsenter', '--target', String(first), '--mount', '--pid', '--net', '--']
  return {
    root: `/proc/${first}/root`,
    cgroup,
    async run(program, programArgs = [], { env = ENVIRONMENT, stdin = '' } = {}) {
      const [command = '', ...rest] = [...enter, program, ...programArgs]
      const running = execFileAsync(command, rest, { env, timeout: 300_000, maxBuffer: 64 * 2 ** 20 })
      running.child.stdin?.on('error', () => undefined)
      running.child.stdin?.end(stdin)
      try {
        return (await running).stdout
      } catch (error) {
        const { message, stdout } = error as Error & { stdout?: string }
        throw new Error(`${message}${stdout ?? ''}`, { cause: error })
      }
    },
    async cut() {
      const ended = new Promise((resolve) => holder.once('exit', resolve))
      holder.ref()
      holder.kill('SIGKILL')
      await ended
      removeCgroups(cgroup)
    },
    async start(program, programArgs, { logFile, env }) {
      const log = openSync(logFile, 'a')
      const [command = '', ...rest] = [...enter, program, ...programArgs]
      const child = spawn(command, rest, { env, stdio: ['ignore', log, log] })
      closeSync(log)
      child.unref()
      let isOver = false
      const ended = new Promise<void>((resolve) => {
        const end = (): void => {
          isOver = true
          resolve()
        }
        child.once('exit', end)
        child.once('error', end)
      })
      const pid = await onlyChild(child).catch((error) => {
        throw new Error(`${error.message}: ${readFileSync(logFile, 'utf8')}`)
      })
      return {
        pid,
        get isOver() {
          return isOver
        },
        async end(signal) {
          const send = (name: NodeJS.Signals): void => {
            // nsenter ends after it, so as long as nsenter runs the id is no other's.
            if (!isOver && isAlive(pid)) process.kill(pid, name)
          }
          child.ref()
          send(signal)
          const timer = setTimeout(() => send('SIGKILL'), 20_000)
          await ended
          clearTimeout(timer)
        },
      }
    },
  }
}

/** The process that nsenter or unshare has forked, which is the first in the namespace of processes. */
async function onlyChild(parent: ChildProcess): Promise<number> {
  for (const end = Date.now() + 30_000; Date.now() < end && parent.exitCode === null; ) {
    const { pid } = parent
    try {
      const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim()
      if (children !== '') return Number(children.split(' ')[0])
    } catch {
      // It has ended, which is seen a moment later.
    }
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  throw new Error(`${parent.spawnfile} has started nothing`)
}

/** What a killed test process has left, which is cgroups and no process. */
function sweepDead(): void {
  const names = cgroupRoots()
    .flatMap((root) => readdirSync(root))
    .filter((name) => name.startsWith(CGROUP_PREFIX))
  for (const name of new Set(names)) {
    if (!isAlive(Number.parseInt(name.slice(CGROUP_PREFIX.length), 10))) removeCgroups(name)
  }
}

/** Removes the cgroups of a name; a killed process leaves its own a moment later. */
function removeCgroups(name: string): void {
  for (const path of cgroupRoots().map((root) => join(root, name))) {
    const end = Date.now() + 20_000
    while (existsSync(path) && !removeCgroup(path) && Date.now() < end)
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20)
    if (existsSync(path)) throw new Error(`cgroup ${path} is in use`)
  }
}

/** Where cgroups are: the one hierarchy of version 2, or one for each controller. */
function cgroupRoots(): string[] {
  const top = '/sys/fs/cgroup'
  if (!existsSync(top)) return []
  if (existsSync(join(top, 'cgroup.controllers'))) return [top]
  const folders = readdirSync(top, { withFileTypes: true }).filter((entry) => entry.isDirectory())
  return folders.map(({ name }) => join(top, name))
}

function removeCgroup(path: string): boolean {
  try {
    for (const entry of readdirSync(path, { withFileTypes: true }))
      if (entry.isDirectory()) removeCgroup(join(path, entry.name))
    rmdirSync(path)
    return true
  } catch {
    return false
  }
}
