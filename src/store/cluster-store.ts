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
  nad(namespace: string, name: string): Promise<NetworkAttachmentDefinition | undefined>
  publish(publication: Publication): Promise<void>
  /**
   * Takes a publication back when it is this container's; a missing or another's is left alone. Waits for no
   * server: the container's record goes when this has resolved.
   */
  unpublish(unpublication: Unpublication): Promise<void>
  /** What was published for the pod last. */
  networkStatus(namespace: string, name: string): Promise<NetworkStatusEntry[] | undefined>
}
