import { toCniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import { toFaultsError } from '../cni/faults.ts'
import { isJsonObject, type JsonObject } from '../cni/json.ts'
import { type NetworkAttachmentDefinition, parseNad } from '../network/nad.ts'
import { type Namespace, parseNamespace } from '../network/namespace.ts'
import { type Pod, parsePod } from '../network/pod.ts'
import type { ClusterStore } from './cluster-store.ts'
import type { KubernetesLists } from './kubernetes-lists.ts'
import { manifestSignature, readManifestFiles } from './manifest-files.ts'
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
  readonly pods: Map<string, Pod>
  readonly nads: Map<string, NetworkAttachmentDefinition>
  /** By their name alone. */
  readonly namespaces: Map<string, Namespace>
  /** What is wrong with one object, by kind, namespace and name. */
  readonly objectFaults: Map<string, string[]>
  /** What is wrong with files or documents that may hold any object. */
  readonly faults: string[]
}

/**
 * A cluster made of manifest files: pods, NetworkAttachmentDefinitions and namespaces, other kinds ignored. Files are
 * read at the first lookup, and again at a pod's when any of them has changed. Published statuses are kept below the state directory.
 *
 * Lookups throw {@link CniError}: Io for a folder or file that cannot be read; Decoding for an object that
 * is wrong or there twice, and for one that is not found while some file is not understood, since it may
 * be in there. Another pod's broken manifest stops nobody. Publishing and taking back need no manifest.
 */
export function manifestStore({
  manifests,
  stateDir,
}: ManifestStoreOptions): ClusterStore & Pick<KubernetesLists, 'nads'> {
  const paths = typeof manifests === 'string' ? [manifests] : manifests
  let loading: Promise<ManifestObjects> | undefined
  let signature: string | undefined
  const load = () => {
    loading ??= loadManifests(paths).catch((error: unknown) => {
      // What could not be read may be readable now.
      loading = undefined
      throw error
    })
    return loading
  }
  /** A pod is looked up first: what changed since the last request is read then. */
  const reload = async () => {
    const now = paths.map(manifestSignature).join('\n')
    if (now !== signature) loading = undefined
    signature = now
    return await load()
  }
  return {
    pod: async (namespace, name) => find(await reload(), 'pods', 'Pod', `${namespace}/${name}`),
    nad: async (namespace, name) =>
      find(await load(), 'nads', 'NetworkAttachmentDefinition', `${namespace}/${name}`),
    nads: async () => {
      const { nads, objectFaults, faults } = await load()
      return { objects: [...nads.values()], faults: [...faults, ...[...objectFaults.values()].flat()] }
    },
    namespaceLabels: async (namespace) => find(await load(), 'namespaces', 'Namespace', namespace)?.labels,
    publish: async (publication) => {
      writeStatus(stateDir, publication)
      return 'done'
    },
    unpublish: async (unpublication) => removeStatus(stateDir, unpublication),
    networkStatus: async (namespace, name) => readStatus(stateDir, namespace, name),
  }
}

const KINDS: readonly string[] = ['Pod', 'NetworkAttachmentDefinition', 'Namespace']

function find<Room extends 'pods' | 'nads' | 'namespaces'>(
  objects: ManifestObjects,
  room: Room,
  kind: string,
  key: string,
): (ManifestObjects[Room] extends Map<string, infer Value> ? Value : never) | undefined {
  const found = objects[room].get(key)
  const faults = objects.objectFaults.get(`${kind} ${key}`) ?? (found === undefined ? objects.faults : [])
  if (faults.length > 0) {
    throw toFaultsError(CniErrorCode.Decoding, 'manifests', faults, 'correct or remove the files named')
  }
  return found as ReturnType<typeof find<Room>>
}

async function loadManifests(paths: readonly string[]): Promise<ManifestObjects> {
  const loaded: ManifestObjects = {
    pods: new Map(),
    nads: new Map(),
    namespaces: new Map(),
    objectFaults: new Map(),
    faults: [],
  }
  const placeOf = new Map<string, string>()
  for (const path of paths) {
    for (const file of await readManifestFiles(path)) {
      const parsed = parseManifests(file.text, file.path)
      loaded.faults.push(...parsed.faults)
      for (const { kind, manifest, where } of parsed.objects) {
        if (!KINDS.includes(kind)) continue
        const key = keyOf(manifest, kind)
        const id = `${kind} ${key}`
        const fault = (message: string): void => {
          // Without a name nobody can tell whose object it is.
          if (/[/ ]$/.test(id)) loaded.faults.push(message)
          else loaded.objectFaults.set(id, [...(loaded.objectFaults.get(id) ?? []), message])
        }
        const other = placeOf.get(id)
        if (other === undefined) placeOf.set(id, where)
        else fault(`${id} is there twice: ${other} and ${where}`)
        try {
          if (kind === 'Pod') loaded.pods.set(key, parsePod(manifest, where))
          else if (kind === 'Namespace') loaded.namespaces.set(key, parseNamespace(manifest, where))
          else loaded.nads.set(key, parseNad(manifest, where))
        } catch (error) {
          fault(toCniError(error).message)
        }
      }
    }
  }
  return loaded
}

/** `namespace/name` as written, of a namespace its name; the name is empty when there is none. */
function keyOf(manifest: JsonObject, kind: string): string {
  const metadata = isJsonObject(manifest.metadata) ? manifest.metadata : {}
  const { namespace, name } = metadata
  const text = (value: unknown): string => (typeof value === 'string' ? value : '')
  return kind === 'Namespace' ? text(name) : `${text(namespace) || 'default'}/${text(name)}`
}
