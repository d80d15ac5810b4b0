import { readSync, writeSync } from 'node:fs'
import { performance } from 'node:perf_hooks'
import { CniError, toCniError, toErrorObject } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import { askedVersion, type CniRequest, parseRequest, parseVersionRequest } from '../cni/request.ts'
import { type NetConf, parseDelConf, parseNetConf } from '../config/net-conf.ts'
import type { EngineContext } from '../engine/engine.ts'
import { isForgotten, runVerb } from '../engine/verb.ts'
import { type Guard, startGuard } from '../executor/guard.ts'
import { localExecutor } from '../executor/local.ts'
import { openJournalDir } from '../journal/journal.ts'
import { lockAllSandboxes, lockSandbox, type SandboxLock } from '../journal/lock.ts'
import type { ClusterStore } from '../store/cluster-store.ts'
import { ownExecutable } from './installation.ts'
import { type CallLog, openLog } from './log.ts'

/** Time for the stdin of a call that need not have one. */
const STDIN_PATIENCE_MS = 1000

/**
 * Plexus as a CNI plugin: reads CNI_* and stdin, runs one verb on this host, writes one JSON document to
 * stdout (or nothing), and sets the exit status. CNI-022 to CNI-029.
 */
export async function runCniPlugin(): Promise<void> {
  const env = Object.fromEntries(
    Object.entries(process.env).filter((entry): entry is [string, string] => entry[1] !== undefined),
  )
  // Nobody may be reading what we and the delegates have to say; the pod is attached all the same.
  process.stderr.on('error', () => undefined)
  let stdin = ''
  let answer: string
  try {
    if (env.CNI_COMMAND === 'VERSION') {
      answer = JSON.stringify(parseVersionRequest(await readPromptStdin()))
    } else {
      stdin = readStdin()
      // Before, nothing has begun, and a wait for stdin would not hear them.
      const controller = new AbortController()
      const stop = (): void => controller.abort()
      process.on('SIGTERM', stop)
      process.on('SIGINT', stop)
      answer = await answerCall(env, stdin, controller.signal)
    }
  } catch (error) {
    answer = JSON.stringify(toErrorObject(toCniError(error), askedVersion(stdin)))
    process.exitCode = 1
  }
  if (answer !== '') writeStdout(`${answer}\n`)
}

async function answerCall(env: Record<string, string>, stdin: string, signal: AbortSignal): Promise<string> {
  const startedAt = performance.now()
  const request = parseRequest(env, stdin, {
    hasBinDir: ({ binDir }) => typeof binDir === 'string' && binDir !== '',
  })
  const conf = request.command === 'DEL' ? parseDelConf(request.stdin) : parseNetConf(request.stdin)
  const log = openLog(conf)
  if (request.command === 'DEL') for (const warning of conf.warnings) log.warn(warning)
  // The store's code is loaded while flock(1) runs.
  const [lock, store] = await Promise.all([takeLock(request, conf), openStore(conf, log)])
  let guard: Guard | undefined
  const journal = openJournalDir(conf.stateDir)
  try {
    const searchPath = [...new Set([...conf.binDirs, ...request.path])]
    // Remains of an earlier ADD may be undone before the plan, and their interfaces with them.
    const isFirst = request.command === 'ADD' && isForgotten({ journal, request })
    const isProbedNext = isFirst && conf.readinessIndicatorFile === undefined
    const context: EngineContext = {
      request,
      conf,
      signal,
      store,
      journal,
      executor: localExecutor({
        env,
        searchPath,
        self: ownExecutable(),
        maxOutputBytes: conf.maxOutputBytes,
        probeAhead: isProbedNext ? request.netns : undefined,
        guard: () => {
          guard ??= startGuard(lock.fds)
          return guard
        },
        stderr: (chunk) => process.stderr.write(chunk),
      }),
      now: () => performance.now(),
      startedAt,
      warn: (message) => log.warn(message),
      called: () => undefined,
      publishWaitMs: 0,
      // Nobody is left to do it after the answer.
      afterAnswer: async (task) => task(),
    }
    const answer = await runVerb(context)
    log.info(request, performance.now() - startedAt)
    return answer === undefined ? '' : JSON.stringify(answer)
  } catch (error) {
    log.error(toCniError(error))
    throw error
  } finally {
    guard?.close()
    lock.release(isForgotten({ journal, request }))
    await log.flush()
  }
}

async function takeLock(request: CniRequest, conf: NetConf): Promise<SandboxLock> {
  switch (request.command) {
    case 'ADD':
    case 'CHECK':
      return await lockSandbox(conf.stateDir, request.containerId, conf.lockTimeoutMs, false)
    case 'DEL':
      return await lockSandbox(conf.stateDir, request.containerId, conf.lockTimeoutMs, true)
    case 'GC':
      return await lockAllSandboxes(conf.stateDir, conf.lockTimeoutMs)
    case 'STATUS':
    case 'VERSION':
      return { fds: [], release: () => undefined }
  }
}

async function openStore(conf: NetConf, log: CallLog): Promise<ClusterStore | undefined> {
  const { kubeconfig, manifests, stateDir } = conf
  if (manifests !== undefined) {
    const { manifestStore } = await import('../store/manifests.ts')
    return manifestStore({ manifests, stateDir })
  }
  // What is undone needs no cluster, and a kubeconfig that is gone by now is not to stop it.
  if (kubeconfig === undefined) return undefined
  const { kubernetesStore } = await import('../store/kubernetes.ts')
  const { kubeconfigCredentials } = await import('../store/kubernetes-credentials.ts')
  const credentials = kubeconfigCredentials(kubeconfig)
  return kubernetesStore({ credentials, stateDir, warn: (message) => log.warn(message) })
}

/** What comes within a second: VERSION is answered whatever stdin is, also when it is never closed (CNI-032). */
async function readPromptStdin(): Promise<string> {
  let text = ''
  const timer = setTimeout(() => process.stdin.destroy(), STDIN_PATIENCE_MS)
  try {
    for await (const chunk of process.stdin.setEncoding('utf8')) text += chunk
  } catch {
    // Closed early, by us or by the caller, or never open.
  } finally {
    clearTimeout(timer)
  }
  return text
}

function readStdin(): string {
  try {
    return readToEnd(0)
  } catch (error) {
    throw new CniError(CniErrorCode.Io, `stdin cannot be read: ${toCniError(error).message}`, {
      cause: error,
    })
  }
}

/** Reads all of it, however slowly the runtime writes: a pipe may be non-blocking. */
function readToEnd(fd: number): string {
  const chunks: Buffer[] = []
  const buffer = Buffer.alloc(64 * 1024)
  for (;;) {
    try {
      const sizeBytes = readSync(fd, buffer)
      if (sizeBytes === 0) return Buffer.concat(chunks).toString('utf8')
      chunks.push(Buffer.from(buffer.subarray(0, sizeBytes)))
    } catch (error) {
      if (!hasCode(error, 'EAGAIN')) throw error
      pause()
    }
  }
}

/** Writes all of it, however slowly the runtime reads: a pipe may be full or non-blocking (CNI-029). */
function writeStdout(text: string): void {
  const bytes = Buffer.from(text)
  for (let offset = 0; offset < bytes.length; ) {
    try {
      offset += writeSync(1, bytes, offset)
    } catch (error) {
      if (hasCode(error, 'EPIPE')) return
      if (!hasCode(error, 'EAGAIN')) throw error
      pause()
    }
  }
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}

/** Nothing else is under way that it could hold up. */
function pause(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5)
}
