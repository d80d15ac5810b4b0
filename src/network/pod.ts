import { CniErrorCode } from '../cni/codes.ts'
import { toFaultsError } from '../cni/faults.ts'
import type { JsonObject } from '../cni/json.ts'
import { CONFIG_HASH_ANNOTATION, CONFIG_SOURCE_ANNOTATION } from './annotations.ts'
import { readMetadata } from './object-metadata.ts'

/** A pod, reduced to what Plexus reads. */
export interface Pod {
  namespace: string
  name: string
  uid?: string
  annotations: Record<string, string>
  labels?: Record<string, string>
  /** From a file or URL of the kubelet's, not from the API: its UID in the API is another. */
  isStatic: boolean
  /** What the runtime has as UID of a static pod. */
  configHash?: string
}

/**
 * Reads a pod. NPWG-020: annotations are only carried here, nothing in them is parsed.
 *
 * @param what Where the manifest is from, for messages: `pods.yaml document 2`.
 * @throws {CniError} InvalidNetworkConfig with every fault: wrong kind, version, name or metadata.
 */
export function parsePod(manifest: JsonObject, what: string): Pod {
  const faults: string[] = []
  const metadata = readMetadata(manifest, { apiVersion: 'v1', kind: 'Pod' }, faults)
  const { namespace, name, uid, annotations, labels } = metadata
  if (faults.length > 0) {
    const label = name === '' ? '' : ` (pod ${namespace}/${name})`
    throw toFaultsError(CniErrorCode.InvalidNetworkConfig, `${what}${label}`, faults)
  }
  const source = annotations[CONFIG_SOURCE_ANNOTATION]
  const configHash = annotations[CONFIG_HASH_ANNOTATION]
  return {
    namespace,
    name,
    ...(uid === undefined ? {} : { uid }),
    annotations,
    ...(labels === undefined ? {} : { labels }),
    isStatic: source === undefined ? configHash !== undefined : source !== 'api',
    ...(configHash === undefined ? {} : { configHash }),
  }
}
