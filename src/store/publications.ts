import { performance } from 'node:perf_hooks'
import { toCniError } from '../cni/cni-error.ts'
import { NETWORK_STATUS_ANNOTATION } from '../network/annotations.ts'
import type { Pod } from '../network/pod.ts'
import { ApiError } from './kubernetes-client.ts'
import {
  isPodWith,
  markOf,
  type PodApi,
  type PodStatus,
  type WriteOutcome,
  writePodStatus,
} from './pod-status.ts'
import { writeRate } from './write-rate.ts'

/**
 * What became of a publication. `failed` is a try, after which there is another. `cancelled`: the sandbox went,
 * or another one of the pod has come. `deferred`: left to the journal, since too many wait or another daemon
 * has taken over.
 */
export type PublicationOutcome = 'published' | 'kept' | 'gone' | 'failed' | 'cancelled' | 'deferred'

/** A record of the journal. */
export interface RecordKey {
  readonly containerId: string
  readonly ifName: string
}

/** Which pod; a static pod has another UID in the API server. */
export interface PodName {
  readonly namespace: string
  readonly name: string
  readonly uid?: string | undefined
}

/** What is to be written of one pod. */
interface PublicationJob {
  readonly status: PodStatus
  /** Of which record; `undefined` when there is none, after a failed ADD. */
  readonly record: RecordKey | undefined
  /** Whether a write of it may have been sent before, so that it is looked first. */
  readonly isRepeated: boolean
  /** Told once, at the end. */
  readonly settled: (outcome: PublicationOutcome) => void
}

/** What a queue works with. */
export interface PublicationQueueOptions {
  readonly api: PodApi
  readonly limits: PublicationLimits
  readonly warn: (message: string) => void
  /** Told of every outcome. */
  readonly count: (outcome: PublicationOutcome) => void
  /** Whether what failed is ours to try again. */
  readonly mayRetry: () => boolean
  /** The network-status of a pod, or what is ours in it, has gone: publish it anew from the record. */
  readonly restore: (record: RecordKey) => void
}

/** Bounds of what is written; durations in milliseconds. */
export interface PublicationLimits {
  readonly writesPerSecond: number
  readonly writesAtOnce: number
  readonly burst: number
  readonly pending: number
  /** First pause after a failure; doubled each time up to the other, each shortened at random to its half. */
  readonly firstPauseMs: number
  readonly longestPauseMs: number
  /** Until one that has failed itself, or has a pod that is not there yet, comes again at the latest. */
  readonly longestWaitMs: number
}

/** Publications that are under way, one a pod. */
export interface PublicationQueue {
  readonly pending: number
  readonly isFailing: boolean
  /** Takes the place of what waits for the same pod. */
  add(job: PublicationJob): void
  /** What is not published of the container is not to be. */
  cancel(containerId: string): void
  /** A published record whose network-status is to stay. */
  remember(pod: PodName, record: RecordKey): void
  /** Whether something of the record is under way. */
  has(record: RecordKey): boolean
  /** The API server told of a pod; `undefined` when it went. */
  podChanged(key: string, pod: Pod | undefined): void
  /** Ends it; what waits is left to the journal. */
  close(): void
}

interface Job extends PublicationJob {
  readonly key: string
  tries: number
  notBefore: number
  isCancelled: boolean
  /** Whether its pod was not there. */
  isAbsent: boolean
}

/** A pod whose network-status is looked after. */
interface Kept {
  readonly record: RecordKey
  readonly uid: string | undefined
  /** Whether its ADD was ours, so that it is known to be the last one of the pod. */
  readonly isOwn: boolean
  restores: number
  restoredAt: number
}

/** Marks of network-statuses that were sent for a pod and may still arrive. */
const SENT_MARKS = 4
const KEPT_PODS = 2000
/** By then the API server has told of a write of ours. */
const LOOK_AGAIN_MS = 1000
/** Whoever takes our network-status away so seldom gets the next one at once. */
const CALM_MS = 10 * 60_000

/**
 * Writes what pods got, never faster than the limits. A failing API server is asked by one write at a time,
 * after growing pauses; when it answers again the rest follows. What is new goes before what has failed.
 * The writes of one pod never overlap, and an older one is not repeated after a newer one.
 */
export function openPublicationQueue(options: PublicationQueueOptions): PublicationQueue {
  const { api, limits, warn, count, mayRetry } = options
  const waiting = new Map<string, Job>()
  const running = new Map<string, Job>()
  const kept = new Map<string, Kept>()
  const sent = new Map<string, string[]>()
  const rate = writeRate(limits.writesPerSecond, limits.burst, () => performance.now())
  /** Failures one after the other, whatever pod they were about. */
  let failures = 0
  let pausedUntil = 0
  let isClosed = false
  let timer: NodeJS.Timeout | undefined

  const end = (job: Job, outcome: PublicationOutcome): void => {
    count(outcome)
    try {
      job.settled(outcome)
    } catch (error) {
      warn(`what was published of pod ${job.key} is not recorded: ${toCniError(error).message}`)
    }
  }
  const enqueue = (job: Job): void => {
    // A newer one has come while this was on its way.
    if (job.isCancelled || waiting.has(job.key)) end(job, 'cancelled')
    else if (isClosed || waiting.size >= limits.pending || (job.tries > 0 && !mayRetry()))
      end(job, 'deferred')
    else waiting.set(job.key, job)
  }

  const costOf = (job: Job): number => (job.tries === 0 && !job.isRepeated ? 1 : 2)
  /** The next job that is due, or when the first one will be. */
  const choose = (now: number): Job | number => {
    let next: Job | undefined
    let earliest = Number.POSITIVE_INFINITY
    for (const job of waiting.values()) {
      if (running.has(job.key)) continue
      if (job.notBefore > now) earliest = Math.min(earliest, job.notBefore)
      else if (costOf(job) === 1) return job
      else next ??= job
    }
    return next ?? earliest
  }
  const pump = (): void => {
    clearTimeout(timer)
    if (isClosed) return
    while (waiting.size > 0 && running.size < (failures > 0 ? 1 : limits.writesAtOnce)) {
      const now = performance.now()
      const next = choose(now)
      const at = typeof next === 'number' ? next : Math.max(pausedUntil, now + rate.waitMs(costOf(next)))
      if (typeof next === 'number' || at > now) {
        if (at !== Number.POSITIVE_INFINITY) timer = setTimeout(pump, Math.max(1, at - now)).unref()
        return
      }
      rate.take(costOf(next))
      waiting.delete(next.key)
      running.set(next.key, next)
      void run(next)
    }
  }

  const run = async (job: Job): Promise<void> => {
    const { status, key } = job
    const mark = markOf(status.networkStatus)
    const marks = sent.get(key) ?? []
    let outcome: WriteOutcome | undefined
    try {
      const isFirst = job.tries === 0 && !job.isRepeated
      outcome = await writePodStatus(api, status, isFirst, (there) => marks.includes(there))
      if (failures > 0) warn('network-status is published again')
      failures = 0
      pausedUntil = 0
    } catch (error) {
      failed(job, error)
    }
    if (mark !== '' && outcome !== 'gone') {
      sent.delete(key)
      sent.set(key, [...marks.filter((other) => other !== mark), mark].slice(-SENT_MARKS))
      trim(sent)
    }
    if (outcome === 'gone' && isSame(job.record, kept.get(key)?.record)) forget(key)
    running.delete(key)
    if (outcome !== undefined && outcome !== 'absent') end(job, outcome)
    else {
      job.tries += 1
      job.isAbsent = outcome === 'absent'
      job.notBefore = performance.now() + pause(limits.firstPauseMs, job.tries, limits.longestWaitMs)
      enqueue(job)
    }
    pump()
  }
  const failed = (job: Job, error: unknown): void => {
    count('failed')
    if (isClosed) return
    const now = performance.now()
    // Those that were on their way together count as one.
    if (now < pausedUntil) return
    failures += 1
    const asked = error instanceof ApiError ? error.retryAfterMs : 0
    pausedUntil = now + asked + pause(limits.firstPauseMs, failures, limits.longestPauseMs)
    if (failures === 1) {
      const reason = toCniError(error).message
      warn(`network-status of pod ${job.key} is not published yet, and is tried again: ${reason}`)
    }
  }

  const forget = (key: string): void => {
    kept.delete(key)
    sent.delete(key)
  }
  /** `undefined` for a record of an older sandbox. */
  const keep = (key: string, next: Pick<Kept, 'record' | 'uid' | 'isOwn'>): Kept | undefined => {
    const known = kept.get(key)
    if (known !== undefined && isSame(known.record, next.record)) return known
    if (known?.isOwn && !next.isOwn) return undefined
    const entry = { ...next, restores: 0, restoredAt: Number.NEGATIVE_INFINITY }
    kept.set(key, entry)
    trim(kept)
    return entry
  }
  /** The record whose network-status is missing, or replaced by an older write that came late. */
  const lost = (key: string, pod: Pod | undefined): RecordKey | undefined => {
    const mine = kept.get(key)
    if (mine === undefined || pod === undefined || !isPodWith(pod, mine.uid)) return undefined
    if (waiting.has(key) || running.has(key)) return undefined
    const mark = markOf(pod.annotations[NETWORK_STATUS_ANNOTATION])
    const isLate = sent.get(key)?.slice(0, -1).includes(mark) ?? false
    return mark === '' || isLate ? mine.record : undefined
  }
  /** Pods to be looked at once more: an event may be older than what we have written meanwhile. */
  const suspects = new Set<string>()
  let suspectsTimer: NodeJS.Timeout | undefined
  const look = (key: string, pod: Pod): void => {
    if (lost(key, pod) === undefined) return
    suspects.add(key)
    suspectsTimer ??= setTimeout(lookAgain, LOOK_AGAIN_MS).unref()
  }
  const lookAgain = (): void => {
    suspectsTimer = undefined
    const keys = [...suspects]
    suspects.clear()
    for (const key of keys) {
      const [namespace = '', name = ''] = key.split('/')
      const record = lost(key, api.known(namespace, name))
      if (record !== undefined && !isClosed && mayRetry()) options.restore(record)
    }
  }

  return {
    get pending() {
      return waiting.size + running.size
    },
    get isFailing() {
      return failures > 0
    },
    add(given) {
      const { namespace, name, uid, networkStatus } = given.status
      const key = `${namespace}/${name}`
      const job: Job = { ...given, key, tries: 0, notBefore: 0, isCancelled: false, isAbsent: false }
      if (given.record !== undefined && networkStatus !== undefined) {
        const mine = keep(key, { record: given.record, uid, isOwn: !given.isRepeated })
        if (mine === undefined) {
          end(job, 'cancelled')
          return
        }
        if (given.isRepeated) {
          const now = performance.now()
          mine.restores = now - mine.restoredAt > CALM_MS ? 0 : mine.restores + 1
          mine.restoredAt = now
          if (mine.restores > 0)
            job.notBefore = now + pause(limits.firstPauseMs, mine.restores, limits.longestWaitMs)
        }
      }
      const earlier = waiting.get(key)
      waiting.delete(key)
      if (earlier !== undefined) end(earlier, 'cancelled')
      enqueue(job)
      pump()
    },
    cancel(containerId) {
      for (const [key, { record }] of kept) if (record.containerId === containerId) kept.delete(key)
      for (const job of running.values()) if (job.record?.containerId === containerId) job.isCancelled = true
      for (const [key, job] of waiting) {
        if (job.record?.containerId !== containerId) continue
        waiting.delete(key)
        end(job, 'cancelled')
      }
    },
    remember({ namespace, name, uid }, record) {
      const key = `${namespace}/${name}`
      if (keep(key, { record, uid, isOwn: false }) === undefined) return
      const pod = api.known(namespace, name)
      if (pod !== undefined) look(key, pod)
    },
    has: (record) => [...waiting.values(), ...running.values()].some((job) => isSame(job.record, record)),
    podChanged(key, pod) {
      if (pod === undefined) {
        forget(key)
        return
      }
      const job = waiting.get(key)
      if (job?.isAbsent) {
        job.notBefore = 0
        pump()
      }
      look(key, pod)
    },
    close() {
      isClosed = true
      clearTimeout(timer)
      clearTimeout(suspectsTimer)
      for (const job of waiting.values()) end(job, 'deferred')
      waiting.clear()
    },
  }
}

function isSame(one: RecordKey | undefined, other: RecordKey | undefined): boolean {
  return one?.containerId === other?.containerId && one?.ifName === other?.ifName
}

function pause(firstMs: number, times: number, longestMs: number): number {
  return Math.min(firstMs * 2 ** Math.min(times - 1, 20), longestMs) * (0.5 + Math.random() / 2)
}

/** Takes the oldest away: pods that went while nobody told. */
function trim(map: Map<string, unknown>): void {
  for (const key of map.keys()) {
    if (map.size <= KEPT_PODS) return
    map.delete(key)
  }
}
