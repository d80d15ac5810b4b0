import { spawn } from 'node:child_process'
import { performance } from 'node:perf_hooks'
import type { Readable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { CniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import type { PluginFile } from '../plan/host-facts.ts'
import {
  type CallSeries,
  type DelegateCall,
  type DelegateExit,
  dropped,
  type Executor,
  hasSucceeded,
} from './executor.ts'
import type { Guard } from './guard.ts'
import { isOwnNetns, readNetnsId } from './netns.ts'
import { readLinks } from './netns-exec.ts'
import { findPlugin, isSameFile, pluginNotFound } from './plugin-lookup.ts'
import { changeRoutes } from './routes.ts'

/** What the local executor works with. */
export interface LocalExecutorOptions {
  /** The whole environment of the request; delegates get it with the six CNI variables replaced (CNI-089). */
  readonly env: Readonly<Record<string, string>>
  /** Directories of plugins, in order (CNI-090). */
  readonly searchPath: readonly string[]
  /** Path of Plexus's own executable, which is never delegated to. */
  readonly self: string
  /** Bytes of stdout after which a delegate is ended (CNI-104). */
  readonly maxOutputBytes: number
  /** A netns that will be probed and does not change before: its interfaces are read at once. */
  readonly probeAhead: string | undefined
  readonly guard: () => Guard
  /** Where the delegates' stderr goes (CNI-095). */
  readonly stderr: (chunk: Buffer) => void
}

const STDERR_LIMIT_BYTES = 1024 * 1024
const BUSY_ATTEMPTS = 6
const BUSY_DELAY_MS = 1000
const KILL_DELAY_MS = 500
const DRAIN_DELAY_MS = 250

/** The executor of the standalone plugin: starts the delegates itself. */
export function localExecutor(options: LocalExecutorOptions): Executor {
  const { searchPath, probeAhead } = options
  const isAhead = probeAhead !== undefined && readNetnsId(probeAhead) !== undefined && !isOwnNetns(probeAhead)
  const linksAhead = isAhead ? readLinks(probeAhead) : undefined
  // Told to whoever asks for them, if anybody does.
  linksAhead?.catch(() => undefined)
  const linksOf = (netns: string): Promise<string[]> =>
    linksAhead !== undefined && netns === probeAhead ? linksAhead : readLinks(netns)
  return {
    async probe(netns, types) {
      const plugins = new Map<string, PluginFile | undefined>()
      for (const type of types) {
        const path = findPlugin(type, searchPath)
        plugins.set(type, path === undefined ? undefined : { path, isPlexus: isSameFile(path, options.self) })
      }
      const netnsId = readNetnsId(netns)
      const isHostNetns = netnsId !== undefined && isOwnNetns(netns)
      const links = netnsId === undefined || isHostNetns ? [] : await linksOf(netns)
      return { netnsId, isHostNetns, links, plugins, searchPath }
    },
    exec: (call, signal) => execDelegate(call, signal, options),
    execSeries: (series) => execSeries(series, options),
    netnsId: async (netns) => readNetnsId(netns),
    changeRoutes,
  }
}

function execSeries(series: CallSeries, options: LocalExecutorOptions): Promise<DelegateExit>[] {
  const { calls, next, together = 0, withinMs, signal, starting } = series
  const deadline = performance.now() + withinMs
  let before: Promise<boolean> = Promise.resolve(true)
  return calls.map((call, index) => {
    const exit = before.then((isBeforeGood) => {
      const leftMs = deadline - performance.now()
      if (leftMs <= 0 || signal?.aborted === true || (next === 'success' && !isBeforeGood)) {
        throw dropped(call)
      }
      starting?.([index])
      return execDelegate({ ...call, timeoutMs: Math.min(call.timeoutMs, leftMs) }, signal, options)
    })
    // Whoever asked for the series looks at them in turn: none is unhandled until then.
    const isGood = exit.then(hasSucceeded, () => false)
    if (index < calls.length - together) before = isGood
    return exit
  })
}

async function execDelegate(
  call: DelegateCall,
  signal: AbortSignal | undefined,
  options: LocalExecutorOptions,
): Promise<DelegateExit> {
  const directories = searchPathOf(call, options)
  const path = findPlugin(call.type, directories)
  if (path === undefined) throw pluginNotFound(call.type, directories)
  const deadline = performance.now() + call.timeoutMs
  for (let attempt = 1; ; attempt++) {
    try {
      return await execOnce(path, call, deadline, signal, options)
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : undefined
      const reason = error instanceof Error ? error.message : String(error)
      if (code !== 'ETXTBSY') {
        throw new CniError(CniErrorCode.Io, `plugin "${call.type}" cannot be started: ${reason}`, {
          cause: error,
          hint: `check that ${path} is an executable file for this machine`,
        })
      }
      if (
        attempt === BUSY_ATTEMPTS ||
        performance.now() + BUSY_DELAY_MS > deadline ||
        signal?.aborted === true
      ) {
        throw new CniError(
          CniErrorCode.TryAgainLater,
          `plugin "${call.type}" is busy: ${path} is being written`,
          {
            cause: error,
            hint: 'retry when its installation has ended',
          },
        )
      }
      await delay(BUSY_DELAY_MS)
    }
  }
}

function execOnce(
  path: string,
  call: DelegateCall,
  deadline: number,
  signal: AbortSignal | undefined,
  options: LocalExecutorOptions,
): Promise<DelegateExit> {
  const start = performance.now()
  return new Promise((resolve, reject) => {
    const child = spawn(path, [], {
      detached: true,
      env: delegateEnv(call, options),
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    const group = child.pid
    if (group === undefined) {
      child.once('error', reject)
      return
    }
    const guard = options.guard()
    // Ahead of its stdin: what is not watched yet has nothing to work with should we be killed now.
    guard.watch(group)
    let ended: DelegateExit['ended']
    let killTimer: NodeJS.Timeout | undefined
    const end = (reason: NonNullable<DelegateExit['ended']>): void => {
      if (ended !== undefined) return
      ended = reason
      killGroup(group, 'SIGTERM')
      killTimer = setTimeout(() => killGroup(group, 'SIGKILL'), KILL_DELAY_MS)
    }
    const timer = setTimeout(() => end('timeout'), Math.max(0, deadline - start))
    const cancel = (): void => end('cancelled')
    signal?.addEventListener('abort', cancel, { once: true })
    if (signal?.aborted === true) cancel()

    const stdout = collect(child.stdout, options.maxOutputBytes, () => end('output'))
    const stderr = collect(child.stderr, STDERR_LIMIT_BYTES, () => undefined, options.stderr)
    // A delegate may exit without reading its input (CNI-094).
    child.stdin.on('error', () => undefined)
    child.stdin.end(call.stdin)

    child.once('error', reject)
    child.once('exit', (code, endedBy) => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', cancel)
      const finish = (): void => {
        clearTimeout(killTimer)
        // What we had to end may have left children that took no notice of SIGTERM.
        if (ended !== undefined) killGroup(group, 'SIGKILL')
        guard.release(group)
        child.stdout.destroy()
        child.stderr.destroy()
        resolve({
          status: code ?? undefined,
          signal: endedBy ?? undefined,
          stdout: stdout.text(),
          stderr: stderr.text(),
          ended,
          durationMs: performance.now() - start,
        })
      }
      const drain = setTimeout(() => {
        // A grandchild keeps the pipes open: its output is not waited for, and it is not left behind.
        killGroup(group, 'SIGKILL')
        finish()
      }, DRAIN_DELAY_MS)
      void Promise.all([stdout.closed, stderr.closed]).then(() => {
        clearTimeout(drain)
        finish()
      })
    })
  })
}

function searchPathOf({ searchAlso = [] }: DelegateCall, { searchPath }: LocalExecutorOptions): string[] {
  return [...new Set([...searchPath, ...searchAlso])]
}

function delegateEnv(call: DelegateCall, options: LocalExecutorOptions): Record<string, string> {
  return {
    ...options.env,
    CNI_COMMAND: call.command,
    CNI_CONTAINERID: call.containerId,
    CNI_NETNS: call.netns,
    CNI_IFNAME: call.ifName,
    CNI_ARGS: call.args,
    CNI_PATH: searchPathOf(call, options).join(':'),
  }
}

interface Collected {
  readonly closed: Promise<void>
  text(): string
}

function collect(
  stream: Readable,
  limitBytes: number,
  overflow: () => void,
  forward?: (chunk: Buffer) => void,
): Collected {
  const chunks: Buffer[] = []
  let sizeBytes = 0
  stream.on('data', (chunk: Buffer) => {
    const room = limitBytes - sizeBytes
    sizeBytes += chunk.length
    if (room > 0) {
      const kept = chunk.subarray(0, room)
      chunks.push(kept)
      forward?.(kept)
    }
    if (sizeBytes > limitBytes) overflow()
  })
  const closed = new Promise<void>((resolve) => {
    stream.once('close', resolve)
    stream.once('error', () => resolve())
  })
  return { closed, text: () => Buffer.concat(chunks).toString('utf8') }
}

function killGroup(group: number, signal: 'SIGTERM' | 'SIGKILL'): void {
  try {
    process.kill(-group, signal)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ESRCH') return
    throw error
  }
}
