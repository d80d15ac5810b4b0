import { isJsonObject, type JsonObject } from '../cni/json.ts'
import { ALLOWED_NAMESPACES_ANNOTATION } from '../network/annotations.ts'
import type { Labels } from '../network/label-selector.ts'
import type { NetworkAttachmentDefinition } from '../network/nad.ts'
import { checkedKeys } from '../validation/annotation-keys.ts'
import { nameOf } from '../validation/manifest-object.ts'
import { podTemplate } from '../validation/pod-template.ts'
import { valueAt } from '../validation/source-text.ts'
import { validateObjects } from '../validation/validate.ts'
import type { AdmissionRequest, Verdict } from './admission-review.ts'
import { canonical } from './canonical.ts'
import { type KnownCluster, nadManifest } from './known-cluster.ts'
import { MOST_NETWORKS, networksOfObject } from './named-networks.ts'
import { refused, toVerdict } from './verdict.ts'

/**
 * Judges a pod that is made, or a workload that is made or whose template changes: what `plexus validate` finds,
 * networks that do not exist, isolation and allowed namespaces. A network that a template names may be made later.
 *
 * @throws {CniError} When the cluster cannot tell.
 */
export async function reviewPods(request: AdmissionRequest, cluster: KnownCluster): Promise<Verdict> {
  const { object, oldObject, operation } = request
  if (object === undefined || operation === 'DELETE') return {}
  // What a pod has is decided when it is made; a template as it was is no news.
  if (operation === 'UPDATE' && (object.kind === 'Pod' || isSameTemplate(object, oldObject))) return {}
  const named = networksOfObject(object, cluster.conf)
  if (named.length > MOST_NETWORKS)
    return refused(422, 'Invalid', [`${named.length} networks are named, more than ${MOST_NETWORKS}`])
  const nads = await findNads([...new Set(named)], cluster)
  const { namespace } = nameOf(object)
  const needsLabels = nads.some((nad) => ALLOWED_NAMESPACES_ANNOTATION in nad.annotations)
  const labels = needsLabels ? (await cluster.namespace(namespace))?.labels : undefined
  const { findings } = validateObjects([...nads.map(nadManifest), object], {
    conf: cluster.conf,
    namespaceLabels: new Map<string, Labels>(labels === undefined ? [] : [[namespace, labels]]),
    nadNames: (place) => cluster.nadNames(place),
  })
  // A NAD's own faults were told when it was written.
  const own = findings.filter(({ object: title }) => title === null || !title.startsWith('NAD '))
  const isPod = object.kind === 'Pod'
  return toVerdict(
    own.map((finding) =>
      finding.code === 'network-not-found' && !isPod ? { ...finding, severity: 'warning' } : finding,
    ),
  )
}

async function findNads(
  names: readonly string[],
  cluster: KnownCluster,
): Promise<NetworkAttachmentDefinition[]> {
  const found = await Promise.all(
    names.map((key) => {
      const [namespace = '', name = ''] = key.split('/')
      return cluster.nad(namespace, name)
    }),
  )
  return found.filter((nad) => nad !== undefined)
}

function isSameTemplate(object: JsonObject, oldObject: JsonObject | undefined): boolean {
  if (oldObject === undefined) return false
  const { kind, apiVersion, metadata } = object
  if (isJsonObject(metadata) && metadata.deletionTimestamp !== undefined) return true
  const template = podTemplate({
    kind: String(kind),
    apiVersion: String(apiVersion),
    manifest: object,
    base: [],
  })
  if (template === undefined) return true
  // Controllers and kubectl keep their own annotations at a workload, and rewrite them when it is scaled.
  const partOf = (manifest: JsonObject): unknown => [
    ...[['metadata'], template.metadata].flatMap((path) =>
      ['annotations', 'labels'].map((key) => checkedKeys(valueAt(manifest, [...path, key]), 'pod')),
    ),
    valueAt(manifest, template.spec),
  ]
  return canonical(partOf(object)) === canonical(partOf(oldObject))
}
