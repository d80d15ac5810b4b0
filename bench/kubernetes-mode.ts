import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { type ApiCalls, type BenchCluster, startCluster } from './cluster.ts'
import { daemonMode } from './daemon-mode.ts'
import type { Mode, ModeContext } from './modes.ts'
import type { Runner } from './runner.ts'
import { quantile, rounded } from './statistics.ts'
import { type BenchPod, networkConf, pluginCall, podName, podNetworks, type Verb } from './workload.ts'

/** Name of the mode. */
export const KUBERNETES = 'daemon-kubernetes'

/** What the caches hold: all networks of the cluster, and the pods of the node. */
const NETWORKS = 5000
const PODS = 250
/** Pods that are started at once, each with so many networks beside the default one. */
const CROWD = { pods: 128, networks: 16 }
/** ADDs for which API calls are counted: few enough to be published without a pause. */
const COUNTED_ADDS = 20
/** Statuses of a block are written by then. */
const SETTLE_MS = 500
/** Lists are read, and what that took is given back. */
const LISTED_WITHIN_MS = 60_000
const SPARED_MS = 3000
const WRITTEN_WITHIN_MS = 10_000

/** What this mode costs beside what its rows say. */
export interface KubernetesCost {
  /** In the caches. */
  readonly networks: number
  readonly pods: number
  /** What the API server was asked for so many ADDs. */
  readonly calls: ApiCalls & { readonly adds: number }
  /** Milliseconds; `own` is what is left of `whole` without waiting for a turn and without delegates. */
  readonly crowd: {
    readonly pods: number
    readonly networks: number
    readonly errors: number
    readonly wholeMs: Spread
    readonly turnMs: Spread
    readonly delegatesMs: Spread
    readonly ownMs: Spread
  }
}

interface Spread {
  readonly p50: number | null
  readonly p99: number | null
}

/** The mode with what only it can measure. */
export interface KubernetesMode extends Mode {
  /** After all blocks. @param complain Told the first failure. */
  measureCost(runner: Runner, complain: (message: string) => void): Promise<KubernetesCost>
}

/** The shim in front of a daemon that follows and tells a real API server. */
export function kubernetesMode(context: ModeContext): KubernetesMode {
  const { workload } = context
  const log = join(workload.dir, `${KUBERNETES}.log`)
  let cluster: BenchCluster | undefined
  let daemon: ReturnType<typeof daemonMode> | undefined
  const running = (): { readonly cluster: BenchCluster; readonly daemon: ReturnType<typeof daemonMode> } => {
    if (cluster === undefined || daemon === undefined) throw new Error(`${KUBERNETES} is not started`)
    return { cluster, daemon }
  }
  const programs: Mode['programs'] = (verb, pod) => {
    const { shim } = running().daemon
    return [pluginCall(workload, verb, pod, { executable: shim, uid: running().cluster.uidOf(pod.name) })]
  }
  const runBlock = async (runner: Runner, verb: Verb, pods: readonly BenchPod[]) =>
    await runner.run(pods.map((pod) => programs(verb, pod, pods.length)))

  const countCalls = async (runner: Runner): Promise<KubernetesCost['calls']> => {
    const pods = Array.from({ length: COUNTED_ADDS }, (_, index) => workload.pod(index))
    const paths = pods.map(({ netns }) => netns)
    await runner.makeNamespaces(paths)
    const before = await running().cluster.calls()
    await runBlock(runner, 'ADD', pods)
    const since = async (): Promise<ApiCalls> => {
      const now = await running().cluster.calls()
      return {
        reads: now.reads - before.reads,
        patches: now.patches - before.patches,
        events: now.events - before.events,
      }
    }
    const end = performance.now() + WRITTEN_WITHIN_MS
    while ((await since()).patches < COUNTED_ADDS && performance.now() < end) await delay(100)
    await delay(SETTLE_MS)
    const calls = await since()
    await runBlock(runner, 'DEL', pods)
    await runner.dropNamespaces(paths)
    return { adds: COUNTED_ADDS, ...calls }
  }

  const measureCrowd = async (
    runner: Runner,
    complain: (message: string) => void,
  ): Promise<KubernetesCost['crowd']> => {
    const pods = Array.from({ length: CROWD.pods }, (_, index) => ({
      ...workload.pod(index),
      name: crowdName(index),
    }))
    const paths = pods.map(({ netns }) => netns)
    await runner.makeNamespaces(paths)
    const added = await runBlock(runner, 'ADD', pods)
    const deleted = await runBlock(runner, 'DEL', pods)
    await runner.dropNamespaces(paths)
    const failed = [...added.pods, ...deleted.pods].filter(({ failure }) => failure !== undefined)
    const [first] = failed
    if (first !== undefined) complain(`${KUBERNETES} crowd: ${first.outputs.join('').trim()}`)
    const phases = readPhases(log)
    const seen = pods.flatMap(({ containerId }, index) => {
      const run = added.pods[index]
      const phase = phases.get(containerId)
      if (run === undefined || run.failure !== undefined || phase === undefined) return []
      return { ...phase, wholeMs: run.elapsedMs, ownMs: run.elapsedMs - phase.turnMs - phase.delegatesMs }
    })
    const spread = (key: 'wholeMs' | 'turnMs' | 'delegatesMs' | 'ownMs'): Spread => {
      const values = seen.map((one) => one[key])
      return { p50: rounded(quantile(values, 0.5), 1), p99: rounded(quantile(values, 0.99), 1) }
    }
    return {
      ...CROWD,
      errors: failed.length,
      ...{ wholeMs: spread('wholeMs'), turnMs: spread('turnMs') },
      ...{ delegatesMs: spread('delegatesMs'), ownMs: spread('ownMs') },
    }
  }

  return {
    name: KUBERNETES,
    mostAtOnce: PODS - CROWD.pods,
    settleMs: SETTLE_MS,
    async start() {
      provideApiServer()
      const crowdNetworks = Array.from({ length: CROWD.networks }, (_, index) => `crowd-${index}`)
      const networks = podNetworks(workload.dir)
      const crowd = Object.fromEntries(
        crowdNetworks.map((name, index) => {
          const type = index % 2 === 0 ? 'bridge' : 'macvlan'
          return [name, networkConf(workload.dir, type, 3 + index)]
        }),
      )
      const used = { ...networks, ...crowd }
      const others = Object.fromEntries(
        Array.from({ length: NETWORKS - Object.keys(used).length }, (_, index) => [
          `other-${index}`,
          networkConf(workload.dir, 'bridge', 3),
        ]),
      )
      const pods = Array.from({ length: PODS }, (_, index) =>
        index < CROWD.pods
          ? { name: crowdName(index), networks: crowdNetworks }
          : { name: podName(index - CROWD.pods), networks: Object.keys(networks) },
      )
      const started = await startCluster({ ...used, ...others }, pods)
      cluster = started
      const { kubeconfig, node } = started
      daemon = daemonMode(KUBERNETES, context, { conf: { kubeconfig }, env: { NODE_NAME: node }, log })
      const before = await started.calls()
      await daemon.start?.()
      const end = performance.now() + LISTED_WITHIN_MS
      // A list of the pods, and pages of networks.
      while ((await started.calls()).reads - before.reads < 1 + NETWORKS / 500) {
        if (performance.now() > end) throw new Error('the daemon does not list the cluster')
        await delay(200)
      }
      await delay(SPARED_MS)
    },
    async stop() {
      await daemon?.stop?.()
      await cluster?.close()
    },
    programs,
    get service() {
      const { service } = running().daemon
      if (service === undefined) throw new Error(`${KUBERNETES} has no daemon`)
      return service
    },
    async measureCost(runner, complain) {
      const calls = await countCalls(runner)
      const crowd = await measureCrowd(runner, complain)
      return { networks: NETWORKS, pods: PODS, calls, crowd }
    },
  }
}

function crowdName(index: number): string {
  return `crowd-${index}`
}

/** As the cluster tests get it; a moment when it is there. */
function provideApiServer(): void {
  const setup = join(import.meta.dirname, '../scripts/setup.mjs')
  const stdio = ['ignore', 2, 2] as const
  const { status } = spawnSync(process.execPath, [setup, '--for', 'cluster'], { stdio: [...stdio] })
  if (status !== 0) throw new Error('there is no API server')
}

/** What the daemon's log tells of each container's last ADD. */
function readPhases(log: string): Map<string, { readonly turnMs: number; readonly delegatesMs: number }> {
  const phases = new Map<string, { turnMs: number; delegatesMs: number }>()
  for (const line of readFileSync(log, 'utf8').split('\n')) {
    if (!line.startsWith('{')) continue
    const { command, containerId, queueMs, delegatesMs } = JSON.parse(line) as Record<string, unknown>
    if (command === 'ADD')
      phases.set(String(containerId), { turnMs: Number(queueMs), delegatesMs: Number(delegatesMs) })
  }
  return phases
}
