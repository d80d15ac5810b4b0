import type { CniError } from '../cni/cni-error.ts'
import type { Labels } from '../network/label-selector.ts'
import type { NetworkAttachmentDefinition } from '../network/nad.ts'
import type { NetworkStatusEntry } from '../network/network-status.ts'
import type { Pod } from '../network/pod.ts'

/** The networks that one sandbox got, to be shown to the cluster. */
export interface Publication {
  namespace: string
  name: string
  uid?: string
  containerId: string
  networkStatus: NetworkStatusEntry[]
  /** When the networks were attached, ISO 8601; now, when absent. */
  time?: string
  /** Optional networks that the pod goes without: what is wrong with each. */
  missing?: readonly string[]
  /** {@link ClusterStore.statusMark} at that time: what has another one by now is somebody else's. */
  replaces?: string
}

/** Who waits for a publication that is done later. */
export interface LaterPublication {
  /** CNI_IFNAME of the ADD; with the container it names the record. */
  readonly ifName: string
  /** Told once: whether nothing is left to be told, now or later. May throw. */
  settled(isDone: boolean): void
}

/** An ADD or DEL of a pod that failed. */
export interface FailedAttempt {
  readonly namespace: string
  readonly name: string
  readonly uid?: string
  readonly command: 'ADD' | 'DEL'
  readonly error: CniError
  /** Whether the pod has all its networks by an earlier ADD of the same container, which the failed one left alone. */
  readonly isAttached: boolean
  /** Texts of this attempt alone, such as the container's id: the next one fails in other words. */
  readonly passing: readonly string[]
}

/** A sandbox whose publication is to be taken back. */
export interface Unpublication {
  namespace: string
  name: string
  containerId: string
}

/**
 * All that Plexus asks of and tells the cluster. `undefined` means that the cluster knows no such object;
 * a lookup that cannot tell throws, so that a fault never looks like fewer networks.
 */
export interface ClusterStore {
  /** @param uid What the runtime has as UID: a cache that knows another pod by that name is not believed. */
  pod(namespace: string, name: string, uid?: string): Promise<Pod | undefined>
  /**
   * @param hasStandIn Whether a file stands in for a NAD that does not exist: then one that did not exist when the
   * cluster was last heard of is none while the cluster cannot be asked.
   */
  nad(namespace: string, name: string, hasStandIn?: boolean): Promise<NetworkAttachmentDefinition | undefined>
  namespaceLabels(namespace: string): Promise<Labels | undefined>
  /**
   * @param later Told of a publication that is done later; without it nothing is left for later.
   * @returns Whether it is done, need not be done since the pod is another's or gone, or is done later.
   */
  publish(publication: Publication, later?: LaterPublication): Promise<'done' | 'unneeded' | 'later'>
  /**
   * Takes a publication back when it is this container's; a missing or another's is left alone. Waits for no
   * server: the container's record goes when this has resolved.
   */
  unpublish(unpublication: Unpublication): Promise<void>
  /** The container is about to go: what is not published of it is not to be. Waits for nothing. */
  cancelPublication?(containerId: string): void
  /** What was published for the pod last. */
  networkStatus(namespace: string, name: string): Promise<NetworkStatusEntry[] | undefined>
  /** Tells one published status from another, as far as known without asking; empty for none. */
  statusMark?(namespace: string, name: string): string | undefined
  /** Tells the cluster why a pod has not got its networks, some time. Never throws. */
  reportFailure?(attempt: FailedAttempt): void
}
