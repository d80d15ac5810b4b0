import { toShown } from '../cni/faults.ts'
import { isJsonObject, type JsonObject } from '../cni/json.ts'
import { namespaceFault, objectNameFault } from '../cni/object-name.ts'

/** What Plexus reads of a Kubernetes object's `metadata`. */
export interface ObjectMetadata {
  /** `default` when the manifest names none. */
  namespace: string
  name: string
  uid?: string
  resourceVersion?: string
  annotations: Record<string, string>
  labels?: Record<string, string>
}

/**
 * Reads and checks `apiVersion`, `kind` and `metadata` of a namespaced object.
 *
 * @param faults Takes every fault; with one the answer is not to be used.
 */
export function readMetadata(
  manifest: JsonObject,
  expected: { apiVersion: string; kind: string },
  faults: string[],
): ObjectMetadata {
  for (const key of ['apiVersion', 'kind'] as const) {
    if (manifest[key] !== expected[key]) {
      faults.push(`${key} must be ${toShown(expected[key])}, not ${toShown(manifest[key])}`)
    }
  }
  const metadata = isJsonObject(manifest.metadata) ? manifest.metadata : {}
  if (manifest.metadata !== metadata) faults.push('metadata must be an object')

  function text(key: string): string | undefined {
    const value = metadata[key] ?? ''
    if (typeof value !== 'string') faults.push(`metadata.${key} must be a string, not ${toShown(value)}`)
    return typeof value === 'string' && value !== '' ? value : undefined
  }

  const name = text('name')
  const namespace = text('namespace') ?? 'default'
  const uid = text('uid')
  const resourceVersion = text('resourceVersion')
  if (name === undefined && typeof (metadata.name ?? '') === 'string') faults.push('metadata.name is missing')
  const nameFault = name === undefined ? undefined : objectNameFault(name)
  if (nameFault !== undefined) faults.push(`metadata.name ${toShown(name)} ${nameFault}`)
  const fault = namespaceFault(namespace)
  if (fault !== undefined) faults.push(`metadata.namespace ${toShown(namespace)} ${fault}`)
  return {
    namespace,
    name: name ?? '',
    ...(uid === undefined ? {} : { uid }),
    ...(resourceVersion === undefined ? {} : { resourceVersion }),
    annotations: readStringMap(metadata, 'annotations', faults) ?? {},
    ...labelsOf(readStringMap(metadata, 'labels', faults)),
  }
}

function labelsOf(labels: Record<string, string> | undefined): { labels?: Record<string, string> } {
  return labels === undefined ? {} : { labels }
}

function readStringMap(
  metadata: JsonObject,
  key: string,
  faults: string[],
): Record<string, string> | undefined {
  const map = metadata[key] ?? undefined
  if (map === undefined) return undefined
  if (!isJsonObject(map)) {
    faults.push(`metadata.${key} must be an object`)
    return undefined
  }
  return Object.fromEntries(
    Object.entries(map).flatMap(([entry, value]) => {
      if (typeof value === 'string') return [[entry, value]]
      // YAML without quotes: `optional: true` is no string; the API server refuses it too.
      faults.push(`metadata.${key} ${toShown(entry)} must be a string in quotes, not ${toShown(value)}`)
      return []
    }),
  )
}
