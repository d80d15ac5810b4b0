import { availableParallelism } from 'node:os'
import { performance } from 'node:perf_hooks'
import type { Duplex } from 'node:stream'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { formatCniArgs } from '../cni/cni-args.ts'
import { CniError, toCniError, toErrorObject } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import { identifierFault } from '../cni/identifier.ts'
import { askedVersion, type CniRequest, parseRequest } from '../cni/request.ts'
import type { NetConf } from '../config/net-conf.ts'
import type { CallReport } from '../engine/engine.ts'
import { isForgotten, runVerb } from '../engine/verb.ts'
import { type Connection, openConnection } from '../executor/connection.ts'
import {
  agreedVersion,
  decodeHello,
  encodeMessage,
  type Hello,
  MessageKind,
  PROTOCOL_VERSIONS,
} from '../executor/protocol.ts'
import { type FoundPlugins, type RemoteExecutor, remoteExecutor } from '../executor/remote.ts'
import { openJournalDir } from '../journal/journal.ts'
import type { ClusterStore } from '../store/cluster-store.ts'
import type { ConfFile } from '../store/conf-files.ts'
import type { Admission } from './admission.ts'
import type { AgentSession } from './agents.ts'
import type { Newcomers } from './newcomers.ts'
import type { SearchedFolders } from './searched-folders.ts'

/** What every session works with. */
export interface SessionServices {
  readonly admission: Admission
  /** The configuration of a request: the daemon's keys over those on stdin. */
  conf(request: CniRequest): NetConf
  store(conf: NetConf): ClusterStore | undefined
  /** Where the state of a request lies that has no configuration. @throws {CniError} */
  stateDir(): string
  /** Whether what is read now may be of long ago. */
  isHeldUp(): boolean
  /** How long an answer waits for its publication. */
  publishWaitMs(): number
  /** A conf file that is watched. */
  knownFile(path: string): ConfFile | undefined
  /** Called when a session begins and when it is over. */
  begun(): void
  ended(): void
  /** One line per request. */
  report(report: RequestReport): void
  /** Whether there is undo work for a shim now. */
  hasErrands(): boolean
  /** Undo work for the shim after its answer; resolves when there is none left or no time. */
  errands(session: ErrandSession, conf: NetConf): Promise<void>
  /** Told when no errand could be done, for example because the journal cannot be read. */
  errandFault(error: CniError): void
  readonly newcomers: Newcomers
  readonly foundPlugins: FoundPlugins
  readonly searchedFolders: SearchedFolders
  /** Told why a peer was sent away. */
  refused(reason: string): void
  /** An agent has connected. */
  agent(agent: AgentSession): void
}

/** What is told of one request. Milliseconds. */
export interface RequestReport {
  readonly request: CniRequest | undefined
  /** Its configuration; `undefined` when that is what is wrong. */
  readonly conf: NetConf | undefined
  readonly error: CniError | undefined
  readonly warnings: readonly string[]
  readonly queueMs: number
  readonly durationMs: number
  readonly calls: readonly CallReport[]
}

/** A shim that has had its answer and lends a hand. */
export interface ErrandSession {
  readonly executor: RemoteExecutor
  /** Asks the shim for a container's lock, without waiting. */
  lock(containerId: string): Promise<boolean>
}

/** A peer that has not said hello by then is no shim. */
const HELLO_TIMEOUT_MS = 5000
/** A shim tries a lock without waiting, and goes when it is told that there is nothing more to do. */
const SHIM_ANSWER_MS = 10_000

/**
 * ADDs under way up to which time counts more than the processor: then networks are attached in parallel, and
 * the ends of plugins are looked at when they come. With more of them both cost throughput (design §4).
 */
const CALM_UP_TO = availableParallelism()

/** Serves one shim: its hello is the request, all else follows from the engine. */
export function serveShim(socket: Duplex, services: SessionServices): void {
  const isCalm = (): boolean => services.admission.running <= CALM_UP_TO
  const controller = new AbortController()
  const helloTimer = setTimeout(() => connection.close('no hello'), HELLO_TIMEOUT_MS)
  helloTimer.unref()
  let session: Session | undefined
  let answerErrand: ((isLocked: boolean) => void) | undefined
  const newcomer = services.newcomers.enter((reason) => connection.close(reason))
  const settle = (): void => {
    clearTimeout(helloTimer)
    newcomer.leave()
  }
  const lock = (containerId: string): Promise<boolean> =>
    new Promise((resolve) => {
      if (controller.signal.aborted) {
        resolve(false)
        return
      }
      const timer = setTimeout(() => connection.close('the shim does not answer'), SHIM_ANSWER_MS)
      answerErrand = (isLocked) => {
        clearTimeout(timer)
        answerErrand = undefined
        resolve(isLocked)
      }
      connection.send(encodeMessage.errand(containerId))
    })
  const connection: Connection = openConnection(socket, {
    holds: (bytes) => newcomer.holds(bytes),
    frame(frame) {
      if (session === undefined) {
        settle()
        const hello = decodeHello(frame)
        if (hello === undefined) {
          connection.close('a frame before hello')
          return
        }
        const netns = hello.env.CNI_NETNS ?? ''
        const executor = remoteExecutor(connection, { ...hello, netns }, services.foundPlugins, isCalm)
        session = { connection, executor, hello, signal: controller.signal, lock }
        if (hello.isAgent) serveAgent(session, services)
        else {
          services.searchedFolders.searched(hello)
          void serve(session, services)
        }
        return
      }
      if (frame.kind === MessageKind.cancel) controller.abort()
      else if (frame.kind === MessageKind.errand) answerErrand?.(frame.fields[1]?.[3] === 1)
      else if (!session.executor.receive(frame)) connection.close('an answer that nobody asked for')
    },
    closed(error) {
      settle()
      // A socket that breaks is a shim that was killed, which is the runtime's right.
      if (error !== undefined && error.code !== CniErrorCode.Io) services.refused(error.message)
      controller.abort()
      session?.executor.disconnect()
      answerErrand?.(false)
    },
  })
}

interface Session extends ErrandSession {
  readonly connection: Connection
  readonly hello: Hello
  readonly signal: AbortSignal
}

/** An agent has no request: it is kept for errands. */
function serveAgent({ connection, executor, hello, signal, lock }: Session, services: SessionServices): void {
  try {
    connection.send(encodeMessage.hello(agreeOnVersion(hello), ''))
  } catch (error) {
    connection.send(encodeMessage.done(1, false, false, toCniError(error).message))
    endSoon(connection, signal)
    return
  }
  services.agent({
    executor,
    signal,
    lock,
    close: (reason) => connection.close(reason),
  })
}

/** What has been sent is read by then, or never. */
function endSoon(connection: Connection, signal: AbortSignal): void {
  const timer = setTimeout(() => connection.close(), SHIM_ANSWER_MS)
  timer.unref()
  signal.addEventListener('abort', () => clearTimeout(timer), { once: true })
}

async function serve(session: Session, services: SessionServices): Promise<void> {
  const { connection, hello } = session
  const start = performance.now()
  services.begun()
  const warnings: string[] = []
  let request: CniRequest | undefined
  let conf: NetConf | undefined
  let error: CniError | undefined
  const calls: CallReport[] = []
  const tasks: (() => void | Promise<void>)[] = []
  let queueMs = 0
  const mayFollow = services.hasErrands()
  if (services.isHeldUp()) {
    // A shim that has given up meanwhile has done without us, or let go of its lock. The end of its connection is
    // read behind what it has said.
    for (let turn = 0; turn < 3; turn++) await nextTurn()
    if (session.signal.aborted) {
      services.ended()
      return
    }
  }
  try {
    connection.sendSoon(encodeMessage.hello(agreeOnVersion(hello), ''))
    request = parseRequest(hello.env, hello.stdin, { hasBinDir: () => hello.searchPath.length > 0 })
    conf = services.conf(request)
    if (request.command === 'DEL') warnings.push(...conf.warnings)
    const release = await admit(request, conf, services.admission, session.signal)
    queueMs = performance.now() - start
    expectFirst(session, request)
    try {
      const answer = await runVerb({
        request: { ...request, path: [...hello.searchPath] },
        conf: { ...conf, parallel: conf.parallel && services.admission.running <= CALM_UP_TO },
        executor: session.executor,
        journal: openJournalDir(conf.stateDir),
        store: services.store(conf),
        knownFile: services.knownFile,
        signal: session.signal,
        now: () => performance.now(),
        startedAt: start,
        warn: (message) => warnings.push(message),
        called: (report) => calls.push(report),
        publishWaitMs: services.publishWaitMs(),
        afterAnswer: async (task) => {
          tasks.push(task)
        },
      })
      const { stateDir } = conf
      // The record of this DEL goes after the answer.
      const goes = tasks.length > 0 ? request.ifName : undefined
      const isForgotten = request.command === 'DEL' && mayForget(request, () => stateDir, goes)
      const text = answer === undefined ? '' : `${JSON.stringify(answer)}\n`
      connection.send(encodeMessage.done(0, isForgotten, mayFollow, text))
    } finally {
      release()
    }
  } catch (fault) {
    error = toCniError(fault)
    const text = `${JSON.stringify(toErrorObject(error, askedVersion(hello.stdin)))}\n`
    const containerId = request?.containerId ?? hello.env.CNI_CONTAINERID ?? ''
    const isForgotten = mayForget({ containerId }, () => conf?.stateDir ?? services.stateDir())
    connection.send(encodeMessage.done(1, isForgotten, mayFollow, text))
  }
  for (const task of tasks) {
    try {
      await task()
    } catch (fault) {
      warnings.push(toCniError(fault).message)
    }
  }
  try {
    services.report({ request, conf, error, warnings, queueMs, durationMs: performance.now() - start, calls })
    if (mayFollow && conf !== undefined && !session.signal.aborted) await services.errands(session, conf)
  } catch (fault) {
    // The request has had its answer; what is wrong here must not end the daemon.
    services.errandFault(toCniError(fault))
  } finally {
    if (mayFollow) connection.send(encodeMessage.errand(''))
    endSoon(connection, session.signal)
    services.ended()
  }
}

/** As a rule plugins get the runtime's own arguments. */
function expectFirst({ executor, hello }: Session, { command, containerId, netns, args }: CniRequest): void {
  if ((command !== 'ADD' && command !== 'DEL') || hello.isHostNetns) return
  let plain: string
  try {
    plain = formatCniArgs(args)
  } catch {
    // The plan says so with the network's name.
    return
  }
  executor.expect({ command, containerId, netns, args: plain })
}

/** @param goes An interface whose record goes after the answer. */
function mayForget(request: Pick<CniRequest, 'containerId'>, stateDir: () => string, goes?: string): boolean {
  if (identifierFault(request.containerId) !== undefined) return false
  try {
    return isForgotten({ request, journal: openJournalDir(stateDir()) }, goes)
  } catch {
    // An empty lock file does no harm.
    return false
  }
}

function agreeOnVersion(shim: Hello): number {
  const version = agreedVersion(shim)
  if (version !== undefined) return version
  throw new CniError(
    CniErrorCode.TryAgainLater,
    `the plexus shim speaks protocol ${shim.lowest} to ${shim.highest}, the daemon ${PROTOCOL_VERSIONS.lowest} to ${PROTOCOL_VERSIONS.highest}`,
    { hint: 'bring shim and daemon of this node to the same release' },
  )
}

/** ADDs take turns; the wait is part of the time that the runtime gives them. DELs are never held back. */
async function admit(
  request: CniRequest,
  conf: NetConf,
  admission: Admission,
  signal: AbortSignal,
): Promise<() => void> {
  if (request.command !== 'ADD') return () => undefined
  const namespace = request.args.find(([key]) => key === 'K8S_POD_NAMESPACE')?.[1] ?? ''
  return await admission.enter(namespace, conf.addTimeoutMs / 2, signal)
}
