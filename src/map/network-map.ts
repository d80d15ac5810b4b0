/** Pods and the networks they hang on: what a picture of a node or a cluster is drawn from. */
export interface NetworkMap {
  /** Where it is from: what runs on this node, what the cluster was told, or what manifests ask for. */
  readonly origin: 'journal' | 'cluster' | 'manifests'
  readonly networks: readonly MappedNetwork[]
  readonly pods: readonly MappedPod[]
}

/** A network, whether or not a pod hangs on it. */
export interface MappedNetwork {
  /** `namespace/name` of its NAD, else the network's name; no two networks share it. */
  readonly name: string
  readonly isDefault: boolean
  /** Types of its plugins in the order of ADD; empty when its configuration is not known. */
  readonly plugins: readonly string[]
  /** What its configuration says of links and addresses, as {@link pluginFacts} tells it. */
  readonly facts: readonly string[]
  /** Why its configuration cannot be read. */
  readonly problem: string | null
}

/** A pod, or what a journal knows instead of one. */
export interface MappedPod {
  /** `null` for a sandbox that is no pod's. */
  readonly namespace: string | null
  readonly name: string
  readonly containerId: string | null
  /** What is not as it should be: `undo pending`, `network-status missing`. */
  readonly remark: string | null
  readonly interfaces: readonly MappedInterface[]
}

/** A pod's interface on a network. */
export interface MappedInterface {
  /** Name of a {@link MappedNetwork}. */
  readonly network: string
  /** Empty when it is not known. */
  readonly ifName: string
  readonly addresses: readonly string[]
  readonly mac: string | null
  /** The device behind it: a PCI address, the path of a socket. */
  readonly device: string | null
  /** Whether a default route of the pod leads over it. */
  readonly hasDefaultRoute: boolean
  readonly state: 'attached' | 'planned' | 'not attached'
}

/** One pod with the plugins of its networks and what each call of them took. */
export interface PodMap {
  readonly origin: NetworkMap['origin']
  readonly namespace: string
  readonly name: string
  readonly containerId: string | null
  readonly remark: string | null
  /** When ADD began, ISO 8601. */
  readonly time: string | null
  /** From the beginning of ADD to its answer. */
  readonly durationMs: number | null
  readonly attachments: readonly MappedAttachment[]
  readonly calls: readonly MappedCall[]
}

/** A pod's interface with the chain of plugins that makes it. */
export interface MappedAttachment extends MappedInterface {
  readonly plugins: readonly { readonly type: string; readonly facts: readonly string[] }[]
}

/** One call of one plugin. Milliseconds. */
export interface MappedCall {
  readonly network: string
  readonly ifName: string
  readonly plugin: string
  readonly command: string
  /** Since ADD began. */
  readonly startMs: number
  readonly durationMs: number
  /** Error code of a call that failed. */
  readonly error: number | null
}

/** Names in the order of people: `pod-9` before `pod-10`. */
export function compareNames(left: string, right: string): number {
  const parts = (text: string): string[] => text.split(/(\d+)/)
  const ours = parts(left)
  const theirs = parts(right)
  for (let index = 0; index < Math.min(ours.length, theirs.length); index++) {
    const [one = '', other = ''] = [ours[index], theirs[index]]
    if (one === other) continue
    if (index % 2 === 1 && BigInt(one) !== BigInt(other)) return BigInt(one) < BigInt(other) ? -1 : 1
    return one < other ? -1 : 1
  }
  return ours.length - theirs.length
}
