import { randomBytes } from 'node:crypto'
import { performance } from 'node:perf_hooks'
import { toCniError } from '../cni/cni-error.ts'
import { isJsonObject, type JsonObject } from '../cni/json.ts'
import { redactMessage } from '../cni/redact.ts'
import { NODE_NETWORKS_READY, type NodeNetworksReady } from '../network/node-condition.ts'
import type { ApiClient } from './kubernetes-client.ts'

/** Tells the cluster of a node by a condition of its Node object, and by one event when that turns bad. */
export interface NodeStatus {
  /** What holds now; the same again costs nothing. */
  report(condition: NodeNetworksReady): void
  /**
   * The node's container runtime and its version, as the Node had it when it was last looked at; empty if it does not say.
   * `undefined` before the first look.
   */
  readonly runtime: string | undefined
  close(): void
}

/** What {@link openNodeStatus} needs. */
export interface NodeStatusOptions {
  readonly client: Pick<ApiClient, 'patch' | 'post'>
  /** Name of the Node object. */
  readonly node: string
  readonly mayTellEvents: () => boolean
  readonly warn: (message: string) => void
  readonly limits?: Partial<NodeStatusLimits>
}

/** Bounds in milliseconds. */
interface NodeStatusLimits {
  readonly requestMs: number
  /** Least time between two writes. */
  readonly intervalMs: number
  /** After a write that failed; doubled each time up to the other. */
  readonly firstPauseMs: number
  readonly longestPauseMs: number
  /** Until the Node is looked at again: it may be made anew, and its runtime be another one. */
  readonly lookAgainMs: number
}

const DEFAULT_LIMITS: NodeStatusLimits = {
  requestMs: 20_000,
  intervalMs: 5000,
  firstPauseMs: 5000,
  longestPauseMs: 300_000,
  lookAgainMs: 60_000,
}

const COMPONENT = 'plexus-cni'
/** Events of objects without a namespace are here. */
const EVENT_NAMESPACE = 'default'

/** Opens what writes; nothing is sent before the first report. */
export function openNodeStatus(options: NodeStatusOptions): NodeStatus {
  const { client, node, mayTellEvents, warn } = options
  const limits = { ...DEFAULT_LIMITS, ...options.limits }
  const path = `/api/v1/nodes/${encodeURIComponent(node)}/status`
  const stop = new AbortController()
  const request = { timeoutMs: limits.requestMs, signal: stop.signal }
  let wanted: NodeNetworksReady | undefined
  let settled: string | undefined
  let runtime: string | undefined
  let lookAt = Number.POSITIVE_INFINITY
  let notBefore = 0
  let failures = 0
  let timer: NodeJS.Timeout | undefined
  let isWriting = false

  const schedule = (): void => {
    clearTimeout(timer)
    if (stop.signal.aborted || isWriting || wanted === undefined) return
    const due = textOf(wanted) === settled ? lookAt : notBefore
    if (due === Number.POSITIVE_INFINITY) return
    timer = setTimeout(() => void write(), Math.max(0, due - performance.now())).unref()
  }
  const write = async (): Promise<void> => {
    if (wanted === undefined) return
    const condition = wanted
    isWriting = true
    try {
      // A patch of nothing changes nothing and answers the whole object: no right to read nodes is needed.
      const object = await client.patch(path, {}, request)
      runtime = runtimeOf(object)
      const present = conditionOf(object)
      if (present === undefined || textOf(present) !== textOf(condition)) {
        const lastTransitionTime = present?.status === condition.status ? present.since : now()
        await client.patch(path, bodyOf(condition, lastTransitionTime), request)
        if (condition.status === 'False' && mayTellEvents()) await tell(condition)
      }
      if (failures > 0) warn(`the condition of node ${node} can be written again`)
      failures = 0
      settled = textOf(condition)
      const time = performance.now()
      notBefore = time + limits.intervalMs
      lookAt = time + limits.lookAgainMs
    } catch (error) {
      if (failures === 0 && !stop.signal.aborted)
        warn(`the condition of node ${node} cannot be written: ${toCniError(error).message}`)
      const pause = Math.min(limits.firstPauseMs * 2 ** Math.min(failures, 20), limits.longestPauseMs)
      failures += 1
      settled = undefined
      notBefore = performance.now() + pause * (0.5 + Math.random() / 2)
    } finally {
      isWriting = false
      schedule()
    }
  }
  const tell = async (condition: NodeNetworksReady): Promise<void> => {
    try {
      await createEvent(condition)
    } catch (error) {
      // The condition says the same, and stays.
      if (!stop.signal.aborted) warn(`an event of node ${node} cannot be made: ${toCniError(error).message}`)
    }
  }
  const createEvent = async ({ reason, message }: NodeNetworksReady): Promise<void> => {
    const time = now()
    await client.post(
      `/api/v1/namespaces/${EVENT_NAMESPACE}/events`,
      {
        apiVersion: 'v1',
        kind: 'Event',
        metadata: {
          namespace: EVENT_NAMESPACE,
          name: `${node.slice(0, 200)}.${randomBytes(8).toString('hex')}`,
        },
        // The kubelet names its Node so too: `kubectl describe node` looks for that.
        involvedObject: { apiVersion: 'v1', kind: 'Node', name: node, uid: node },
        type: 'Warning',
        reason,
        message: redactMessage(message),
        source: { component: COMPONENT, host: node },
        reportingComponent: COMPONENT,
        reportingInstance: node,
        firstTimestamp: time,
        lastTimestamp: time,
        count: 1,
      },
      request,
    )
  }

  return {
    report(condition) {
      if (wanted !== undefined && textOf(wanted) === textOf(condition)) return
      wanted = condition
      schedule()
    },
    get runtime() {
      return runtime
    },
    close() {
      clearTimeout(timer)
      stop.abort()
    },
  }
}

interface PresentCondition extends Pick<NodeNetworksReady, 'status' | 'message'> {
  readonly reason: string
  readonly since: string
}

function conditionOf({ status }: JsonObject): PresentCondition | undefined {
  const conditions = isJsonObject(status) && Array.isArray(status.conditions) ? status.conditions : []
  const found = conditions.filter(isJsonObject).find(({ type }) => type === NODE_NETWORKS_READY)
  if (found === undefined) return undefined
  const { reason, message, lastTransitionTime } = found
  return {
    status: found.status === 'True' ? 'True' : 'False',
    reason: String(reason ?? ''),
    message: String(message ?? ''),
    since: typeof lastTransitionTime === 'string' ? lastTransitionTime : now(),
  }
}

function runtimeOf({ status }: JsonObject): string {
  const info = isJsonObject(status) && isJsonObject(status.nodeInfo) ? status.nodeInfo : {}
  return typeof info.containerRuntimeVersion === 'string' ? info.containerRuntimeVersion : ''
}

/** Conditions are merged by their type: all others stay as they are. */
function bodyOf({ status, reason, message }: NodeNetworksReady, lastTransitionTime: string): JsonObject {
  const condition = { type: NODE_NETWORKS_READY, status, reason, message: redactMessage(message) }
  return { status: { conditions: [{ ...condition, lastHeartbeatTime: now(), lastTransitionTime }] } }
}

function textOf({
  status,
  reason,
  message,
}: Pick<PresentCondition, 'status' | 'reason' | 'message'>): string {
  return JSON.stringify([status, reason, redactMessage(message)])
}

/** Times in Kubernetes have no fractions. */
function now(): string {
  return new Date().toISOString().replace(/\.\d+Z$/, 'Z')
}
