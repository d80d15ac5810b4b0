import { join } from 'node:path'
import { type Snapshot, snapshot } from '../rig/leftovers.ts'
import type { TestNode, TestPod } from '../rig/test-node.ts'

/**
 * What there is of effects now: links, leases, journal files, processes and namespaces. Not the published
 * network-status: that of a pod that the shim deleted alone is not the shim's to remove.
 */
export function watchEffects(node: TestNode, ...pods: readonly TestPod[]): Promise<Snapshot> {
  return snapshot({
    netns: [node.host, ...pods.map(({ netns }) => netns)],
    leases: [node.leaseDir],
    folders: [join(node.stateDir, 'sandboxes')],
  })
}
