import { toShown } from '../cni/faults.ts'
import { isJsonObject, type JsonObject } from '../cni/json.ts'
import { nearMiss } from '../cni/near-miss.ts'
import {
  ALLOWED_NAMESPACES_ANNOTATION,
  DEFAULT_NETWORK_ANNOTATION,
  NETWORK_STATUS_ANNOTATION,
  NETWORKS_ANNOTATION,
  RESOURCE_NAME_ANNOTATION,
} from '../network/annotations.ts'
import type { Report } from './report.ts'
import { type ValuePath, valueAt } from './source-text.ts'

/** Annotations that a pod reads. */
const POD_KEYS = [NETWORKS_ANNOTATION, DEFAULT_NETWORK_ANNOTATION]

/** Annotations that are read of a NAD. */
const NAD_KEYS = [RESOURCE_NAME_ANNOTATION, ALLOWED_NAMESPACES_ANNOTATION]

/** Spellings that are further off than a slip, but are met. */
const KNOWN_MISTAKES: Readonly<Record<string, string>> = {
  'kubernetes.v1.cni.cncf.io/networks': NETWORKS_ANNOTATION,
  'k8s.cni.cncf.io/networks': NETWORKS_ANNOTATION,
  'k8s.v1.cni.cncf.io/network-attachments': NETWORKS_ANNOTATION,
  'multus-cni.io/networks': NETWORKS_ANNOTATION,
  'v1.multus-cni.io/networks': NETWORKS_ANNOTATION,
  'v1.multus-cni.io/default-networks': DEFAULT_NETWORK_ANNOTATION,
  'k8s.v1.cni.cncf.io/default-network': DEFAULT_NETWORK_ANNOTATION,
  'k8s.cni.cncf.io/resourceName': RESOURCE_NAME_ANNOTATION,
}

/** Domains under which nobody else's annotation for networks is. */
const NETWORKS_OF_CNI = /^(?:[\w-]+\.)*(?:cncf|multus-cni|multus|cni)\.io\/(?:network|networks|nets?)$/i

/** Keys that are no near miss though they look like one. */
const OTHER_KEYS = [NETWORK_STATUS_ANNOTATION, 'k8s.v1.cni.cncf.io/networks-status']

/**
 * Reads annotations, each of which must be a text.
 *
 * @param path Way from the report to the metadata.
 */
export function readAnnotations(
  manifest: JsonObject,
  path: ValuePath,
  report: Report,
): Record<string, string> {
  const annotations = valueAt(manifest, [...path, 'annotations']) ?? {}
  if (!isJsonObject(annotations)) {
    report.add('object-metadata', [...path, 'annotations'], 'metadata.annotations must be an object')
    return {}
  }
  return Object.fromEntries(
    Object.entries(annotations).flatMap(([key, value]) => {
      if (typeof value === 'string') return [[key, value]]
      const hint = isJsonObject(value) || Array.isArray(value) ? 'write the JSON as text: |' : undefined
      const message = `metadata.annotations ${toShown(key)} must be a string in quotes, not ${toShown(value)}`
      report.add('object-metadata', [...path, 'annotations', key], message, hint)
      return []
    }),
  )
}

/** Warns of annotations that will not be read because of their spelling. */
export function warnMisspelt(
  annotations: Readonly<Record<string, string>>,
  path: ValuePath,
  report: Report,
  known: 'pod' | 'nad',
): void {
  for (const key of Object.keys(annotations)) {
    const meant = meantKey(key, known)
    if (meant === undefined || meant === key) continue
    report.add(
      'annotation-near-miss',
      [...path, 'annotations', key],
      `annotation ${toShown(key)} is not read; did you mean "${meant}"?`,
    )
  }
}

/** Those of annotations, or of labels, on which findings rest. */
export function checkedKeys(map: unknown, known: 'pod' | 'nad'): JsonObject {
  if (!isJsonObject(map)) return {}
  return Object.fromEntries(Object.entries(map).filter(([key]) => meantKey(key, known) !== undefined))
}

/** The annotation that a key is, or is a misspelling of. */
function meantKey(key: string, known: 'pod' | 'nad'): string | undefined {
  const keys = known === 'pod' ? POD_KEYS : NAD_KEYS
  if (keys.includes(key)) return key
  if (OTHER_KEYS.includes(key)) return undefined
  const mistake = Object.hasOwn(KNOWN_MISTAKES, key) ? KNOWN_MISTAKES[key] : undefined
  if (mistake !== undefined && keys.includes(mistake)) return mistake
  return known === 'pod' && NETWORKS_OF_CNI.test(key) ? NETWORKS_ANNOTATION : nearMiss(key, keys)
}

/** Depth to which misplaced annotations are looked for. */
const DEPTH_LIMIT = 8

/**
 * Finds the pod's annotations where nobody reads them: at the workload, among the labels, beside the metadata.
 *
 * @param metadata Way to the metadata that is read.
 * @param keys Annotations to look for.
 */
export function reportMisplaced(
  manifest: JsonObject,
  metadata: ValuePath,
  report: Report,
  keys: readonly string[] = POD_KEYS,
): void {
  const right = [...metadata, 'annotations'].join('/')
  const read = valueAt(manifest, [...metadata, 'annotations'])
  const place = metadata.length === 1 ? 'metadata.annotations' : `${metadata.join('.')}.annotations`

  function visit(value: unknown, path: ValuePath): void {
    if (path.length > DEPTH_LIMIT || !isJsonObject(value) || path.join('/') === right) return
    for (const [key, item] of Object.entries(value)) {
      const at = [...path, key]
      if (!keys.includes(key) || typeof item !== 'string') visit(item, at)
      else if (path.at(-1) === 'labels') {
        report.add(
          'annotation-as-label',
          at,
          `"${key}" is a label here, it is read as an annotation only`,
          `move it to ${place}`,
        )
      } else if (!isJsonObject(read) || read[key] !== item) {
        report.add(
          'annotation-on-workload',
          at,
          `annotation "${key}" is not read here`,
          `move it to ${place}`,
        )
      }
    }
  }
  visit(manifest, [])
}
