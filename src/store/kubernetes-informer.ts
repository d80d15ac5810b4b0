import { setTimeout as delay } from 'node:timers/promises'
import { type CniError, toCniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import { isJsonObject, type JsonObject } from '../cni/json.ts'
import { type ApiClient, ApiError } from './kubernetes-client.ts'

/** A collection of the API server and how its objects are read. */
export interface InformerOptions<T> {
  readonly client: ApiClient
  /** `/api/v1/pods` */
  readonly path: string
  /** What is said when it may not be followed: the right that is missing. */
  readonly right: string
  readonly fieldSelector?: string
  /** Content types to ask for, of a list and of one object; default JSON. */
  readonly accept?: { readonly list: string; readonly object: string }
  /**
   * Objects in one answer of a list read from etcd. Without it the list comes whole from the API server's
   * cache: for collections of which a selector leaves a few.
   */
  readonly pageSize?: number
  /** Reduces an object to what is kept. @throws {CniError} When it is wrong. */
  readonly parse: (object: JsonObject) => T
  /** Told of every object that came, was changed or went (`undefined`), after it did. */
  readonly changed?: (key: string, value: T | undefined) => void
  /** Told when all is known: after the first list, and after each that had to be read anew. */
  readonly listed?: () => void
  /** Told of a fault that is new, and of its end (`undefined`). */
  readonly report: (fault: string | undefined) => void
  readonly limits: InformerLimits
}

/** An informer's bounds, in milliseconds. */
export interface InformerLimits {
  /** For one answer of a list. */
  readonly listMs: number
  /** Longest silence of a watch; the API server sends bookmarks about once a minute. */
  readonly idleMs: number
  /** How long the server is asked to keep a watch open. */
  readonly watchMs: number
  /** First pause after a fault; doubled each time up to the other. Each is shortened at random to its half. */
  readonly firstPauseMs: number
  readonly longestPauseMs: number
}

/** The objects of a collection as the API server last told of them. */
export interface Informer<T> {
  /** Whether everything was known once; from then on what is missing was deleted, or is new. */
  readonly isListed: boolean
  /** What keeps it from following the API server at the moment. */
  readonly fault: string | undefined
  /**
   * Whether the API server has refused (403) to let it be followed. What is known then may be of any age, and whoever
   * wants to know has to ask; unlike with a server that is away, which cannot be asked.
   */
  readonly isForbidden: boolean
  /** Whether a watch is open, so that what is known is behind by moments at most. */
  readonly isCurrent: boolean
  readonly size: number
  /** The object `namespace/name`, or `name` of those in no namespace. @throws {CniError} What is wrong with it. */
  get(key: string): T | undefined
  /** All objects but those that are wrong. */
  values(): Iterable<T>
  /** Ends it and waits until it has. */
  close(): Promise<void>
}

/** Statuses that say something of the moment and nothing of the place where a watch goes on. */
const MOMENTARY = new Set([401, 403, 429])
/** A watch refused so often is begun anew by a list. */
const REFUSALS_TO_LIST_ANEW = 3
/** A watch that has held for so many first pauses has recovered, whether or not there was an event. */
const PAUSES_TO_SETTLE = 4

/**
 * Follows a collection: lists it, watches it from there, goes on from the last version seen whenever the
 * watch ends, and lists it again when the server has forgotten that version. What is known is served all
 * the time. Faults are waited out with growing, randomly shortened pauses.
 */
export function openInformer<T>(options: InformerOptions<T>): Informer<T> {
  const { client, changed, listed, limits, parse, path, report } = options
  const stop = new AbortController()
  let objects = new Map<string, T | CniError>()
  let isListed = false
  let fault: string | undefined
  let isForbidden = false
  let isCurrent = false
  /** Where the watch goes on; `undefined` when everything must be listed. */
  let version: string | undefined
  /** The oldest version that a list may be of: never back in time, unless the server has forgotten it. */
  let oldest = '0'
  /** Whether the server was away, so that it may have come back with an older state: a restored etcd. */
  let isDoubtful = false
  let failures = 0
  let refusals = 0

  const setFault = (next: string | undefined): void => {
    if (next === fault) return
    fault = next
    report(next)
  }
  const url = (query: Readonly<Record<string, string | undefined>>): string => {
    const search = new URLSearchParams()
    for (const [key, value] of Object.entries({ fieldSelector: options.fieldSelector, ...query })) {
      if (value !== undefined) search.set(key, value)
    }
    return `${path}?${search.toString()}`
  }
  const read = (object: JsonObject): T | CniError => {
    try {
      return parse(object)
    } catch (error) {
      // Kept: a lookup of this object says what is wrong with it, the others are none the wiser.
      return toCniError(error)
    }
  }
  const tell = (key: string, value: T | CniError | undefined): void => {
    changed?.(key, isFault(value) ? undefined : value)
  }

  const list = async (): Promise<void> => {
    const next = new Map<string, T | CniError>()
    let token: string | undefined
    let listVersion = ''
    do {
      const { pageSize } = options
      const query =
        pageSize === undefined ? { resourceVersion: oldest } : { limit: String(pageSize), continue: token }
      const answer = await client.get(url(query), {
        timeoutMs: limits.listMs,
        signal: stop.signal,
        ...(options.accept === undefined ? {} : { accept: options.accept.list }),
      })
      const metadata = isJsonObject(answer.metadata) ? answer.metadata : {}
      const items = answer.items ?? []
      if (!Array.isArray(items) || typeof metadata.resourceVersion !== 'string')
        throw new ApiError('the answer is no list')
      for (const item of items) {
        const key = keyOf(item)
        if (key !== undefined) next.set(key, read(item))
      }
      listVersion = metadata.resourceVersion
      token =
        typeof metadata.continue === 'string' && metadata.continue !== '' ? metadata.continue : undefined
    } while (token !== undefined)
    const before = objects
    objects = next
    version = listVersion
    oldest = listVersion
    isListed = true
    for (const [key, value] of next) tell(key, value)
    for (const key of before.keys()) if (!next.has(key)) tell(key, undefined)
    listed?.()
  }

  /**
   * Asks whether the server knows the version from which the watch goes on. A watch from one that is still to come
   * is no error to it: it would be silent until then. @throws {ApiError} {@link isAhead} when it does not.
   */
  const confirm = async (from: string): Promise<void> => {
    const fewest = options.pageSize === undefined ? {} : { limit: '1', resourceVersionMatch: 'NotOlderThan' }
    const { listMs } = limits
    await client.get(url({ resourceVersion: from, ...fewest }), {
      timeoutMs: listMs,
      signal: stop.signal,
      ...(options.accept === undefined ? {} : { accept: options.accept.list }),
    })
  }

  const take = ({ type, object }: JsonObject): void => {
    const body = isJsonObject(object) ? object : {}
    if (type === 'ERROR') {
      const { code, message } = body
      throw new ApiError(
        `the watch was ended: ${typeof message === 'string' ? message : 'no reason given'}`,
        {
          status: typeof code === 'number' ? code : 500,
        },
      )
    }
    const metadata = isJsonObject(body.metadata) ? body.metadata : {}
    if (typeof metadata.resourceVersion !== 'string')
      throw new ApiError('an event of the watch has no version')
    if (type !== 'BOOKMARK') {
      const key = keyOf(body)
      if (key === undefined) throw new ApiError('an event of the watch has no object')
      const value = type === 'DELETED' ? undefined : read(body)
      if (value === undefined) objects.delete(key)
      else objects.set(key, value)
      tell(key, value)
    }
    version = metadata.resourceVersion
    oldest = metadata.resourceVersion
    followed()
  }
  const followed = (): void => {
    failures = 0
    refusals = 0
    setFault(undefined)
  }

  const watch = async (from: string, began: () => void): Promise<void> => {
    // One that ends as soon as it has begun is no recovery.
    let settling: NodeJS.Timeout | undefined
    const seconds = Math.ceil((limits.watchMs / 1000) * (1 + Math.random()))
    const query = {
      watch: '1',
      resourceVersion: from,
      allowWatchBookmarks: 'true',
      timeoutSeconds: String(seconds),
    }
    try {
      await client.watch(url(query), {
        idleMs: limits.idleMs,
        signal: stop.signal,
        opened: () => {
          began()
          isCurrent = true
          settling = setTimeout(() => {
            // By now all that happened meanwhile has been told.
            isForbidden = false
            followed()
          }, limits.firstPauseMs * PAUSES_TO_SETTLE)
        },
        event: take,
        ...(options.accept === undefined ? {} : { accept: options.accept.object }),
      })
    } finally {
      isCurrent = false
      clearTimeout(settling)
    }
  }

  /** Lists when needed, then watches until that ends. The pause before the next time. */
  const follow = async (): Promise<number> => {
    let hasBegun = false
    try {
      if (version === undefined) await list()
      else if (isDoubtful) await confirm(version)
      isDoubtful = false
      await watch(version ?? '0', () => {
        hasBegun = true
      })
      // A server, or what is before it, that closes watches all the time is not to be hammered at.
      return limits.firstPauseMs * (0.5 + Math.random() / 2)
    } catch (error) {
      const status = error instanceof ApiError ? error.status : undefined
      if (!hasBegun && (status === undefined || status >= 500)) isDoubtful = true
      if (status === 410) {
        // Whoever has forgotten the version has a newer state.
        if (version === undefined) oldest = ''
        version = undefined
      } else if (isAhead(error)) {
        version = undefined
        oldest = ''
      } else if (status !== undefined && !MOMENTARY.has(status) && ++refusals >= REFUSALS_TO_LIST_ANEW) {
        version = undefined
        oldest = ''
      }
      failures += 1
      if (status === 403) isForbidden = true
      if (!stop.signal.aborted && (status !== 410 || failures > 2)) setFault(toFault(error, options.right))
      const pause = Math.min(limits.firstPauseMs * 2 ** Math.min(failures - 1, 20), limits.longestPauseMs)
      const asked = error instanceof ApiError ? error.retryAfterMs : 0
      return asked + pause * (0.5 + Math.random() / 2)
    }
  }
  const run = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      const pauseMs = await follow()
      await delay(pauseMs, undefined, { signal: stop.signal }).catch(() => undefined)
    }
  }
  const running = run()

  return {
    get isListed() {
      return isListed
    },
    get fault() {
      return fault
    },
    get isForbidden() {
      return isForbidden
    },
    get isCurrent() {
      return isCurrent
    },
    get size() {
      return objects.size
    },
    get(key) {
      const value = objects.get(key)
      if (isFault(value)) throw value
      return value
    },
    *values() {
      for (const value of objects.values()) if (!isFault(value)) yield value
    },
    async close() {
      stop.abort()
      await running
    },
  }
}

/** Whether a version was asked for that the server does not have yet. */
function isAhead(error: unknown): boolean {
  return (
    error instanceof ApiError && error.status === 504 && /too large resource version/i.test(error.message)
  )
}

function toFault(error: unknown, right: string): string {
  const { message } = toCniError(error, CniErrorCode.TryAgainLater)
  if (!(error instanceof ApiError) || error.status !== 403) return message
  return `${message}; grant Plexus's user the right ${right}: until then each lookup is a request`
}

function isFault<T>(value: T | CniError | undefined): value is CniError {
  return value instanceof Error
}

/** `namespace/name` of an object; the name alone of one that is in no namespace. */
function keyOf(object: unknown): string | undefined {
  const metadata = isJsonObject(object) && isJsonObject(object.metadata) ? object.metadata : {}
  const { namespace, name } = metadata
  if (typeof name !== 'string') return undefined
  return typeof namespace === 'string' ? `${namespace}/${name}` : name
}
