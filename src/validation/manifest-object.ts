import { toShown } from '../cni/faults.ts'
import { isJsonObject, type JsonObject } from '../cni/json.ts'
import type { ValuePath } from './source-text.ts'

/** One Kubernetes object of a document. */
export interface ManifestObject {
  readonly kind: string
  readonly apiVersion: string
  readonly manifest: JsonObject
  /** Way from the document to it; not empty for a member of a List. */
  readonly base: ValuePath
}

/** Lists in lists end here; none nests deeper than one. */
const DEPTH_LIMIT = 8

/**
 * Splits a document into its objects, members of a List one by one.
 *
 * @param refuse Takes what is no object.
 */
export function manifestObjects(
  value: unknown,
  refuse: (path: ValuePath, message: string) => void,
  base: ValuePath = [],
): ManifestObject[] {
  if (!isJsonObject(value)) {
    refuse(base, `must be an object, not ${toShown(value)}`)
    return []
  }
  const { kind, apiVersion } = value
  if (typeof kind !== 'string' || kind === '') {
    refuse(base, 'kind is missing, so this is no manifest')
    return []
  }
  const version = typeof apiVersion === 'string' ? apiVersion : ''
  if (!kind.endsWith('List') || !('items' in value))
    return [{ kind, apiVersion: version, manifest: value, base }]
  const items = value.items ?? []
  if (!Array.isArray(items) || base.length >= DEPTH_LIMIT) {
    refuse([...base, 'items'], `items must be a list, not ${toShown(items)}`)
    return []
  }
  // The API leaves kind and apiVersion out of the items of a typed list.
  const inherited = kind === 'List' ? {} : { apiVersion, kind: kind.slice(0, -'List'.length) }
  return items.flatMap((item: unknown, index) =>
    manifestObjects(isJsonObject(item) ? { ...inherited, ...item } : item, refuse, [...base, 'items', index]),
  )
}

/** How messages call an object: `Deployment telco/upf`; NADs by their short name. */
export function objectTitle({ kind, manifest }: Pick<ManifestObject, 'kind' | 'manifest'>): string {
  const { namespace, name } = nameOf(manifest)
  const short = kind === 'NetworkAttachmentDefinition' ? 'NAD' : kind === 'Pod' ? 'pod' : kind
  return name === '' ? short : `${short} ${namespace}/${name}`
}

/** Namespace and name as far as they are texts; `default` and '' otherwise. */
export function nameOf(manifest: JsonObject): { namespace: string; name: string } {
  const metadata = isJsonObject(manifest.metadata) ? manifest.metadata : {}
  const text = (key: string): string => (typeof metadata[key] === 'string' ? metadata[key] : '')
  return { namespace: text('namespace') || 'default', name: text('name') || text('generateName') }
}
