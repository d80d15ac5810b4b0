import { type ChildProcess, spawn } from 'node:child_process'
import { chmodSync, copyFileSync, mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { builtShim } from '../native/shim.ts'
import { PLEXUS } from './plexus.ts'
import { atEnd } from './teardown.ts'
import { tempDir } from './temp-dir.ts'

/** A node's shim and the place of its daemon; the daemon need not run. */
export interface Installation {
  /** The shim, for `PlexusCall.executable`. */
  readonly shim: string
  readonly socket: string
  readonly confFile: string
  /** Replaces the daemon's configuration: an object is printed as YAML's subset JSON, a text goes as it is. */
  configure(conf: object | string): void
  /** Starts a daemon and waits until it says that it is ready; rejects with its log when it ends before. */
  start(options?: StartOptions): Promise<TestDaemon>
}

/** How a daemon is started. */
interface StartOptions {
  /** Program and arguments before `bin/plexus`, for example `setpriv`. */
  readonly wrap?: readonly string[]
}

/** A running process that logs one object a line on stderr. */
export interface LoggedProcess {
  readonly pid: number
  /** Its log so far, one object a line. */
  log(): Record<string, unknown>[]
  /** Its log as it was written. */
  lines(): string[]
  kill(signal: NodeJS.Signals): void
  /** Sends SIGTERM and waits for the end, exit status or signal. */
  stop(): Promise<number | NodeJS.Signals>
  readonly ended: Promise<number | NodeJS.Signals>
}

/** A running daemon. */
export interface TestDaemon extends LoggedProcess {
  /** Asks an HTTP endpoint. */
  get(path: string): Promise<{ readonly status: number; readonly body: string }>
}

/**
 * Installs a shim and a daemon's configuration for a test node.
 *
 * @param shim Keys of plexus.shim; waits are 5 s unless given, for a daemon that runs but has no processor.
 * @param conf Further keys of the daemon's configuration; `metricsAddress` is a free port of loopback.
 */
export function installDaemon(
  node: { readonly stateDir: string },
  { conf = {}, shim = {} }: { readonly conf?: object; readonly shim?: Readonly<Record<string, string>> } = {},
): Installation {
  const dir = tempDir('daemon')
  const binDir = join(dir, 'bin')
  mkdirSync(binDir, { mode: 0o755 })
  mkdirSync(join(dir, 'run'), { mode: 0o700 })
  const executable = join(binDir, 'plexus')
  copyFileSync(builtShim(), executable)
  chmodSync(executable, 0o755)
  const socket = join(dir, 'run/plexus.sock')
  const keys = { socket, stateDir: node.stateDir, binDirs: binDir, addWait: '5', delWait: '5', ...shim }
  writeFileSync(
    join(binDir, 'plexus.shim'),
    Object.entries(keys)
      .map(([key, value]) => `${key}=${value}\n`)
      .join(''),
    { mode: 0o644 },
  )
  const confFile = join(dir, 'daemon.yaml')
  const configure = (next: object | string): void => {
    const all =
      typeof next === 'string'
        ? next
        : { socket, stateDir: node.stateDir, metricsAddress: '127.0.0.1:0', ...next }
    writeFileSync(`${confFile}.new`, typeof all === 'string' ? all : JSON.stringify(all))
    renameSync(`${confFile}.new`, confFile)
  }
  configure(conf)
  return {
    shim: executable,
    socket,
    confFile,
    configure,
    start: (options) => startDaemonAt(confFile, options),
  }
}

/** Starts a daemon with that configuration, and waits until it says that it is ready. */
export async function startDaemonAt(confFile: string, { wrap = [] }: StartOptions = {}): Promise<TestDaemon> {
  const daemon = await startLogged([...wrap, PLEXUS, 'daemon', '--config', confFile], 'daemon is ready')
  return {
    ...daemon,
    async get(path) {
      const port = daemon.log().find(({ msg }) => msg === 'daemon is ready')?.httpPort
      const response = await ask(`http://127.0.0.1:${String(port)}${path}`)
      return { status: response.status, body: await response.text() }
    },
  }
}

/** Starts a process and waits until it logs this message; rejects with its log when it ends before. */
export async function startLogged(
  [program = PLEXUS, ...args]: readonly string[],
  message: string,
): Promise<LoggedProcess> {
  // Without the mark of the test run: it outlives the requests whose leftovers are looked for.
  const child: ChildProcess = spawn(program, args, {
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
    stdio: ['ignore', 'inherit', 'pipe'],
  })
  atEnd(() => child.kill('SIGKILL'))
  // A test that failed must not wait for it.
  const { stderr } = child
  const hold = (isHeld: boolean): void => {
    for (const handle of [child, ...(stderr instanceof Socket ? [stderr] : [])]) {
      if (isHeld) handle.ref()
      else handle.unref()
    }
  }
  hold(false)
  let text = ''
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk
  })
  const ended = new Promise<number | NodeJS.Signals>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (status, signal) => resolve(status ?? signal ?? -1))
  })
  const lines = (): string[] => text.split('\n').slice(0, -1)
  const log = (): Record<string, unknown>[] =>
    lines()
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as Record<string, unknown>)
  const isReady = (): boolean => log().some(({ msg }) => msg === message)
  let isOver = false
  void ended.then(() => {
    isOver = true
  })
  for (const end = Date.now() + 60_000; !isReady(); await delay(10)) {
    if (isOver || Date.now() > end) throw new Error(`"${message}" is not said: ${text}`)
  }
  return {
    pid: child.pid ?? -1,
    log,
    lines,
    kill: (signal) => {
      if (signal !== 'SIGSTOP' && signal !== 'SIGCONT') hold(true)
      child.kill(signal)
    },
    stop: () => {
      hold(true)
      child.kill('SIGTERM')
      return ended
    },
    ended,
  }
}

/** What makes the program late makes the test late as well: it looks so often, whatever the clock says. */
const FEWEST_LOOKS = 20

/** Repeats a check until it no longer throws, at most `timeoutMs`; then its error. */
export async function eventually(check: () => void | Promise<void>, timeoutMs = 20_000): Promise<void> {
  const end = performance.now() + timeoutMs
  for (let looks = 1; ; looks++) {
    try {
      await check()
      return
    } catch (error) {
      if (looks >= FEWEST_LOOKS && performance.now() > end) throw error
    }
    await delay(50)
  }
}

/** Asks an HTTP server by a connection of its own: one that is kept may be the other side's to close at any time. */
export function ask(url: string, options: RequestInit = {}): Promise<Response> {
  return fetch(url, { ...options, headers: { connection: 'close' } })
}
