import { CniError } from '../cni/cni-error.ts'
import { type Conflist, parseConflist } from '../cni/conflist.ts'
import { isJsonObject, type JsonObject, parseJson } from '../cni/json.ts'
import { type NetworkAttachmentDefinition, resourceName } from '../network/nad.ts'
import { canonical } from './canonical.ts'

/** On a NAD: `"true"` lets it be changed and deleted though pods use it. */
export const ALLOW_IN_USE_CHANGE_ANNOTATION = 'plexus-cni.io/allow-in-use-change'

/** Keys of a plugin by what of a network they decide. */
const KEYS: Readonly<Record<string, readonly string[]>> = {
  master: ['master', 'bridge', 'device', 'hwaddr', 'kernelpath', 'pciBusID', 'linkInContainer', 'links'],
  VLAN: ['vlan', 'vlanId', 'vlanTrunk', 'trunk', 'vlan_trunk'],
}
const RANGE_KEYS: readonly string[] = [
  ...['type', 'subnet', 'rangeStart', 'rangeEnd', 'ranges', 'addresses'],
  ...['range', 'range_start', 'range_end', 'ipRanges', 'exclude'],
]

/**
 * What of a NAD is another than before, of that on which pods rely that have it: `type`, `master`, `VLAN`, `IPAM range`,
 * `resourceName`. Of a configuration that could not be used nobody relies on anything; one that is gone is another
 * type.
 */
export function changedAspects(
  before: NetworkAttachmentDefinition,
  now: NetworkAttachmentDefinition,
): string[] {
  const resource = resourceName(before) === resourceName(now) ? [] : ['resourceName']
  const [old, next] = [read(before), read(now)]
  if (old !== undefined && now.config === undefined) return ['type', ...resource]
  if (old === undefined || next === undefined) return resource
  const differs = (aspect: (conflist: Conflist) => unknown): boolean =>
    canonical(aspect(old)) !== canonical(aspect(next))
  return [
    ...(differs(({ plugins: [first] }) => first?.type) ? ['type'] : []),
    ...Object.entries(KEYS).flatMap(([aspect, keys]) =>
      differs(({ plugins }) => plugins.map((plugin) => pick(plugin, keys)).filter(isFilled)) ? [aspect] : [],
    ),
    ...(differs(({ plugins }) => plugins.map(rangeOf).filter(isFilled)) ? ['IPAM range'] : []),
    ...resource,
  ]
}

function read({ config, name }: NetworkAttachmentDefinition): Conflist | undefined {
  try {
    const value = config === undefined ? undefined : parseJson(config, '')
    return parseConflist(value, { what: '', form: 'by-content', fallbackName: name })
  } catch (error) {
    if (error instanceof CniError) return undefined
    throw error
  }
}

function rangeOf(plugin: JsonObject): JsonObject {
  const { ipam } = pick(plugin, ['ipam'])
  return isJsonObject(ipam) ? pick(ipam, RANGE_KEYS) : {}
}

/** Plugins read keys in whatever case, and of two the last. */
function pick(object: JsonObject, keys: readonly string[]): JsonObject {
  const wanted = new Set(keys.map((key) => key.toLowerCase()))
  const lowered = Object.entries(object).map(([key, value]) => [key.toLowerCase(), value] as const)
  return Object.fromEntries(lowered.filter(([key]) => wanted.has(key)))
}

function isFilled(object: JsonObject): boolean {
  return Object.keys(object).length > 0
}
