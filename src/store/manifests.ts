import { toCniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import { toFaultsError } from '../cni/faults.ts'
import { type NetworkAttachmentDefinition, parseNad } from '../network/nad.ts'
import { type Pod, parsePod } from '../network/pod.ts'
import type { ClusterStore } from './cluster-store.ts'
import { readManifestFiles } from './manifest-files.ts'
import { parseManifests } from './manifest-parsing.ts'
import { readStatus, removeStatus, writeStatus } from './status-files.ts'

/** Where an embedded store reads and writes. */
export interface ManifestStoreOptions {
  /** Folders of manifests, or single files. */
  manifests: string | readonly string[]
  /** Published statuses go to `status/` in it. */
  stateDir: string
}

/** Everything of the manifests that Plexus reads, by `namespace/name`. */
interface ManifestObjects {
  pods: Map<string, Pod>
  nads: Map<string, NetworkAttachmentDefinition>
}

/**
 * A cluster made of manifest files: pods and NetworkAttachmentDefinitions, other kinds ignored. Files are
 * read at the first lookup and once. Published statuses are kept below the state directory.
 *
 * Lookups throw {@link CniError}: Io for a folder or file that cannot be read; Decoding with all faults when
 * anything in the files is not understood or is there twice, since a pod must not get fewer networks
 * because a file was passed over. Publishing and taking back need no manifest.
 */
export function manifestStore({ manifests, stateDir }: ManifestStoreOptions): ClusterStore {
  const paths = typeof manifests === 'string' ? [manifests] : manifests
  let loading: Promise<ManifestObjects> | undefined
  const load = () => {
    loading ??= loadManifests(paths)
    return loading
  }
  return {
    pod: async (namespace, name) => (await load()).pods.get(`${namespace}/${name}`),
    nad: async (namespace, name) => (await load()).nads.get(`${namespace}/${name}`),
    publish: (publication) => writeStatus(stateDir, publication),
    unpublish: (unpublication) => removeStatus(stateDir, unpublication),
    networkStatus: (namespace, name) => readStatus(stateDir, namespace, name),
  }
}

async function loadManifests(paths: readonly string[]): Promise<ManifestObjects> {
  const loaded: ManifestObjects = { pods: new Map(), nads: new Map() }
  const faults: string[] = []
  const placeOf = new Map<string, string>()

  function add<T extends Pod | NetworkAttachmentDefinition>(
    known: Map<string, T>,
    kind: string,
    where: string,
    parse: () => T,
  ): void {
    try {
      const object = parse()
      const key = `${object.namespace}/${object.name}`
      const other = placeOf.get(`${kind} ${key}`)
      if (other === undefined) placeOf.set(`${kind} ${key}`, where)
      else faults.push(`${kind} ${key} is there twice: ${other} and ${where}`)
      known.set(key, object)
    } catch (error) {
      faults.push(toCniError(error).message)
    }
  }

  for (const path of paths) {
    for (const file of await readManifestFiles(path)) {
      const parsed = parseManifests(file.text, file.path)
      faults.push(...parsed.faults)
      for (const { kind, manifest, where } of parsed.objects) {
        if (kind === 'Pod') add(loaded.pods, 'pod', where, () => parsePod(manifest, where))
        if (kind === 'NetworkAttachmentDefinition') {
          add(loaded.nads, 'NAD', where, () => parseNad(manifest, where))
        }
      }
    }
  }
  if (faults.length > 0) {
    throw toFaultsError(CniErrorCode.Decoding, 'manifests', faults, 'correct or remove the files named')
  }
  return loaded
}
