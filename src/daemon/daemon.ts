import type { Socket } from 'node:net'
import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises'
import { CniError, toCniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import type { CniRequest } from '../cni/request.ts'
import { type NetConf, parseNetConf } from '../config/net-conf.ts'
import { openFoundPlugins } from '../executor/remote.ts'
import { openJournalDir } from '../journal/journal.ts'
import { sweepStatus } from '../store/status-files.ts'
import { openAdmission } from './admission.ts'
import { openAgents } from './agents.ts'
import { openClusterStores } from './cluster-stores.ts'
import { watchConfFile } from './conf-file.ts'
import { DEFAULT_NETWORK_KEYS, type KeptDefaultNetwork, openDefaultNetwork } from './default-network.ts'
import { AGENT_LIMITS, openErrands, SHIM_LIMITS } from './errands.ts'
import { watchEventLoopDelay } from './event-loop-delay.ts'
import { failedAttempt } from './failed-attempt.ts'
import { type HttpEndpoints, type Readiness, serveHttp } from './http.ts'
import { openJournalSize } from './journal-size.ts'
import { logRequest, openDaemonLog } from './log.ts'
import { openMetrics } from './metrics.ts'
import { openNetConfs } from './net-confs.ts'
import { openNewcomers, openRefusals } from './newcomers.ts'
import { openNodeReports } from './node-report.ts'
import { openReadiness } from './readiness.ts'
import { recordedPublications } from './recorded-publications.ts'
import { openSearchedFolders } from './searched-folders.ts'
import { serveShim } from './session.ts'
import { listen, type SocketServer } from './socket-server.ts'

/** A running daemon. */
export interface Daemon {
  /** Port of the HTTP endpoints; `undefined` when there are none. */
  readonly httpPort: number | undefined
  /** No new work, a bounded wait for what is under way. Resolves to how many requests were cut off. */
  stop(): Promise<number>
  /** Writes the last words of a daemon that cannot go on. */
  fatal(error: unknown): void
}

const SCAN_INTERVAL_MS = 30_000
/** How soon the address of the HTTP endpoints is left to a daemon that has taken over. */
const TAKEN_OVER_INTERVAL_MS = 500
/** Who connected just before the stop still says hello within this. */
const HELLO_GRACE_MS = 1000
/** What is under way to the API server gets there within this, if it answers. */
const PUBLISH_GRACE_MS = 1000

/**
 * Starts the daemon: configuration, recovery from the journal, socket last, so that a shim that connects
 * is served. Design §1, §5, §6.
 *
 * @param version Of this Plexus, for the metrics.
 * @throws {CniError} When configuration, socket directory or HTTP address are unusable.
 */
export async function startDaemon(confPath: string, version: string): Promise<Daemon> {
  const watch = watchConfFile(confPath, (conf, fault) => {
    if (conf === undefined)
      log.error({ file: confPath, reason: fault }, 'configuration not taken over, the old one stays in force')
    else {
      log.level = conf.logLevel
      defaultNetwork?.close()
      defaultNetwork = keepDefault()
      confs.forget()
      void clusters.close(confs.current())
      clusters.of(confs.current())
      log.info({ file: confPath }, 'configuration taken over')
      for (const warning of conf.warnings) log.warn(warning)
    }
  })
  const daemonLog = openDaemonLog(watch.current)
  const { logger: log } = daemonLog
  for (const warning of watch.current.warnings) log.warn(warning)
  const clusters = openClusterStores((message) => log.warn(message), {
    events: () => watch.current.publishEvents,
    mayRetry: () => isFirst(),
    published: (outcome) => metrics.publication(outcome),
    told: (outcome) => metrics.event(outcome),
  })
  const sockets = new Set<Socket>()
  /** Connected, and not yet heard of. */
  const silent = new Set<Socket>()
  const admission = openAdmission(() => watch.current.maxConcurrentAdds)
  let active = 0
  let isServing = false
  let isStopping = false
  let socketServer: SocketServer | undefined
  /** A daemon that has taken over publishes what is left. */
  const isFirst = (): boolean => socketServer?.isOurs ?? true
  const warn = (message: string): void => log.warn(message)

  const confs = openNetConfs(() => ({ ...watch.current.netConf, ...defaultNetwork?.keys() }))
  const stateDir = (): string => confs.current().stateDir
  const keepDefault = (): KeptDefaultNetwork | undefined =>
    openDefaultNetwork({
      conf: watch.current,
      nodeConf: parseNetConf({ type: 'plexus', ...watch.current.netConf }),
      runtime: () => clusters.nodeOf(confs.current())?.status.runtime,
      // Another release's list would be written over this one's, and the other way round.
      isServing: () =>
        isServing &&
        !isStopping &&
        !socketServer?.isTakenOver &&
        nodeReadiness.folderFault(confs.current()) === undefined,
      changed: confs.forget,
      report: (level, message) => log[level](message),
    })
  const isNetworkKnown = (): boolean =>
    confs.isPassed ||
    defaultNetwork !== undefined ||
    DEFAULT_NETWORK_KEYS.some((key) => key in watch.current.netConf)
  const errands = openErrands({
    intervalMs: () => watch.current.errandIntervalMs,
    done: (outcome, key, reason) => {
      metrics.errand(outcome)
      if (outcome === 'undone') log.info(key, 'errand: leftovers undone')
      else log.warn({ ...key, reason }, 'errand: undo failed, tried again later')
    },
  })
  const metrics = openMetrics({
    version,
    running: () => admission.running,
    waiting: () => admission.waiting,
    journal: openJournalSize(stateDir),
    errands: () => errands.pending,
    publications: () => clusters.pendingPublications,
    agents: () => agents.connected,
    isConfValid: () => watch.fault === undefined,
    isReady: async () => (await readiness()).isReady,
    droppedLogLines: daemonLog.dropped,
  })
  const requestConf = (request: CniRequest): NetConf => {
    const conf = confs.of(request)
    const fault =
      request.command === 'STATUS' ? (stoppingFault() ?? nodeReadiness.folderFault(conf)) : undefined
    if (fault !== undefined) throw fault
    return conf
  }
  const nodeReadiness = openReadiness(clusters.of)
  let defaultNetwork = keepDefault()
  const stoppingFault = (): CniError | undefined =>
    isStopping ? new CniError(CniErrorCode.NotAvailable, 'the daemon is stopping') : undefined
  let lastFault: string | undefined
  const readiness = async (): Promise<Readiness> => {
    const fault = stoppingFault() ?? (await nodeReadiness.fault(confs.current(), isNetworkKnown()))
    if (fault?.message !== lastFault) {
      lastFault = fault?.message
      if (fault === undefined) log.info('daemon is ready again')
      else log.warn({ reason: fault.message }, 'daemon is not ready')
    }
    // What is known is served: without its configuration's last change, or the API server, it goes on.
    const notes = [watch.fault, clusters.fault, defaultNetwork?.fault].filter((note) => note !== undefined)
    const reason = fault?.message ?? ['ready', ...notes].join('; ')
    return { isReady: fault === undefined, reason: oneLine(reason) }
  }

  const agents = openAgents({
    run: async (agent) => {
      active++
      try {
        const conf = confs.current()
        await errands.run(agent, conf, clusters.of(conf), AGENT_LIMITS)
      } finally {
        active--
      }
    },
    changed: (connected) => log.info({ connected }, 'agents'),
    fault: (error) => log.error(`errands cannot be done: ${error.message}`),
  })
  const newcomers = openNewcomers()
  const foundPlugins = openFoundPlugins(() => performance.now())
  const searchedFolders = openSearchedFolders()
  const refused = openRefusals(
    (reason, others) => log.warn({ reason: reason.slice(0, 300), others }, 'a peer was sent away'),
    () => performance.now(),
  )
  const accept = (socket: Socket): void => {
    sockets.add(socket)
    silent.add(socket)
    socket.once('close', () => {
      sockets.delete(socket)
      silent.delete(socket)
    })
    serveShim(socket, {
      admission,
      conf: requestConf,
      store: clusters.of,
      stateDir,
      isHeldUp: () => loop.isHeldUp,
      publishWaitMs: () => watch.current.publishWaitMs,
      knownFile: (path) => defaultNetwork?.knownFile(path),
      begun: () => {
        silent.delete(socket)
        active++
      },
      ended: () => {
        active--
      },
      report: (report) => {
        metrics.observe(report)
        logRequest(log, report)
        const conf = report.conf ?? confs.current()
        const attempt = failedAttempt(report, conf.stateDir)
        if (attempt !== undefined) clusters.of(conf)?.reportFailure?.(attempt)
      },
      hasErrands: () => !isStopping && errands.isDue(),
      errandFault: (error) => log.error(`errands cannot be done: ${error.message}`),
      errands: (session, conf) =>
        isStopping ? Promise.resolve() : errands.run(session, conf, clusters.of(conf), SHIM_LIMITS),
      newcomers,
      foundPlugins,
      searchedFolders,
      refused,
      agent: (agent) => agents.join(agent),
    })
  }

  const scan = (): void => {
    const recorded = recordedPublications()
    try {
      errands.scan(stateDir(), recorded.seen)
    } catch (error) {
      log.error(`journal cannot be read: ${toCniError(error).message}`)
    }
    const conf = confs.current()
    errands
      .settle({ ...conf, stateDir: stateDir() }, clusters.of(conf), warn)
      .catch((error: unknown) => log.error(`journal cannot be cleared: ${toCniError(error).message}`))
    const publisher = isFirst() ? clusters.publisherOf(conf) : undefined
    if (publisher !== undefined) recorded.lookAfter(publisher, stateDir(), warn)
  }
  const sweep = (): void => {
    const journal = openJournalDir(stateDir())
    try {
      sweepStatus(stateDir(), (containerId) => !journal.knows(containerId))
    } catch (error) {
      log.error(`statuses of pods that are gone cannot be removed: ${toCniError(error).message}`)
    }
  }
  let scanTimer: NodeJS.Timeout | undefined
  const scanAgain = (): void => {
    scan()
    // A shim that began before this daemon may undo a pod by itself, and leave its status.
    if (isServing) sweep()
    void agents.work()
    scanTimer = setTimeout(scanAgain, Math.min(SCAN_INTERVAL_MS, watch.current.errandIntervalMs))
  }
  // Known before the first request asks.
  clusters.of(confs.current())
  scanAgain()
  const nodeReports = openNodeReports({
    sources: () => {
      const { publishNodeCondition, pluginDirs } = watch.current
      const conf = confs.current()
      const node = publishNodeCondition && isFirst() && !isStopping ? clusters.nodeOf(conf) : undefined
      if (node === undefined) return undefined
      return {
        ...{ conf, store: clusters.of(conf), node, isNetworkKnown: isNetworkKnown(), agents },
        pluginDirs: pluginDirs.length > 0 ? pluginDirs : searchedFolders.visible(),
      }
    },
    fault: warn,
  })
  const loop = watchEventLoopDelay(metrics.eventLoopDelay)
  let http: HttpEndpoints | undefined
  let takenOverTimer: NodeJS.Timeout | undefined
  const close = (): void => {
    clearTimeout(scanTimer)
    clearInterval(takenOverTimer)
    watch.close()
    defaultNetwork?.close()
    nodeReports.close()
    void clusters.close()
    http?.close()
    loop.end()
  }
  try {
    if (watch.current.metricsAddress !== undefined) {
      http = await serveHttp(
        watch.current.metricsAddress,
        { readiness, registry: metrics.registry },
        (message) => log.warn(message),
      )
    }
    sweep()
    socketServer = await listen(watch.current.socket, accept)
  } catch (error) {
    // What is still open would keep a process alive that serves nobody.
    close()
    throw error
  }
  isServing = true
  if (http !== undefined) {
    takenOverTimer = setInterval(() => {
      if (socketServer?.isTakenOver !== true) return
      // What is asked there from now on is asked of the node's daemon, which we no longer are.
      log.info('another daemon has taken over, the HTTP endpoints are left to it')
      clearInterval(takenOverTimer)
      http?.close()
    }, TAKEN_OVER_INTERVAL_MS)
  }
  log.info({ socket: watch.current.socket, httpPort: http?.port }, 'daemon is ready')

  return {
    get httpPort() {
      return http?.port
    },
    async stop() {
      isStopping = true
      const start = performance.now()
      const end = start + watch.current.drainTimeoutMs
      log.info({ active }, 'daemon is stopping')
      // Who has connected already is let in: the kernel would hang up on them.
      await nextTurn()
      await nextTurn()
      socketServer?.close()
      agents.close()
      const isUnderWay = (now: number): boolean =>
        (active > 0 && now < end) || (silent.size > 0 && now < Math.min(end, start + HELLO_GRACE_MS))
      while (isUnderWay(performance.now())) await delay(20)
      await clusters.drain(Math.min(PUBLISH_GRACE_MS, Math.max(0, end - performance.now())))
      const cutOff = active
      for (const socket of sockets) socket.destroy()
      close()
      log.info({ cutOff }, 'daemon has stopped')
      return cutOff
    },
    fatal(error) {
      const stack = error instanceof Error ? error.stack : String(error)
      log.fatal({ stack }, 'daemon ends: an error that nothing has caught')
    },
  }
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ').slice(0, 4096)
}
