import { spawn } from 'node:child_process'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { isJsonObject, type JsonObject, parseJson } from '../../src/cni/json.ts'
import { enterNetns, type Netns } from './netns.ts'
import { TEST_RUN } from './teardown.ts'

/** The repository's `bin/plexus`. */
export const PLEXUS = fileURLToPath(new URL('../../bin/plexus', import.meta.url))

/** What a runtime gives a plugin. An absent value leaves its CNI_* variable unset; '' sets it empty. */
export interface PlexusCall {
  /** stdin: an object is printed as JSON, a text or bytes go as they are, absent is an empty stdin. */
  readonly conf?: object | string | Uint8Array
  /** stdin is never closed. */
  readonly isStdinOpen?: boolean
  readonly containerId?: string
  /** CNI_NETNS: a namespace or a path. */
  readonly netns?: Netns | string
  readonly ifName?: string
  /** CNI_ARGS. */
  readonly args?: string
  /** CNI_PATH: directories. */
  readonly path?: readonly string[]
  /** Further environment; `undefined` as a value removes one. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Runs the plugin in this network namespace instead of the machine's own. */
  readonly inNetns?: Netns
  /** Another executable than {@link PLEXUS}, for example the shim or a delegate alone. */
  readonly executable?: string
  /** Killed after it (default 120 000). */
  readonly timeoutMs?: number
  readonly cwd?: string
}

/** How a call ended. */
export interface PlexusRun {
  /** Exit status; `undefined` when a signal ended it. */
  readonly status: number | undefined
  readonly signal: NodeJS.Signals | undefined
  readonly stdout: string
  readonly stderr: string
  /** stdout parsed; `undefined` when it is no JSON object. */
  readonly json: JsonObject | undefined
  readonly durationMs: number
}

/** A call that still runs. */
export interface RunningPlexus {
  /** The plugin's own process id, also in a network namespace. */
  readonly pid: number
  kill(signal?: NodeJS.Signals): void
  readonly finished: Promise<PlexusRun>
}

/**
 * Starts the plugin as a runtime would: environment only CNI_*, a minimal PATH and the mark of this test run.
 *
 * @param command CNI_COMMAND; `undefined` leaves it unset.
 */
export function startPlexus(command: string | undefined, call: PlexusCall = {}): RunningPlexus {
  const begin = performance.now()
  const executable = call.executable ?? PLEXUS
  const [program, args] =
    call.inNetns === undefined ? [executable, []] : enterNetns(call.inNetns.path, executable, [])
  const child = spawn(program, args, {
    env: environment(command, call),
    ...(call.cwd === undefined ? {} : { cwd: call.cwd }),
    timeout: call.timeoutMs ?? 120_000,
    killSignal: 'SIGKILL',
  })
  const { pid } = child
  const out: Buffer[] = []
  const err: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => err.push(chunk))
  child.stdin.on('error', () => {}) // a plugin may end without reading
  if (call.isStdinOpen === true) child.stdin.write(stdinOf(call.conf))
  else child.stdin.end(stdinOf(call.conf))
  const finished = new Promise<PlexusRun>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (status, signal) => {
      const stdout = Buffer.concat(out).toString()
      resolve({
        status: status ?? undefined,
        signal: signal ?? undefined,
        stdout,
        stderr: Buffer.concat(err).toString(),
        json: toJsonObject(stdout),
        durationMs: performance.now() - begin,
      })
    })
  })
  if (pid === undefined) return { pid: -1, kill: () => {}, finished }
  return { pid, kill: (signal = 'SIGTERM') => void child.kill(signal), finished }
}

/** {@link startPlexus}, waited for. */
export function runPlexus(command: string | undefined, call: PlexusCall = {}): Promise<PlexusRun> {
  return startPlexus(command, call).finished
}

/** Runs `bin/plexus`, or another executable, as the command line tool: with arguments and without CNI_COMMAND. */
export function runCli(
  args: readonly string[],
  options: Pick<PlexusCall, 'env' | 'cwd' | 'timeoutMs' | 'executable' | 'inNetns'> = {},
) {
  const begin = performance.now()
  const { executable = PLEXUS, inNetns } = options
  const [program, all] =
    inNetns === undefined ? [executable, args] : enterNetns(inNetns.path, executable, [...args])
  return new Promise<PlexusRun>((resolve, reject) => {
    const child = spawn(program, all, {
      env: environment(undefined, options),
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      timeout: options.timeoutMs ?? 120_000,
      killSignal: 'SIGKILL',
    })
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text
    })
    child.once('error', reject)
    child.once('close', (exit, signal) =>
      resolve({
        status: exit ?? undefined,
        signal: signal ?? undefined,
        stdout,
        stderr,
        json: toJsonObject(stdout),
        durationMs: performance.now() - begin,
      }),
    )
  })
}

function environment(command: string | undefined, call: PlexusCall): NodeJS.ProcessEnv {
  const netns = typeof call.netns === 'object' ? call.netns.path : call.netns
  const all: Record<string, string | undefined> = {
    PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
    PLEXUS_TEST_RUN: TEST_RUN,
    CNI_COMMAND: command,
    CNI_CONTAINERID: call.containerId,
    CNI_NETNS: netns,
    CNI_IFNAME: call.ifName,
    CNI_ARGS: call.args,
    CNI_PATH: call.path?.join(':'),
    ...call.env,
  }
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined))
}

function stdinOf(conf: PlexusCall['conf']): string | Uint8Array {
  if (conf === undefined) return ''
  return typeof conf === 'string' || conf instanceof Uint8Array ? conf : JSON.stringify(conf)
}

function toJsonObject(text: string): JsonObject | undefined {
  try {
    const value = parseJson(text, 'stdout')
    return isJsonObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** The repository's root. */
export const ROOT = dirname(dirname(PLEXUS))
