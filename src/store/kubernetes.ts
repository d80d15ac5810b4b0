import { CniError, toCniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import { isJsonObject, type JsonObject } from '../cni/json.ts'
import { namespaceFault, objectNameFault } from '../cni/object-name.ts'
import { NETWORK_STATUS_ANNOTATION } from '../network/annotations.ts'
import type { Labels } from '../network/label-selector.ts'
import type { NetworkAttachmentDefinition } from '../network/nad.ts'
import type { Namespace } from '../network/namespace.ts'
import type { NetworkStatusEntry } from '../network/network-status.ts'
import type { Pod } from '../network/pod.ts'
import type { ClusterStore } from './cluster-store.ts'
import { ApiError, apiClient } from './kubernetes-client.ts'
import type { CredentialSource } from './kubernetes-credentials.ts'
import { type Informer, type InformerLimits, openInformer } from './kubernetes-informer.ts'
import { METADATA, toNad, toNamespace, toPod } from './kubernetes-objects.ts'
import { isPassing, toLookupError } from './lookup-error.ts'
import { NO_NAD_FILES, openNadFiles } from './nad-files.ts'
import { type NodeView, openNodeView } from './node-view.ts'
import { sharedReads } from './object-reads.ts'
import { isPodWith, markOf, type PodApi, toPodStatus, writePodStatus } from './pod-status.ts'
import { openPublisher, type Publisher, type PublishingOptions } from './publisher.ts'

/** How a store talks to the API server. */
export interface KubernetesStoreOptions {
  readonly credentials: CredentialSource
  /** NADs that were used are kept below it; without it nothing is written, and nothing read there. */
  readonly stateDir?: string
  /**
   * Name of this node's Node object: its pods and all NADs are followed from now on. Without it every
   * lookup is a request: for a process that ends after one.
   */
  readonly nodeName?: string
  /** Publishes in the background; else at once, without another try. */
  readonly publishing?: PublishingOptions
  /** Told when all pods or all NADs were read. */
  readonly listed?: () => void
  readonly warn: (message: string) => void
  readonly limits?: Partial<KubernetesLimits>
}

/** Bounds of requests, in milliseconds. */
export interface KubernetesLimits extends InformerLimits {
  /** For one lookup, a second try included. */
  readonly readMs: number
  /** For a lookup of a NAD of which there is a copy on disk. */
  readonly readKeptMs: number
  /** For a write that an answer waits for. */
  readonly writeMs: number
  /** For a write, or a look before it, that nobody waits for. */
  readonly publishMs: number
  /** How long the answer that a NAD does not exist is believed while NADs are followed. */
  readonly missingMs: number
}

/** A {@link ClusterStore} that may follow the cluster. */
export interface KubernetesStore extends ClusterStore {
  /** Why the caches may be behind at the moment, if they may. */
  readonly fault: string | undefined
  /** Whether pods and NADs were listed once. */
  readonly isListed: boolean
  /** What publishes in the background, if anything does. */
  readonly publisher: Publisher | undefined
  /** This node, when it is followed and may be told of. */
  readonly node: NodeView | undefined
  /** Ends what follows the cluster. */
  close(): Promise<void>
}

const DEFAULT_LIMITS: KubernetesLimits = {
  readMs: 12_000,
  readKeptMs: 2000,
  writeMs: 10_000,
  publishMs: 20_000,
  missingMs: 5000,
  listMs: 30_000,
  idleMs: 90_000,
  watchMs: 240_000,
  firstPauseMs: 500,
  longestPauseMs: 10_000,
}

const NADS = 'network-attachment-definitions'
const NAD_GROUP = '/apis/k8s.cni.cncf.io/v1'
/** Objects in one answer of a list. */
const PAGE = 500
/** Any pod can ask for any number of NADs that do not exist. */
const MOST_MISSING = 1000

/**
 * The cluster behind an API server. Lookups are answered from what is followed; one that it cannot answer
 * is one request, shared by all who ask for the same. What the server does not know is `undefined`; when
 * it cannot be asked, the lookup throws TryAgainLater with the reason, but for a NAD that this node used
 * before: then its copy on disk answers.
 */
export function kubernetesStore(options: KubernetesStoreOptions): KubernetesStore {
  const { credentials, nodeName, stateDir, warn } = options
  const limits = { ...DEFAULT_LIMITS, ...options.limits }
  const client = apiClient(credentials)
  const files = stateDir === undefined ? NO_NAD_FILES : openNadFiles(stateDir, warn)
  const stop = new AbortController()
  const read = sharedReads(client, stop.signal)
  /** NADs that the server did not know: until when that is believed. */
  const missing = new Map<string, number>()

  const report =
    (what: string) =>
    (fault: string | undefined): void =>
      warn(fault === undefined ? `${what} are followed again` : `${what} cannot be followed: ${fault}`)
  const pods: Informer<Pod> | undefined =
    nodeName === undefined
      ? undefined
      : openInformer({
          client,
          limits,
          path: '/api/v1/pods',
          right: 'list and watch on pods',
          fieldSelector: `spec.nodeName=${nodeName}`,
          accept: METADATA,
          parse: toPod,
          changed: (key, pod) => publisher?.podChanged(key, pod),
          listed: () => options.listed?.(),
          report: report(`pods of node ${nodeName}`),
        })
  const nads: Informer<NetworkAttachmentDefinition> | undefined =
    nodeName === undefined
      ? undefined
      : openInformer({
          client,
          limits,
          path: `${NAD_GROUP}/${NADS}`,
          right: `list and watch on ${NADS}`,
          pageSize: PAGE,
          parse: toNad,
          changed: (key, nad) => {
            missing.delete(key)
            files.update(key, nad)
          },
          listed: () => {
            for (const key of files.keys()) if (!isKnown(key)) files.update(key, undefined)
            options.listed?.()
          },
          report: report('NADs'),
        })
  const isKnown = (key: string): boolean => {
    try {
      return nads?.get(key) !== undefined
    } catch {
      // It is there, and wrong: whoever asks for it is told.
      return true
    }
  }

  /** What is known of an object and followed. @throws {CniError} What is wrong with it. */
  const followed = <T>(informer: Informer<T> | undefined, key: string): T | undefined =>
    informer?.isForbidden ? undefined : informer?.get(key)
  const findPod = async (namespace: string, name: string, uid?: string): Promise<Pod | undefined> => {
    const key = toKey('pod', namespace, name)
    const cached = followed(pods, key)
    if (cached === undefined || !isPodWith(cached, uid)) return await askForPod(namespace, name, uid)
    if (uid !== undefined || pods?.isCurrent) return cached
    // Without a UID nothing tells it from a pod that has its name since. While nobody can be asked there is none.
    return await askForPod(namespace, name, uid).catch((error: unknown) => {
      if (error instanceof CniError && isPassing(error.cause)) return cached
      throw error
    })
  }
  const askForPod = async (namespace: string, name: string, uid?: string): Promise<Pod | undefined> => {
    const key = `${namespace}/${name}`
    const path = podPath(namespace, name)
    try {
      // Who asks for another UID asks for another pod: an answer that was on its way before is not his.
      return await read(
        { id: `pod ${key} ${uid ?? ''}`, path, accept: METADATA.object, parse: toPod },
        limits.readMs,
      )
    } catch (error) {
      throw toLookupError(error, `pod ${key}`, 'get on pods', client.server)
    }
  }

  const findNad = async (
    namespace: string,
    name: string,
    hasStandIn = false,
  ): Promise<NetworkAttachmentDefinition | undefined> => {
    const key = toKey('NAD', namespace, name)
    const cached = followed(nads, key)
    if (cached !== undefined) {
      files.keep(cached)
      return cached
    }
    const believedUntil = missing.get(key)
    if (believedUntil !== undefined && performance.now() < believedUntil) return undefined
    // Of those that were listed a copy is kept up to date, or removed: it has nothing new to say.
    const isFollowed = nads?.isListed === true && !nads.isForbidden
    const copy = isFollowed ? undefined : files.read(key)
    const wasAbsent = hasStandIn && isFollowed
    const path = `${NAD_GROUP}/namespaces/${namespace}/${NADS}/${name}`
    try {
      const nad = await read(
        { id: `NAD ${key}`, path, parse: toNad },
        copy === undefined && !wasAbsent ? limits.readMs : limits.readKeptMs,
      )
      if (nad !== undefined) {
        files.keep(nad)
        return nad
      }
    } catch (error) {
      if (copy !== undefined && isPassing(error)) {
        warn(`NAD ${key} is taken as it was last seen: ${toCniError(error).message}`)
        return copy
      }
      if (wasAbsent && isPassing(error)) return undefined
      throw toLookupError(error, `NAD ${key}`, `get on ${NADS}`, client.server)
    }
    files.update(key, undefined)
    if (missing.size >= MOST_MISSING) missing.clear()
    if (nads?.isListed && nads.fault === undefined) missing.set(key, performance.now() + limits.missingMs)
    return undefined
  }

  /** Followed from the first question on: in most clusters nobody ever asks. */
  let namespaces: Informer<Namespace> | undefined
  const findNamespaceLabels = async (namespace: string): Promise<Labels | undefined> => {
    const fault = namespaceFault(namespace)
    if (fault !== undefined)
      throw new CniError(CniErrorCode.InvalidEnvironment, `namespace ${JSON.stringify(namespace)} ${fault}`)
    if (nodeName !== undefined && !stop.signal.aborted) {
      namespaces ??= openInformer({
        client,
        limits,
        path: '/api/v1/namespaces',
        accept: METADATA,
        right: 'list and watch on namespaces',
        pageSize: PAGE,
        parse: toNamespace,
        report: report('namespaces'),
      })
    }
    const cached = followed(namespaces, namespace)
    if (cached !== undefined) return cached.labels
    const path = `/api/v1/namespaces/${namespace}`
    try {
      const wanted = { id: `namespace ${namespace}`, path, accept: METADATA.object, parse: toNamespace }
      return (await read(wanted, limits.readMs))?.labels
    } catch (error) {
      throw toLookupError(error, `namespace ${namespace}`, 'get on namespaces', client.server)
    }
  }

  const known = (namespace: string, name: string): Pod | undefined => {
    try {
      return followed(pods, `${namespace}/${name}`)
    } catch {
      // Whoever looks it up is told what is wrong with it.
      return undefined
    }
  }
  const podApi: PodApi = {
    known,
    async read(namespace, name) {
      try {
        const path = podPath(namespace, name)
        const object = await client.get(path, { ...writing(), accept: METADATA.object })
        const metadata = isJsonObject(object.metadata) ? object.metadata : {}
        return { ...toPod(object), resourceVersion: String(metadata.resourceVersion) }
      } catch (error) {
        if (error instanceof ApiError && error.isObjectMissing) return undefined
        throw error
      }
    },
    async patchStatus(namespace, name, body) {
      await client.patch(`${podPath(namespace, name)}/status`, body, {
        ...writing(),
        accept: METADATA.object,
      })
    },
  }
  const createEvent = async (namespace: string, body: JsonObject): Promise<void> => {
    await client.post(`/api/v1/namespaces/${namespace}/events`, body, writing())
  }
  const writing = (): { timeoutMs: number; signal: AbortSignal } => ({
    timeoutMs: options.publishing === undefined ? limits.writeMs : limits.publishMs,
    signal: stop.signal,
  })
  const mayTellEvents = (): boolean => options.publishing?.events() !== 'none'
  const publisher: Publisher | undefined =
    options.publishing && openPublisher(podApi, createEvent, warn, options.publishing)
  const node =
    pods === undefined || nads === undefined || nodeName === undefined || options.publishing === undefined
      ? undefined
      : openNodeView(pods, nads, { client, node: nodeName, mayTellEvents, warn })

  const publish: ClusterStore['publish'] = async (publication, later) => {
    const key = toKey('pod', publication.namespace, publication.name)
    if (publisher !== undefined && later !== undefined) {
      publisher.publish(publication, later)
      return 'later'
    }
    try {
      const outcome = await writePodStatus(podApi, toPodStatus(publication), true)
      return outcome === 'published' ? 'done' : 'unneeded'
    } catch (error) {
      throw toLookupError(error, `status of pod ${key}`, 'patch on pods/status', client.server)
    }
  }

  return {
    pod: findPod,
    nad: findNad,
    namespaceLabels: findNamespaceLabels,
    publish,
    // What is published goes with the pod, and the next sandbox's takes its place; a DEL needs no API server
    // (design §5).
    unpublish: async ({ containerId }) => publisher?.cancel(containerId),
    cancelPublication: (containerId) => publisher?.cancel(containerId),
    reportFailure: (attempt) => publisher?.failed(attempt),
    statusMark(namespace, name) {
      const pod = known(namespace, name)
      return pod && markOf(pod.annotations[NETWORK_STATUS_ANNOTATION])
    },
    networkStatus: async (namespace, name) => {
      const text = (await findPod(namespace, name))?.annotations[NETWORK_STATUS_ANNOTATION]
      return text === undefined ? undefined : parseStatus(text, `${namespace}/${name}`)
    },
    get fault() {
      return pods?.fault ?? nads?.fault ?? namespaces?.fault
    },
    get isListed() {
      return (pods?.isListed ?? true) && (nads?.isListed ?? true)
    },
    publisher,
    node,
    async close() {
      publisher?.close()
      node?.status.close()
      stop.abort()
      await Promise.all([pods?.close(), nads?.close(), namespaces?.close()])
      client.close()
    },
  }
}

function podPath(namespace: string, name: string): string {
  return `/api/v1/namespaces/${namespace}/pods/${name}`
}

/** `namespace/name`, safe in a URL. @throws {CniError} InvalidEnvironment for a name that Kubernetes forbids. */
function toKey(what: string, namespace: string, name: string): string {
  const wrong = namespaceFault(namespace)
  const fault = wrong === undefined ? objectNameFault(name) : `has a namespace that ${wrong}`
  if (fault === undefined) return `${namespace}/${name}`
  throw new CniError(
    CniErrorCode.InvalidEnvironment,
    `${what} ${JSON.stringify(`${namespace}/${name}`)} ${fault}`,
  )
}

function parseStatus(text: string, pod: string): NetworkStatusEntry[] {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    value = undefined
  }
  if (Array.isArray(value) && value.every(isJsonObject)) return value as unknown as NetworkStatusEntry[]
  throw new CniError(CniErrorCode.Decoding, `network-status of pod ${pod} is no list of objects`)
}
