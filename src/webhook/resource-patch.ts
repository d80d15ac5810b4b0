import { isJsonObject, type JsonObject } from '../cni/json.ts'
import { valueAt } from '../validation/source-text.ts'
import type { PatchOperation } from './admission-review.ts'

/** Name and place of the volume by which a container reads what networks it got; those of the injector. */
const VOLUME = 'podnetinfo'
const MOUNT_PATH = '/etc/podnetinfo'

const FACTORS: Readonly<Record<string, number>> = {
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
}

/**
 * Makes a pod ask for the devices that its networks need, as the network-resources-injector does: what is missing is added
 * to the first container, and a volume with the pod's labels and annotations. What containers ask for already counts.
 *
 * @param needed Devices by resource.
 */
export function resourcePatch(
  pod: JsonObject,
  needed: ReadonlyMap<string, number>,
): { readonly patch: readonly PatchOperation[]; readonly warnings: readonly string[] } {
  const containers = valueAt(pod, ['spec', 'containers'])
  if (needed.size === 0 || !Array.isArray(containers) || !isJsonObject(containers[0]))
    return { patch: [], warnings: [] }
  const [first] = containers
  const warnings: string[] = []
  const wanted = new Map<string, number>()
  for (const [resource, count] of needed) {
    const asked = containers.map((container: unknown) => quantityOf(container, resource))
    if (asked.includes(undefined)) {
      warnings.push(
        `resource ${resource}: the quantity that the pod asks for cannot be read, nothing is added`,
      )
      continue
    }
    const missing = count - asked.reduce<number>((sum, quantity) => sum + (quantity ?? 0), 0)
    if (missing > 0) wanted.set(resource, (asked[0] ?? 0) + missing)
  }
  const resources = isJsonObject(first.resources) ? first.resources : {}
  return {
    patch: [
      ...(wanted.size > 0 && !isJsonObject(first.resources) ? [add('/spec/containers/0/resources', {})] : []),
      ...['requests', 'limits'].flatMap((part) => quantityPatch(part, resources[part], wanted)),
      ...volumePatch(pod, first),
    ],
    warnings,
  }
}

function quantityPatch(part: string, given: unknown, wanted: ReadonlyMap<string, number>): PatchOperation[] {
  const path = `/spec/containers/0/resources/${part}`
  if (wanted.size === 0) return []
  return [
    ...(isJsonObject(given) ? [] : [add(path, {})]),
    ...[...wanted].map(([resource, count]) => add(`${path}/${escapeToken(resource)}`, String(count))),
  ]
}

/** Both files are written by the kubelet, anew when the annotations change. */
function volumePatch(pod: JsonObject, container: JsonObject): PatchOperation[] {
  const volumes = valueAt(pod, ['spec', 'volumes'])
  const mounts = container.volumeMounts
  const isThere = (list: unknown, key: string, value: string): boolean =>
    Array.isArray(list) && list.some((item: unknown) => isJsonObject(item) && item[key] === value)
  const mount = { name: VOLUME, mountPath: MOUNT_PATH, readOnly: true }
  const file = (path: string): object => ({ path, fieldRef: { fieldPath: `metadata.${path}` } })
  const volume = { name: VOLUME, downwardAPI: { items: [file('labels'), file('annotations')] } }
  return [
    ...(isThere(volumes, 'name', VOLUME) ? [] : append('/spec/volumes', volumes, volume)),
    ...(isThere(mounts, 'name', VOLUME) || isThere(mounts, 'mountPath', MOUNT_PATH)
      ? []
      : append('/spec/containers/0/volumeMounts', mounts, mount)),
  ]
}

/** How much a container asks for; a limit counts as a request, as it does for Kubernetes. */
function quantityOf(container: unknown, resource: string): number | undefined {
  const [request, limit] = ['requests', 'limits'].map((part) => {
    const quantity = valueAt(container, ['resources', part, resource])
    return quantity === undefined ? 0 : toCount(quantity)
  })
  return request === undefined || limit === undefined ? undefined : Math.max(request, limit)
}

function toCount(quantity: unknown): number | undefined {
  const [, digits, unit = ''] = /^(\d{1,15})([kMG]?i?)$/.exec(String(quantity)) ?? []
  const factor = Object.hasOwn(FACTORS, unit) ? FACTORS[unit] : undefined
  return digits === undefined || factor === undefined ? undefined : Number(digits) * factor
}

function append(path: string, list: unknown, item: object): PatchOperation[] {
  return [Array.isArray(list) ? add(`${path}/-`, item) : add(path, [item])]
}

function add(path: string, value: unknown): PatchOperation {
  return { op: 'add', path, value }
}

function escapeToken(token: string): string {
  return token.replaceAll('~', '~0').replaceAll('/', '~1')
}
