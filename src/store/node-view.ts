import type { NetworkAttachmentDefinition } from '../network/nad.ts'
import type { Pod } from '../network/pod.ts'
import type { Informer } from './kubernetes-informer.ts'
import { type NodeStatus, type NodeStatusOptions, openNodeStatus } from './node-status.ts'

/** A node as its store follows it: nothing here asks the API server. */
export interface NodeView {
  /** Its pods; those that are wrong are left out. */
  pods(): Iterable<Pod>
  /** As it was last seen; `undefined` also for one that is wrong. */
  nad(namespace: string, name: string): NetworkAttachmentDefinition | undefined
  readonly status: NodeStatus
}

/** Opens the view over what is followed. */
export function openNodeView(
  pods: Informer<Pod>,
  nads: Informer<NetworkAttachmentDefinition>,
  status: NodeStatusOptions,
): NodeView {
  return {
    pods: () => pods.values(),
    nad(namespace, name) {
      try {
        return nads.get(`${namespace}/${name}`)
      } catch {
        // Whoever looks it up for a pod is told what is wrong with it.
        return undefined
      }
    },
    status: openNodeStatus(status),
  }
}
