import { randomBytes } from 'node:crypto'
import { performance } from 'node:perf_hooks'
import { toCniError } from '../cni/cni-error.ts'
import type { JsonObject } from '../cni/json.ts'
import { redactMessage } from '../cni/redact.ts'
import type { NetworkStatusEntry } from '../network/network-status.ts'
import { cutToBytes } from '../network/pod-condition.ts'
import type { FailedAttempt, Publication } from './cluster-store.ts'
import { ApiError } from './kubernetes-client.ts'
import { writeRate } from './write-rate.ts'

/** Which events are made: of everything, of what failed or is missing, or none. */
export type EventChoice = 'all' | 'failures' | 'none'

/** `suppressed`: told before, or too much of one pod. `dropped`: too many, too old, or refused. */
export type EventOutcome = 'sent' | 'suppressed' | 'dropped'

/** What the events work with. */
export interface PodEventsOptions {
  /** Makes an event. @throws {ApiError} */
  readonly create: (namespace: string, body: JsonObject) => Promise<void>
  /** UID of a pod in the API server, if it is known. */
  readonly uidOf: (namespace: string, name: string) => string | undefined
  readonly node: string
  readonly choice: () => EventChoice
  /** Whether nothing more important is to be written. */
  readonly isIdle: () => boolean
  readonly warn: (message: string) => void
  readonly count: (outcome: EventOutcome) => void
  readonly limits: PodEventsLimits
}

/** Bounds of events; durations in milliseconds. */
export interface PodEventsLimits {
  readonly perSecond: number
  readonly burst: number
  readonly pending: number
  /** What a pod has got is told so much later: the pod starts first. */
  readonly attachedDelayMs: number
  /** Until the same reason of the same pod is told again, with the number of times; doubled each time. */
  readonly repeatMs: number
}

/** Events about pods, made when there is nothing better to do. */
export interface PodEvents {
  readonly pending: number
  attached(publication: Publication): void
  failed(attempt: FailedAttempt): void
  /** The container is gone: what it had got is not told any more. */
  cancel(containerId: string): void
  podGone(key: string): void
  close(): void
}

interface PodEvent {
  readonly namespace: string
  readonly body: JsonObject
  readonly containerId: string | undefined
  readonly since: number
  notBefore: number
  tries: number
}

/** A reason that was told of a pod. */
interface Told {
  readonly firstTimestamp: string
  count: number
  tellAgainAt: number
  repeatMs: number
}

const PODS = 512
const REASONS_OF_POD = 8
const TRIES = 5
const RETRY_MS = 2000
const OLDEST_MS = 10 * 60_000
/** So long the events wait for the publications at most. */
const PATIENCE_MS = 30_000
const COMPONENT = 'plexus-cni'

/**
 * Tells of pods by events (core/v1, `create` alone): one for an attached pod with more than the default
 * network, one for each distinct failure. A failure that comes again is counted and told again after a
 * growing time; words that differ each time do not make it another one.
 */
export function openPodEvents(options: PodEventsOptions): PodEvents {
  const { create, choice, count, isIdle, limits, node, uidOf, warn } = options
  const rate = writeRate(limits.perSecond, limits.burst, () => performance.now())
  const pods = new Map<string, Map<string, Told>>()
  let queue: PodEvent[] = []
  let isSending = false
  let isFailing = false
  let isClosed = false
  let timer: NodeJS.Timeout | undefined

  const add = (event: PodEvent): void => {
    if (isClosed) return
    if (queue.length >= limits.pending) {
      // What went well is the least of it.
      const index = queue.findIndex(({ containerId }) => containerId !== undefined)
      queue.splice(Math.max(index, 0), 1)
      count('dropped')
    }
    queue.push(event)
    schedule()
  }
  const schedule = (): void => {
    clearTimeout(timer)
    if (isClosed || isSending || queue.length === 0) return
    const now = performance.now()
    const due = Math.min(...queue.map(({ notBefore }) => notBefore))
    timer = setTimeout(send, Math.max(due - now, rate.waitMs(1), 1)).unref()
  }
  /** What may be sent now. */
  const choose = (now: number): PodEvent | undefined => {
    const event = queue.find(({ notBefore }) => notBefore <= now)
    if (event === undefined) return undefined
    if (!isIdle() && now - event.since < PATIENCE_MS) {
      event.notBefore = now + RETRY_MS / 2
      return undefined
    }
    return rate.take(1) ? event : undefined
  }
  const send = (): void => {
    const now = performance.now()
    const old = queue.filter(({ since }) => now - since > OLDEST_MS)
    for (const _ of old) count('dropped')
    queue = queue.filter((event) => !old.includes(event))
    const event = choose(now)
    if (event === undefined) {
      schedule()
      return
    }
    queue.splice(queue.indexOf(event), 1)
    isSending = true
    void create(event.namespace, event.body)
      .then(
        () => sent(),
        (error: unknown) => failed(event, error),
      )
      .finally(() => {
        isSending = false
        schedule()
      })
  }
  const sent = (): void => {
    isFailing = false
    count('sent')
  }
  const failed = (event: PodEvent, error: unknown): void => {
    const status = error instanceof ApiError ? error.status : undefined
    // An earlier try has arrived: its name is the same.
    if (status === 409) {
      sent()
      return
    }
    const isPassing = status === undefined || status === 401 || status === 429 || status >= 500
    event.tries += 1
    if (isPassing && event.tries < TRIES && !isClosed) {
      const asked = error instanceof ApiError ? error.retryAfterMs : 0
      event.notBefore = performance.now() + asked + RETRY_MS * 2 ** event.tries * (0.5 + Math.random() / 2)
      queue.push(event)
      return
    }
    count('dropped')
    if (!isFailing && !isClosed)
      warn(`an event of namespace ${event.namespace} cannot be made: ${toCniError(error).message}`)
    isFailing = true
  }

  const toEvent = (
    { namespace, name, uid }: { namespace: string; name: string; uid?: string },
    what: { type: 'Normal' | 'Warning'; reason: string; message: string; told?: Told },
  ): JsonObject => {
    const now = seconds(new Date())
    const inCluster = uidOf(namespace, name) ?? uid
    return {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: {
        namespace,
        name: `${name.slice(0, 200).replace(/[^a-z0-9]+$/, '')}.${randomBytes(8).toString('hex')}`,
      },
      involvedObject: {
        apiVersion: 'v1',
        kind: 'Pod',
        namespace,
        name,
        ...(inCluster === undefined ? {} : { uid: inCluster }),
      },
      type: what.type,
      reason: what.reason,
      message: cutToBytes(redactMessage(what.message)),
      source: { component: COMPONENT, host: node },
      reportingComponent: COMPONENT,
      reportingInstance: node,
      firstTimestamp: what.told?.firstTimestamp ?? now,
      lastTimestamp: now,
      count: what.told?.count ?? 1,
    }
  }

  return {
    get pending() {
      return queue.length + Number(isSending)
    },
    attached(publication) {
      const { containerId, namespace, networkStatus, missing = [] } = publication
      const isMissing = missing.length > 0
      const isWanted = choice() === 'all' || (choice() === 'failures' && isMissing)
      if (!isWanted || (networkStatus.length < 2 && !isMissing)) return
      const list = networkStatus.map(describe).join('; ')
      const body = toEvent(
        publication,
        isMissing
          ? {
              type: 'Warning',
              reason: 'OptionalNetworksMissing',
              message: `left out: ${missing.join('; ')}; attached: ${list}`,
            }
          : { type: 'Normal', reason: 'NetworksAttached', message: list },
      )
      const since = performance.now()
      add({ namespace, body, containerId, since, notBefore: since + limits.attachedDelayMs, tries: 0 })
    },
    failed({ command, error, passing, ...pod }) {
      if (choice() === 'none') return
      const key = `${pod.namespace}/${pod.name}`
      const told = pods.get(key) ?? new Map<string, Told>()
      pods.delete(key)
      pods.set(key, told)
      for (const oldest of pods.keys()) {
        if (pods.size <= PODS) break
        pods.delete(oldest)
      }
      const whole = [error.message, error.hint, ...error.faults].filter((text) => text !== undefined)
      const message = [...new Set(whole)].join('; ')
      const reason = `${pod.uid} ${command} ${error.code} ${withoutPassing(message, passing)}`
      const now = performance.now()
      const known = told.get(reason)
      if (known === undefined && told.size >= REASONS_OF_POD) {
        for (const [other, { tellAgainAt }] of told) if (tellAgainAt < now) told.delete(other)
        if (told.size >= REASONS_OF_POD) {
          count('suppressed')
          return
        }
      }
      const entry = known ?? {
        firstTimestamp: seconds(new Date()),
        count: 0,
        tellAgainAt: now,
        repeatMs: limits.repeatMs,
      }
      told.set(reason, entry)
      entry.count += 1
      if (now < entry.tellAgainAt) {
        count('suppressed')
        return
      }
      entry.tellAgainAt = now + entry.repeatMs
      entry.repeatMs *= 2
      const body = toEvent(pod, {
        type: 'Warning',
        reason: command === 'ADD' ? 'NetworkAttachFailed' : 'NetworkDetachFailed',
        message,
        told: entry,
      })
      add({ namespace: pod.namespace, body, containerId: undefined, since: now, notBefore: now, tries: 0 })
    },
    cancel(containerId) {
      queue = queue.filter((event) => event.containerId !== containerId)
    },
    podGone: (key) => void pods.delete(key),
    close() {
      isClosed = true
      clearTimeout(timer)
      queue = []
    },
  }
}

/** `net1 10.6.0.7 fd00::7 (telco/n6)` */
function describe({ name, interface: ifName, ips = [] }: NetworkStatusEntry): string {
  return `${[ifName, ...ips].filter((part) => part !== undefined).join(' ')} (${name})`.trim()
}

/** A message without what is another text, address, id or number each time. */
function withoutPassing(message: string, passing: readonly string[]): string {
  let text = message
  for (const part of passing) if (part !== '') text = text.replaceAll(part, '#')
  return text.replaceAll(PASSING, '#').slice(0, 512)
}

/** Ids, addresses of all kinds, long numbers and times. The digits in a network's name are none. */
const PASSING =
  /[0-9a-f]{8,}|(?:[0-9a-f]{0,4}:){2,}[0-9a-f:.]*|\d+(?:\.\d+){3}|\d{4,}|\d+(?:\.\d+)?(?= ?m?s\b)/gi

/** Times in Kubernetes have no fractions. */
function seconds(date: Date): string {
  return date.toISOString().replace(/\.\d+Z$/, 'Z')
}
