import type { JsonObject } from '../cni/json.ts'
import type { NetConf } from '../config/net-conf.ts'
import { DEFAULT_NETWORK_ANNOTATION, NETWORKS_ANNOTATION } from '../network/annotations.ts'
import { inspectSelection } from '../network/selection-element.ts'
import { nameOf } from '../validation/manifest-object.ts'
import { machineNetworks, podTemplate } from '../validation/pod-template.ts'
import { valueAt } from '../validation/source-text.ts'

/** Networks that one pod may name here: a thousand of them would keep everybody waiting. */
export const MOST_NETWORKS = 100

/** The NADs that annotations name, `namespace/name`, each as often as it is named; what is no name is left out. */
export function networksOf(
  annotations: Readonly<Record<string, unknown>>,
  namespace: string,
  { multusNamespace }: Pick<NetConf, 'multusNamespace'>,
): string[] {
  return [
    ...elementsOf(annotations[DEFAULT_NETWORK_ANNOTATION], multusNamespace),
    ...elementsOf(annotations[NETWORKS_ANNOTATION], namespace),
  ]
}

/** The NADs that the pods of an object name, each as often as it is named. */
export function networksOfObject(manifest: JsonObject, conf: Pick<NetConf, 'multusNamespace'>): string[] {
  const { kind, apiVersion } = manifest
  const object = { kind: String(kind), apiVersion: String(apiVersion), manifest, base: [] }
  const template = podTemplate(object)
  if (template === undefined) return []
  const { namespace } = nameOf(manifest)
  const annotations = valueAt(manifest, [...template.metadata, 'annotations'])
  const machine = machineNetworks(object, template).flatMap(({ networkName }) =>
    elementsOf(networkName, namespace),
  )
  const named = networksOf((annotations ?? {}) as JsonObject, namespace, conf)
  return [...named, ...machine]
}

function elementsOf(text: unknown, namespace: string): string[] {
  if (typeof text !== 'string') return []
  return inspectSelection(text, { annotation: NETWORKS_ANNOTATION, namespace })
    .reported.map(({ element }) => element)
    .filter(({ name, namespace: place }) => name !== '' && place !== '')
    .map((element) => `${element.namespace}/${element.name}`)
}
