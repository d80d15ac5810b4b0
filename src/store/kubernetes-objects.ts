import type { JsonObject } from '../cni/json.ts'
import {
  CONFIG_HASH_ANNOTATION,
  CONFIG_SOURCE_ANNOTATION,
  DEFAULT_NETWORK_ANNOTATION,
  NETWORK_STATUS_ANNOTATION,
  NETWORKS_ANNOTATION,
  RESOURCE_NAME_ANNOTATION,
} from '../network/annotations.ts'
import { type NetworkAttachmentDefinition, parseNad } from '../network/nad.ts'
import { type Namespace, parseNamespace } from '../network/namespace.ts'
import { type Pod, parsePod } from '../network/pod.ts'

/** A pod's metadata alone: its spec and status are ten times as much, and not read. */
export const METADATA = {
  object: 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json',
  list: 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json',
}

/** Annotations that are read of a pod; all others stay out of memory. */
const POD_ANNOTATIONS: ReadonlySet<string> = new Set([
  NETWORKS_ANNOTATION,
  DEFAULT_NETWORK_ANNOTATION,
  NETWORK_STATUS_ANNOTATION,
  CONFIG_SOURCE_ANNOTATION,
  CONFIG_HASH_ANNOTATION,
])
const NAD_ANNOTATIONS: ReadonlySet<string> = new Set([RESOURCE_NAME_ANNOTATION])
const NAMESPACE_ANNOTATIONS: ReadonlySet<string> = new Set()
const OUR_ANNOTATIONS = 'plexus-cni.io/'
/** What most NADs have; one for all of the thousands. */
const NO_ANNOTATIONS: Record<string, string> = Object.freeze({})

/** What is kept of a pod. @throws {CniError} What is wrong with it. */
export function toPod(object: JsonObject): Pod {
  // Items of a list, and metadata alone, do not say what they are of.
  const pod = parsePod({ metadata: object.metadata, apiVersion: 'v1', kind: 'Pod' }, 'the API server')
  const { labels: _, ...rest } = pod
  return { ...rest, annotations: only(pod.annotations, POD_ANNOTATIONS) }
}

/** What is kept of a NAD. @throws {CniError} What is wrong with it. */
export function toNad(object: JsonObject): NetworkAttachmentDefinition {
  const nad = parseNad(
    { ...object, apiVersion: 'k8s.cni.cncf.io/v1', kind: 'NetworkAttachmentDefinition' },
    'the API server',
  )
  return { ...nad, annotations: only(nad.annotations, NAD_ANNOTATIONS) }
}

/** What is kept of a namespace. @throws {CniError} What is wrong with it. */
export function toNamespace(object: JsonObject): Namespace {
  const manifest = { metadata: object.metadata, apiVersion: 'v1', kind: 'Namespace' }
  const namespace = parseNamespace(manifest, 'the API server')
  return { ...namespace, annotations: only(namespace.annotations, NAMESPACE_ANNOTATIONS) }
}

function only(annotations: Record<string, string>, wanted: ReadonlySet<string>): Record<string, string> {
  const kept = Object.entries(annotations).filter(
    ([key]) => wanted.has(key) || key.startsWith(OUR_ANNOTATIONS),
  )
  return kept.length === 0 ? NO_ANNOTATIONS : Object.fromEntries(kept)
}
