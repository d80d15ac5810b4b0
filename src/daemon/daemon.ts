import type { Socket } from 'node:net'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as delay } from 'node:timers/promises'
import { toCniError } from '../cni/cni-error.ts'
import type { CniRequest } from '../cni/request.ts'
import { overlayNetConf } from '../config/daemon-conf.ts'
import { type NetConf, parseDelConf, parseNetConf } from '../config/net-conf.ts'
import { openJournalDir } from '../journal/journal.ts'
import type { ClusterStore } from '../store/cluster-store.ts'
import { manifestStore } from '../store/manifests.ts'
import { openAdmission } from './admission.ts'
import { openAgents } from './agents.ts'
import { watchConfFile } from './conf-file.ts'
import { AGENT_LIMITS, openErrands, SHIM_LIMITS } from './errands.ts'
import { type HttpEndpoints, type Readiness, serveHttp } from './http.ts'
import { logRequest, openDaemonLog } from './log.ts'
import { openMetrics } from './metrics.ts'
import { openNewcomers, openRefusals } from './newcomers.ts'
import { serveShim } from './session.ts'
import { listen, type SocketServer } from './socket-server.ts'

/** A running daemon. */
export interface Daemon {
  /** Port of the HTTP endpoints; `undefined` when there are none. */
  readonly httpPort: number | undefined
  /** No new work, a bounded wait for what is under way. Resolves to how many requests were cut off. */
  stop(): Promise<number>
}

const SCAN_INTERVAL_MS = 30_000

/**
 * Starts the daemon: configuration, recovery from the journal, socket last, so that a shim that connects
 * is served. Design §1, §5, §6.
 *
 * @throws {CniError} When configuration, socket directory or HTTP address are unusable.
 */
export async function startDaemon(confPath: string): Promise<Daemon> {
  const watch = watchConfFile(confPath, (conf, fault) => {
    if (conf === undefined)
      log.error({ file: confPath }, `configuration not taken over, the old one stays in force: ${fault}`)
    else {
      log.level = conf.logLevel
      confs.clear()
      log.info({ file: confPath }, 'configuration taken over')
    }
  })
  const log = openDaemonLog(watch.conf)
  const stateDir = (): string => daemonNetConf().stateDir
  // What the runtime has on stdin is the same for every pod but for what belongs to the request.
  const confs = new Map<string, NetConf>()
  const stores = new Map<string, ClusterStore>()
  const sockets = new Set<Socket>()
  const admission = openAdmission(() => watch.conf.maxConcurrentAdds)
  const loopDelay = monitorEventLoopDelay({ resolution: 20 })
  loopDelay.enable()
  let active = 0
  let isStopping = false

  const daemonNetConf = (): NetConf => parseNetConf({ type: 'plexus', ...watch.conf.netConf })
  const errands = openErrands({
    intervalMs: () => watch.conf.errandIntervalMs,
    done: (outcome, key, reason) => {
      metrics.errand(outcome)
      if (outcome === 'undone') log.info(key, 'errand: leftovers undone')
      else log.warn({ ...key, reason }, 'errand: undo failed, tried again later')
    },
  })
  const metrics = openMetrics({
    running: () => admission.running,
    waiting: () => admission.waiting,
    journal: () => openJournalDir(stateDir()).keys().length,
    errands: () => errands.pending,
    agents: () => agents.connected,
    eventLoopDelay: () => {
      const seconds = {
        mean: loopDelay.mean / 1e9 || 0,
        p99: loopDelay.percentile(99) / 1e9,
        max: loopDelay.max / 1e9,
      }
      loopDelay.reset()
      return seconds
    },
  })
  const store = (conf: NetConf): ClusterStore | undefined => {
    if (conf.manifests === undefined) return undefined
    const key = `${conf.manifests}\0${conf.stateDir}`
    const known = stores.get(key) ?? manifestStore({ manifests: conf.manifests, stateDir: conf.stateDir })
    stores.set(key, known)
    return known
  }
  const requestConf = (request: CniRequest): NetConf => {
    // What is recorded is undone whatever the net-conf has become.
    if (request.command === 'DEL') return parseDelConf(overlayNetConf(request.stdin, watch.conf.netConf))
    const { runtimeConfig, prevResult, ...rest } = request.stdin
    if (runtimeConfig !== undefined || prevResult !== undefined) {
      return parseNetConf(overlayNetConf(request.stdin, watch.conf.netConf))
    }
    const key = JSON.stringify(rest)
    const known = confs.get(key) ?? parseNetConf(overlayNetConf(request.stdin, watch.conf.netConf))
    if (confs.size > 64) confs.clear()
    confs.set(key, known)
    return known
  }
  const readiness = async (): Promise<Readiness> => {
    if (isStopping) return { isReady: false, reason: 'the daemon is stopping' }
    if (watch.fault !== undefined) return { isReady: true, reason: `ready; ${watch.fault}` }
    return { isReady: true, reason: 'ready' }
  }

  const agents = openAgents({
    run: async (agent) => {
      active++
      try {
        const conf = daemonNetConf()
        await errands.run(agent, conf, store(conf), AGENT_LIMITS)
      } finally {
        active--
      }
    },
    changed: (connected) => log.info({ connected }, 'agents'),
    fault: (error) => log.error(`errands cannot be done: ${error.message}`),
  })
  const newcomers = openNewcomers()
  const refused = openRefusals(
    (reason, others) => log.warn({ reason: reason.slice(0, 300), others }, 'a peer was sent away'),
    () => performance.now(),
  )
  const accept = (socket: Socket): void => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    serveShim(socket, {
      admission,
      conf: requestConf,
      store,
      begun: () => {
        active++
      },
      ended: () => {
        active--
      },
      report: (report) => {
        metrics.observe(report)
        logRequest(log, report)
      },
      errandFault: (error) => log.error(`errands cannot be done: ${error.message}`),
      errands: (session, conf) =>
        isStopping ? Promise.resolve() : errands.run(session, conf, store(conf), SHIM_LIMITS),
      newcomers,
      refused,
      agent: (agent) => agents.join(agent),
    })
  }

  const scan = (): void => {
    try {
      errands.scan(stateDir())
    } catch (error) {
      log.error(`journal cannot be read: ${toCniError(error).message}`)
    }
  }
  let scanTimer: NodeJS.Timeout | undefined
  const scanAgain = (): void => {
    scan()
    void agents.work()
    scanTimer = setTimeout(scanAgain, Math.min(SCAN_INTERVAL_MS, watch.conf.errandIntervalMs))
  }
  scanAgain()
  let http: HttpEndpoints | undefined
  let server: SocketServer
  const close = (): void => {
    clearTimeout(scanTimer)
    watch.close()
    http?.close()
    loopDelay.disable()
  }
  try {
    if (watch.conf.metricsAddress !== undefined) {
      http = await serveHttp(
        watch.conf.metricsAddress,
        { readiness, registry: metrics.registry },
        (message) => log.warn(message),
      )
    }
    server = await listen(watch.conf.socket, accept)
  } catch (error) {
    // What is still open would keep a process alive that serves nobody.
    close()
    throw error
  }
  log.info({ socket: watch.conf.socket, httpPort: http?.port }, 'daemon is ready')

  return {
    get httpPort() {
      return http?.port
    },
    async stop() {
      isStopping = true
      server.close()
      agents.close()
      const end = performance.now() + watch.conf.drainTimeoutMs
      while (active > 0 && performance.now() < end) await delay(20)
      const cutOff = active
      for (const socket of sockets) socket.destroy()
      close()
      log.info({ cutOff }, 'daemon has stopped')
      return cutOff
    },
  }
}
