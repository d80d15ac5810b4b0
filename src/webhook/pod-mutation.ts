import { isJsonObject, type JsonObject } from '../cni/json.ts'
import { NETWORKS_ANNOTATION } from '../network/annotations.ts'
import { resourceName } from '../network/nad.ts'
import { nameOf } from '../validation/manifest-object.ts'
import { valueAt } from '../validation/source-text.ts'
import type { AdmissionRequest, PatchOperation, Verdict } from './admission-review.ts'
import type { KnownCluster } from './known-cluster.ts'
import { MOST_NETWORKS, networksOf } from './named-networks.ts'
import { resourcePatch } from './resource-patch.ts'

/**
 * On a Namespace: the networks annotation of its pods that have none. On a pod: `[]` opts out, as an empty networks
 * annotation does.
 */
const DEFAULT_NETWORKS_ANNOTATION = 'plexus-cni.io/default-networks'

/**
 * Adds to a pod that is made what its networks need: the networks that its namespace gives to pods that name none, and
 * the device resources of its networks. What a pod has is never lowered, and a second time nothing is added.
 *
 * @throws {CniError} When the cluster cannot tell.
 */
export async function mutatePod(request: AdmissionRequest, cluster: KnownCluster): Promise<Verdict> {
  const { object, operation } = request
  if (object === undefined || object.kind !== 'Pod' || operation !== 'CREATE') return {}
  // It gets no networks.
  if (valueAt(object, ['spec', 'hostNetwork']) === true) return {}
  const { namespace } = nameOf(object)
  const given = valueAt(object, ['metadata', 'annotations'])
  const annotations = isJsonObject(given) ? given : {}
  const added = await namespaceNetworks(annotations, namespace, cluster)
  const effective = added === undefined ? annotations : { ...annotations, [NETWORKS_ANNOTATION]: added }
  const { patch, warnings } = resourcePatch(object, await resourcesOf(effective, namespace, cluster))
  return {
    patch: [...(added === undefined ? [] : annotationPatch(given, added)), ...patch],
    warnings: [
      ...(added === undefined
        ? []
        : [
            `the networks are those of the annotation ${DEFAULT_NETWORKS_ANNOTATION} of namespace ${namespace}`,
          ]),
      ...warnings,
    ],
  }
}

/** What the pod's namespace says for pods that say nothing; whether it is right is looked at with the pod. */
async function namespaceNetworks(
  annotations: JsonObject,
  namespace: string,
  cluster: KnownCluster,
): Promise<string | undefined> {
  if (annotations[NETWORKS_ANNOTATION] !== undefined) return undefined
  const own = annotations[DEFAULT_NETWORKS_ANNOTATION]
  if (typeof own === 'string' && own.trim() === '[]') return undefined
  const text = (await cluster.namespace(namespace))?.annotations[DEFAULT_NETWORKS_ANNOTATION]
  return text === undefined || text.trim() === '' ? undefined : text
}

/** How many devices of each resource the pod's networks need. */
async function resourcesOf(
  annotations: JsonObject,
  namespace: string,
  cluster: KnownCluster,
): Promise<ReadonlyMap<string, number>> {
  const named = networksOf(annotations, namespace, cluster.conf)
  // Of so many none is looked at: the pod is going to be refused.
  const keys = named.length > MOST_NETWORKS ? [] : [...new Set(named)]
  const nads = await Promise.all(
    keys.map((key) => {
      const [place = '', name = ''] = key.split('/')
      return cluster.nad(place, name)
    }),
  )
  const needed = new Map<string, number>()
  for (const key of named) {
    const nad = nads[keys.indexOf(key)]
    const resource = nad === undefined ? undefined : resourceName(nad)
    if (resource !== undefined) needed.set(resource, (needed.get(resource) ?? 0) + 1)
  }
  return needed
}

function annotationPatch(given: unknown, text: string): PatchOperation[] {
  return [
    ...(isJsonObject(given) ? [] : [{ op: 'add', path: '/metadata/annotations', value: {} } as const]),
    { op: 'add', path: `/metadata/annotations/${NETWORKS_ANNOTATION.replaceAll('/', '~1')}`, value: text },
  ]
}
