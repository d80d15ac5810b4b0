import { CniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import { isJsonObject, type JsonObject } from '../cni/json.ts'
import { namespaceFault, objectNameFault } from '../cni/object-name.ts'
import type { NetConf } from '../config/net-conf.ts'
import { NETWORK_STATUS_ANNOTATION } from '../network/annotations.ts'
import type { NetworkAttachmentDefinition } from '../network/nad.ts'
import type { Namespace } from '../network/namespace.ts'
import { ApiError, apiClient } from '../store/kubernetes-client.ts'
import type { CredentialSource } from '../store/kubernetes-credentials.ts'
import { type Informer, type InformerLimits, openInformer } from '../store/kubernetes-informer.ts'
import { METADATA, toNad, toNamespace, toPod } from '../store/kubernetes-objects.ts'
import { toLookupError } from '../store/lookup-error.ts'
import type { KnownCluster } from './known-cluster.ts'
import { networksOf } from './named-networks.ts'

/** A cluster that is followed: NADs, namespaces, and which pods use which NADs. */
export interface ClusterView extends KnownCluster {
  /** Whether everything was known once. */
  readonly isListed: boolean
  /** Why what is known may be behind, if it may. */
  readonly fault: string | undefined
  close(): Promise<void>
}

/** How a cluster is followed. */
export interface ClusterViewOptions {
  readonly credentials: CredentialSource
  readonly conf: () => NetConf
  readonly warn: (message: string) => void
  readonly limits?: Partial<InformerLimits>
}

const LIMITS: InformerLimits = {
  listMs: 30_000,
  idleMs: 90_000,
  watchMs: 240_000,
  firstPauseMs: 500,
  longestPauseMs: 10_000,
}
const PAGE = 500
/** For one object that is not known yet: the API server waits 5 s for us, and a pod may need two in a row. */
const READ_MS = 2000
/** Reads of NADs at once; a pod can name any number of NADs that do not exist. */
const MOST_READS = 16
const NADS = 'network-attachment-definitions'
const NAD_GROUP = '/apis/k8s.cni.cncf.io/v1'
const NOTHING: readonly string[] = []
/** Stands for the namespace of a default network without one: `multusNamespace` may change while the pod runs. */
const OPEN_NAMESPACE = '*'

/** Follows a cluster. What it does not know yet is one read each, never a list. */
export function openClusterView({ credentials, conf, warn, ...options }: ClusterViewOptions): ClusterView {
  const limits = { ...LIMITS, ...options.limits }
  const client = apiClient(credentials)
  const stop = new AbortController()
  const namesOf = new Map<string, Set<string>>()
  const users = new Map<string, Set<string>>()
  const usedBy = new Map<string, readonly string[]>()
  let reads = 0

  const follow = <T>(
    what: string,
    path: string,
    rest: Pick<Parameters<typeof openInformer<T>>[0], 'parse' | 'changed' | 'accept' | 'fieldSelector'>,
  ): Informer<T> =>
    openInformer<T>({
      ...rest,
      ...{
        client,
        limits,
        path,
        pageSize: PAGE,
        right: `list and watch on ${path.slice(path.lastIndexOf('/') + 1)}`,
      },
      report: (fault) =>
        warn(fault === undefined ? `${what} are followed again` : `${what} cannot be followed: ${fault}`),
    })
  const nads = follow<NetworkAttachmentDefinition>('NADs', `${NAD_GROUP}/${NADS}`, {
    parse: toNad,
    changed: (key, nad) => {
      const [namespace = '', name = ''] = key.split('/')
      if (nad === undefined) remove(namesOf, namespace, name)
      else add(namesOf, namespace, name)
    },
  })
  const namespaces = follow<Namespace>('namespaces', '/api/v1/namespaces', {
    accept: METADATA,
    parse: toNamespace,
  })
  const pods = follow<readonly string[]>('pods', '/api/v1/pods', {
    accept: METADATA,
    // What has ended uses nothing.
    fieldSelector: 'status.phase!=Succeeded,status.phase!=Failed',
    parse: usedNetworks,
    changed: (key, used = NOTHING) => {
      for (const nad of usedBy.get(key) ?? NOTHING) if (!used.includes(nad)) remove(users, nad, key)
      for (const nad of used) add(users, nad, key)
      if (used.length === 0) usedBy.delete(key)
      else usedBy.set(key, used)
    },
  })

  /** An object that was made a moment ago may not have come yet. */
  const read = async <T>(
    what: string,
    right: string,
    path: string,
    parse: (object: JsonObject) => T,
  ): Promise<T | undefined> => {
    reads += 1
    try {
      return parse(await client.get(path, { timeoutMs: READ_MS, signal: stop.signal }))
    } catch (error) {
      if (error instanceof ApiError && error.isObjectMissing) return undefined
      throw toLookupError(error, what, right, client.server)
    } finally {
      reads -= 1
    }
  }

  return {
    get conf() {
      return conf()
    },
    async nad(namespace, name) {
      if (namespaceFault(namespace) !== undefined || objectNameFault(name) !== undefined) return undefined
      const path = `${NAD_GROUP}/namespaces/${namespace}/${NADS}/${name}`
      const key = `${namespace}/${name}`
      const known = nads.get(key)
      if (known !== undefined) return known
      if (reads >= MOST_READS)
        throw new CniError(
          CniErrorCode.TryAgainLater,
          `NAD ${key} is not known, and ${reads} others are being asked for`,
        )
      return await read(`NAD ${key}`, `get on ${NADS}`, path, toNad)
    },
    async namespace(name) {
      if (namespaceFault(name) !== undefined)
        throw new CniError(CniErrorCode.Decoding, 'the request names no namespace')
      const path = `/api/v1/namespaces/${name}`
      return namespaces.get(name) ?? (await read(`namespace ${name}`, 'get on namespaces', path, toNamespace))
    },
    nadNames: (namespace) => [...(namesOf.get(namespace) ?? [])],
    usersOf: (nad) => {
      const [namespace, name] = nad.split('/')
      const open = namespace === conf().multusNamespace ? users.get(`${OPEN_NAMESPACE}/${name}`) : undefined
      return [...new Set([...(users.get(nad) ?? []), ...(open ?? [])])]
    },
    get isListed() {
      return nads.isListed && namespaces.isListed && pods.isListed
    },
    get fault() {
      return nads.fault ?? namespaces.fault ?? pods.fault
    },
    async close() {
      stop.abort()
      await Promise.all([nads.close(), namespaces.close(), pods.close()])
      client.close()
    },
  }
}

/** NADs that a pod asked for, and those that it got some other way. */
function usedNetworks(object: JsonObject): readonly string[] {
  const { annotations, namespace } = toPod(object)
  const { [NETWORK_STATUS_ANNOTATION]: status } = annotations
  const used = new Set([
    ...networksOf(annotations, namespace, { multusNamespace: OPEN_NAMESPACE }),
    ...namesInStatus(status),
  ])
  // Of a cluster most pods use none.
  return used.size === 0 ? NOTHING : [...used]
}

function namesInStatus(text: string | undefined): string[] {
  if (text === undefined) return []
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    // Somebody else's; the pod's own annotation counts.
    return []
  }
  const entries: unknown[] = Array.isArray(value) ? value : []
  return entries.flatMap((entry) =>
    isJsonObject(entry) && typeof entry.name === 'string' && entry.name.includes('/') ? [entry.name] : [],
  )
}

function add(map: Map<string, Set<string>>, key: string, value: string): void {
  const set = map.get(key) ?? new Set()
  map.set(key, set.add(value))
}

function remove(map: Map<string, Set<string>>, key: string, value: string): void {
  const set = map.get(key)
  set?.delete(value)
  if (set?.size === 0) map.delete(key)
}
