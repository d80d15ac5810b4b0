import type { JsonObject } from '../cni/json.ts'
import type { Pod } from '../network/pod.ts'
import { failedCondition } from '../network/pod-condition.ts'
import type { FailedAttempt, LaterPublication, Publication } from './cluster-store.ts'
import { type EventChoice, type EventOutcome, openPodEvents, type PodEventsLimits } from './pod-events.ts'
import { isPodWith, type PodApi, toPodStatus } from './pod-status.ts'
import {
  openPublicationQueue,
  type PodName,
  type PublicationLimits,
  type PublicationOutcome,
  type RecordKey,
} from './publications.ts'

/** What a process that lives on does about publications; the journal is its business. */
export interface PublishingOptions {
  readonly node: string
  readonly events: () => EventChoice
  /** Whether what failed is ours to try again; not so when another process has taken over. */
  readonly mayRetry: () => boolean
  /** Asked to publish a record anew, by {@link Publisher.publishAgain}. */
  readonly restore: (record: RecordKey) => void
  readonly published: (outcome: PublicationOutcome) => void
  readonly told: (outcome: EventOutcome) => void
  readonly limits?: Partial<PublishingLimits>
}

/** Bounds of all that is written. */
export interface PublishingLimits extends PublicationLimits {
  readonly events: PodEventsLimits
}

const DEFAULT_LIMITS: PublishingLimits = {
  writesPerSecond: 20,
  writesAtOnce: 4,
  burst: 40,
  pending: 1000,
  firstPauseMs: 500,
  longestPauseMs: 15_000,
  longestWaitMs: 120_000,
  events: { perSecond: 5, burst: 10, pending: 256, attachedDelayMs: 3000, repeatMs: 10 * 60_000 },
}

/** Tells the cluster of pods in the background: their network-status, their condition, events. */
export interface Publisher {
  readonly pending: number
  readonly isFailing: boolean
  publish(publication: Publication, later: LaterPublication): void
  /** Of a record that may have been published before. */
  publishAgain(publication: Publication, later: LaterPublication): void
  /** Looks after a record that has been published. */
  remember(pod: PodName, record: RecordKey): void
  /** Whether something of the record is under way. */
  has(record: RecordKey): boolean
  /** Whether another pod is known to have the name. */
  isOthers(pod: PodName): boolean
  cancel(containerId: string): void
  failed(attempt: FailedAttempt): void
  podChanged(key: string, pod: Pod | undefined): void
  close(): void
}

/** Pods whose failure has been written; of others it is written once more. */
const FAILED_PODS = 512

/** Opens what publishes by the API server. */
export function openPublisher(
  api: PodApi,
  createEvent: (namespace: string, body: JsonObject) => Promise<void>,
  warn: (message: string) => void,
  options: PublishingOptions,
): Publisher {
  const limits = { ...DEFAULT_LIMITS, ...options.limits }
  /** The reason that a pod's condition has, by pod and UID. */
  const failures = new Map<string, string>()
  const queue = openPublicationQueue({
    api,
    limits,
    warn,
    mayRetry: options.mayRetry,
    restore: options.restore,
    count: options.published,
  })
  const events = openPodEvents({
    create: createEvent,
    uidOf: (namespace, name) => api.known(namespace, name)?.uid,
    node: options.node,
    choice: options.events,
    isIdle: () => queue.pending === 0,
    warn,
    count: options.told,
    limits: limits.events,
  })

  const add = (
    publication: Publication,
    { ifName, settled }: LaterPublication,
    isRepeated: boolean,
  ): void => {
    const { namespace, name, containerId } = publication
    failures.delete(`${namespace}/${name}`)
    queue.add({
      status: toPodStatus(publication),
      record: { containerId, ifName },
      isRepeated,
      settled: (outcome) => {
        if (outcome === 'published' && !isRepeated) events.attached(publication)
        // Nor is a pod that went, or that somebody else has written of since, to be told of again.
        settled(outcome === 'published' || outcome === 'kept' || outcome === 'gone')
      },
    })
  }

  return {
    get pending() {
      return queue.pending
    },
    get isFailing() {
      return queue.isFailing
    },
    publish: (publication, later) => add(publication, later, false),
    publishAgain: (publication, later) => add(publication, later, true),
    remember: queue.remember,
    has: queue.has,
    isOthers({ namespace, name, uid }) {
      const known = api.known(namespace, name)
      return known !== undefined && !isPodWith(known, uid)
    },
    cancel(containerId) {
      queue.cancel(containerId)
      events.cancel(containerId)
    },
    failed(attempt) {
      events.failed(attempt)
      const { namespace, name, uid, command, error } = attempt
      if (command !== 'ADD' || attempt.isAttached) return
      const condition = failedCondition(error)
      const key = `${namespace}/${name}`
      const state = `${uid} ${condition.reason}`
      if (failures.get(key) === state) return
      failures.delete(key)
      failures.set(key, state)
      for (const oldest of failures.keys()) {
        if (failures.size <= FAILED_PODS) break
        failures.delete(oldest)
      }
      queue.add({
        status: {
          ...{ namespace, name, uid, condition },
          networkStatus: undefined,
          replaces: undefined,
          time: new Date().toISOString(),
        },
        record: undefined,
        isRepeated: false,
        settled: () => undefined,
      })
    },
    podChanged(key, pod) {
      if (pod === undefined) {
        events.podGone(key)
        failures.delete(key)
      }
      queue.podChanged(key, pod)
    },
    close() {
      queue.close()
      events.close()
    },
  }
}
