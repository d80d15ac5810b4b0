import { hostname } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import type { NetConf } from '../config/net-conf.ts'
import type { ClusterStore } from '../store/cluster-store.ts'
import { type KubernetesStore, kubernetesStore } from '../store/kubernetes.ts'
import {
  type CredentialSource,
  inClusterCredentials,
  kubeconfigCredentials,
} from '../store/kubernetes-credentials.ts'
import { manifestStore } from '../store/manifests.ts'
import type { NodeView } from '../store/node-view.ts'
import type { RecordKey } from '../store/publications.ts'
import type { Publisher, PublishingOptions } from '../store/publisher.ts'
import { publishRecord } from './recorded-publications.ts'
import { spareMemory } from './spare-memory.ts'

/** The clusters that requests are about: one, as a rule, that of the daemon's own configuration. */
export interface ClusterStores {
  /** That of `manifests`, else of `kubeconfig`, else the cluster that the daemon is a pod of, else none. */
  of(conf: NetConf): ClusterStore | undefined
  /** Why what is known of a cluster may be behind, if it may. */
  readonly fault: string | undefined
  /** What publishes to the cluster of this configuration in the background. */
  publisherOf(conf: NetConf): Publisher | undefined
  /** The node in the cluster of this configuration, when that is followed. */
  nodeOf(conf: NetConf): NodeView | undefined
  /** Pods that are to be told of. */
  readonly pendingPublications: number
  /** Waits a moment for what can be told before the end; the rest is in the journal. */
  drain(timeoutMs: number): Promise<void>
  /** Ends what follows a cluster, save that of this configuration. */
  close(except?: NetConf): Promise<void>
}

/** Where a cluster is read from. */
interface Source {
  readonly key: string
  open(): ClusterStore
}

/** Opens each store when it is first asked for; an API server is followed from then on. */
export function openClusterStores(
  warn: (message: string) => void,
  publishing: Omit<PublishingOptions, 'node' | 'restore'>,
): ClusterStores {
  const stores = new Map<string, ClusterStore>()
  const followed = new Map<string, KubernetesStore>()
  const listed = spareMemory()

  /** Of earlier configurations: a request that began with one may still ask, and nothing follows them. */
  const retired = new Set<string>()

  const follow = (key: string, credentials: CredentialSource, stateDir: string): KubernetesStore => {
    if (retired.has(key)) return kubernetesStore({ credentials, stateDir, warn })
    const node = nodeName()
    const restore = (record: RecordKey): void => {
      if (store.publisher !== undefined) publishRecord(store.publisher, stateDir, record, warn)
    }
    const store: KubernetesStore = kubernetesStore({
      ...{ credentials, stateDir, warn, listed },
      nodeName: node,
      publishing: { ...publishing, node, restore },
    })
    followed.set(key, store)
    return store
  }
  const sourceOf = ({ manifests, kubeconfig, stateDir }: NetConf): Source | undefined => {
    if (manifests !== undefined) {
      return {
        key: `manifests\0${manifests}\0${stateDir}`,
        open: () => manifestStore({ manifests, stateDir }),
      }
    }
    if (kubeconfig !== undefined) {
      const key = `kubeconfig\0${kubeconfig}\0${stateDir}`
      return { key, open: () => follow(key, kubeconfigCredentials(kubeconfig), stateDir) }
    }
    const credentials = inClusterCredentials(process.env)
    if (credentials === undefined) return undefined
    const key = `in-cluster\0${stateDir}`
    return { key, open: () => follow(key, credentials, stateDir) }
  }

  const publishers = (): Publisher[] => [...followed.values()].flatMap(({ publisher }) => publisher ?? [])

  return {
    of(conf) {
      const source = sourceOf(conf)
      if (source === undefined) return undefined
      const known = stores.get(source.key) ?? source.open()
      if (!retired.has(source.key)) stores.set(source.key, known)
      return known
    },
    get fault() {
      for (const { fault } of followed.values()) if (fault !== undefined) return fault
      return undefined
    },
    publisherOf(conf) {
      const key = sourceOf(conf)?.key
      return key === undefined ? undefined : followed.get(key)?.publisher
    },
    nodeOf(conf) {
      const key = sourceOf(conf)?.key
      const store = key === undefined ? undefined : followed.get(key)
      return store?.isListed ? store.node : undefined
    },
    get pendingPublications() {
      return publishers().reduce((sum, { pending }) => sum + pending, 0)
    },
    async drain(timeoutMs) {
      const end = performance.now() + timeoutMs
      const isWorthIt = (): boolean =>
        publishers().some(({ pending, isFailing }) => pending > 0 && !isFailing)
      while (isWorthIt() && performance.now() < end) await delay(20)
    },
    async close(except) {
      const kept = except === undefined ? undefined : sourceOf(except)?.key
      const closing = [...followed].filter(([key]) => key !== kept)
      if (kept !== undefined) retired.delete(kept)
      for (const [key] of closing) {
        retired.add(key)
        followed.delete(key)
        stores.delete(key)
      }
      await Promise.all(closing.map(([, store]) => store.close()))
    },
  }
}

/** As the kubelet registers it, unless the DaemonSet tells: then it is the pod's `spec.nodeName`. */
function nodeName(): string {
  return process.env.NODE_NAME || hostname().toLowerCase()
}
