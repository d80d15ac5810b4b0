import type { Labels } from '../network/label-selector.ts'
import { type NetworkAttachmentDefinition, parseNad } from '../network/nad.ts'
import { type Pod, parsePod } from '../network/pod.ts'
import type { ClusterStore } from '../store/cluster-store.ts'
import { readManifestFiles } from '../store/manifest-files.ts'
import { parseManifests } from '../store/manifest-parsing.ts'
import { manifestStore } from '../store/manifests.ts'

/** Manifests to look objects up in; what an earlier one has hides what a later one has by the same name. */
export type ManifestLayers = readonly (readonly string[])[]

/** Pods and NADs of some manifests, and the kinds of everything in them. */
export interface ManifestPods {
  /** In the order of the files. */
  readonly pods: readonly Pod[]
  readonly nads: readonly NetworkAttachmentDefinition[]
  /** Each kind once, in the order of appearance. */
  readonly kinds: readonly string[]
}

/** Where pods and networks are looked up; nothing is ever published. */
type ReadStore = Pick<ClusterStore, 'pod' | 'nad' | 'namespaceLabels'>

/**
 * Lists the pods and NADs of manifest files or folders.
 *
 * @throws {CniError} Io when a path cannot be read, Decoding with every fault of the files.
 */
export async function readManifestPods(paths: readonly string[], stateDir: string): Promise<ManifestPods> {
  // The store knows every fault of the files, an object that is there twice included.
  await manifestStore({ manifests: paths, stateDir }).pod('', '')
  const objects = []
  for (const path of paths) {
    for (const { text, path: file } of await readManifestFiles(path)) {
      objects.push(...parseManifests(text, file).objects)
    }
  }
  return {
    pods: objects.flatMap(({ kind, manifest, where }) => (kind === 'Pod' ? [parsePod(manifest, where)] : [])),
    nads: objects.flatMap(({ kind, manifest, where }) =>
      kind === 'NetworkAttachmentDefinition' ? [parseNad(manifest, where)] : [],
    ),
    kinds: [...new Set(objects.map(({ kind }) => kind))],
  }
}

/** A store over several layers. Lookups throw what {@link manifestStore} throws. */
export function layeredStore(layers: ManifestLayers, stateDir: string): ClusterStore {
  const stores = layers.map((manifests) => manifestStore({ manifests, stateDir }))
  const first = async <T>(lookUp: (store: ReadStore) => Promise<T | undefined>): Promise<T | undefined> => {
    for (const store of stores) {
      const found = await lookUp(store)
      if (found !== undefined) return found
    }
    return undefined
  }
  return {
    pod: (namespace, name) => first<Pod>((store) => store.pod(namespace, name)),
    nad: (namespace, name) => first<NetworkAttachmentDefinition>((store) => store.nad(namespace, name)),
    namespaceLabels: (namespace) => first<Labels>((store) => store.namespaceLabels(namespace)),
    publish: async () => 'unneeded',
    unpublish: async () => undefined,
    networkStatus: async () => undefined,
  }
}
