import { isJsonObject, type JsonObject } from '../cni/json.ts'
import type { NetworkAttachmentDefinition } from '../network/nad.ts'
import { checkedKeys } from '../validation/annotation-keys.ts'
import { nameOf, objectTitle } from '../validation/manifest-object.ts'
import { valueAt } from '../validation/source-text.ts'
import { validateObjects } from '../validation/validate.ts'
import type { AdmissionRequest, Verdict } from './admission-review.ts'
import { canonical } from './canonical.ts'
import { ALLOW_IN_USE_CHANGE_ANNOTATION, changedAspects } from './in-use.ts'
import { type KnownCluster, nadManifest } from './known-cluster.ts'
import { refused, toVerdict } from './verdict.ts'

/** Networks of one namespace that a new one is compared with. */
const MOST_NEIGHBOURS = 100
/** Pods that a refusal names. */
const MOST_NAMES = 5

/**
 * Judges a NAD that is made, changed or deleted: what `plexus validate` finds, also against others of its namespace, and
 * what pods that use it rely on.
 *
 * @throws {CniError} When the cluster cannot tell.
 */
export async function reviewNad(request: AdmissionRequest, cluster: KnownCluster): Promise<Verdict> {
  const { object, oldObject, operation } = request
  if (operation === 'DELETE') {
    const nad = oldObject ?? (await knownManifest(request, cluster))
    return nad === undefined ? {} : await reviewDeletion(nad, cluster)
  }
  if (object === undefined || isUntouched(object, oldObject)) return {}
  const own = (await findingsOf(object, cluster)).filter(({ object: it }) => it === titleOf(object))
  const isOldSpec = oldObject !== undefined && canonical(object.spec) === canonical(oldObject.spec)
  const verdict = toVerdict(
    own.map((finding) =>
      isOldSpec && finding.path?.startsWith('spec') ? { ...finding, severity: 'warning' } : finding,
    ),
  )
  if (verdict.refusal !== undefined || oldObject === undefined) return verdict
  const changed = changedAspects(toNad(oldObject), toNad(object))
  if (changed.length === 0 || isOverridden(object)) return verdict
  const users = usersOf(object, cluster)
  if (users.length === 0) return verdict
  return {
    ...verdict,
    ...refused(409, 'Conflict', [
      `${titleOf(object)} is in use by ${namesOf(users)}, so its ${changed.join(', ')} cannot be changed; delete these pods first, make a new NAD, or set the annotation ${ALLOW_IN_USE_CHANGE_ANNOTATION}: "true"`,
    ]),
  }
}

async function knownManifest(
  { namespace, name }: AdmissionRequest,
  cluster: KnownCluster,
): Promise<JsonObject | undefined> {
  const nad = await cluster.nad(namespace, name)
  return nad && nadManifest(nad)
}

async function reviewDeletion(nad: JsonObject, cluster: KnownCluster): Promise<Verdict> {
  const users = usersOf(nad, cluster)
  if (users.length === 0 || isOverridden(nad)) return {}
  const { namespace } = nameOf(nad)
  // Nobody can keep it any more: a refusal would only keep the namespace from going.
  if ((await cluster.namespace(namespace))?.isTerminating ?? true) return {}
  return refused(409, 'Conflict', [
    `${titleOf(nad)} is in use by ${namesOf(users)}, so it cannot be deleted; delete these pods first, or set the annotation ${ALLOW_IN_USE_CHANGE_ANNOTATION}: "true"`,
  ])
}

async function findingsOf(object: JsonObject, cluster: KnownCluster) {
  const { namespace, name } = nameOf(object)
  const names = cluster.nadNames(namespace).filter((other) => other !== name)
  const others = await Promise.all(
    names.slice(0, MOST_NEIGHBOURS).map((other) => cluster.nad(namespace, other)),
  )
  const manifests = others.filter((nad) => nad !== undefined).map(nadManifest)
  // The last one: of two that do not go together the later one is told.
  return validateObjects([...manifests, object], {
    conf: cluster.conf,
    namespaceLabels: new Map(),
    nadNames: (place) => cluster.nadNames(place),
  }).findings
}

/** Nothing that is judged: a finalizer, an annotation of somebody else's. */
function isUntouched(object: JsonObject, oldObject: JsonObject | undefined): boolean {
  if (oldObject === undefined) return false
  const partOf = (manifest: JsonObject): string =>
    canonical([
      manifest.spec,
      ...['annotations', 'labels'].map((key) => checkedKeys(valueAt(manifest, ['metadata', key]), 'nad')),
    ])
  return partOf(object) === partOf(oldObject)
}

function usersOf(manifest: JsonObject, cluster: KnownCluster): readonly string[] {
  const { namespace, name } = nameOf(manifest)
  return cluster.usersOf(`${namespace}/${name}`)
}

function isOverridden(manifest: JsonObject): boolean {
  return valueAt(manifest, ['metadata', 'annotations', ALLOW_IN_USE_CHANGE_ANNOTATION]) === 'true'
}

function namesOf(pods: readonly string[]): string {
  const shown = pods.slice(0, MOST_NAMES).join(', ')
  const more = pods.length - MOST_NAMES
  return `${pods.length === 1 ? 'pod' : `${pods.length} pods:`} ${shown}${more > 0 ? ` and ${more} more` : ''}`
}

function titleOf(manifest: JsonObject): string {
  return objectTitle({ kind: 'NetworkAttachmentDefinition', manifest })
}

function toNad(manifest: JsonObject): NetworkAttachmentDefinition {
  const config = valueAt(manifest, ['spec', 'config'])
  const annotations = valueAt(manifest, ['metadata', 'annotations'])
  return {
    ...nameOf(manifest),
    annotations: (isJsonObject(annotations) ? annotations : {}) as Record<string, string>,
    ...(typeof config === 'string' && config !== '' ? { config } : {}),
  }
}
