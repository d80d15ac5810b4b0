import { toCniError } from '../cni/cni-error.ts'
import { type Conflist, parseConflist } from '../cni/conflist.ts'
import { isJsonObject, type JsonObject, parseJson } from '../cni/json.ts'
import { NETWORK_STATUS_ANNOTATION, NETWORKS_ANNOTATION } from '../network/annotations.ts'
import { type NetworkAttachmentDefinition, resourceName } from '../network/nad.ts'
import type { Pod } from '../network/pod.ts'
import { parseSelectionElements, type SelectionElement } from '../network/selection-element.ts'
import { deviceText } from './device-text.ts'
import type { MappedInterface, MappedNetwork, MappedPod, NetworkMap, PodMap } from './network-map.ts'
import { pluginFacts } from './plugin-facts.ts'

/** What the objects of a cluster, or the manifests of one, say. */
export interface MapObjects {
  readonly origin: 'cluster' | 'manifests'
  readonly pods: readonly Pod[]
  readonly nads: readonly NetworkAttachmentDefinition[]
}

/** What the default network is called as long as no network-status names it. */
const DEFAULT_NETWORK = 'default network'
const DEFAULT_IF_NAME = 'eth0'

/**
 * The map of a cluster: of each pod what its network-status says, else what its annotation asks for. A pod
 * with neither is on no network that anybody told of, and left out. What is malformed becomes a remark.
 */
export function mapObjects({ origin, pods, nads }: MapObjects): NetworkMap {
  const networks = new Map<string, MappedNetwork>()
  for (const nad of nads) networks.set(`${nad.namespace}/${nad.name}`, toNetwork(nad))
  const told = pods.filter(isTold).map(toToldPod)
  for (const { pod, defaultNetwork } of told) {
    for (const { network } of pod.interfaces) {
      const known = networks.get(network)
      const isDefault = known?.isDefault === true || network === defaultNetwork
      const bare = { name: network, plugins: [], facts: [], problem: null }
      if (known === undefined || known.isDefault !== isDefault)
        networks.set(network, { ...(known ?? bare), isDefault })
    }
  }
  return { origin, networks: [...networks.values()], pods: told.map(({ pod }) => pod) }
}

/** One pod of a cluster with the plugins of its networks; when they were called only its node knows. */
export function mapPodObject(pod: Pod, { origin, nads }: Omit<MapObjects, 'pods'>): PodMap {
  const { namespace, name } = pod
  const { remark, interfaces } = toToldPod(pod).pod
  const byName = new Map(nads.map((nad) => [`${nad.namespace}/${nad.name}`, nad]))
  const attachments = interfaces.map((mapped) => {
    const nad = byName.get(mapped.network)
    const plugins = nad === undefined ? [] : (readConfig(nad).conflist?.plugins ?? [])
    return { ...mapped, plugins: plugins.map((conf) => ({ type: conf.type, facts: pluginFacts(conf) })) }
  })
  const unknown = { containerId: null, time: null, durationMs: null, calls: [] }
  return { origin, namespace, name, remark, ...unknown, attachments }
}

function isTold({ annotations }: Pod): boolean {
  return [NETWORK_STATUS_ANNOTATION, NETWORKS_ANNOTATION].some(
    (key) => (annotations[key] ?? '').trim() !== '',
  )
}

function toNetwork(nad: NetworkAttachmentDefinition): MappedNetwork {
  const { conflist, problem } = readConfig(nad)
  const plugins = conflist?.plugins ?? []
  const resource = resourceName(nad)
  const facts = [...(resource === undefined ? [] : [resource]), ...plugins.flatMap(pluginFacts)]
  return {
    name: `${nad.namespace}/${nad.name}`,
    isDefault: false,
    plugins: plugins.map(({ type }) => type),
    facts: [...new Set(facts)],
    problem,
  }
}

function readConfig({ namespace, name, config }: NetworkAttachmentDefinition): {
  readonly conflist?: Conflist
  readonly problem: string | null
} {
  // A file on each node has it.
  if (config === undefined) return { problem: null }
  const what = `spec.config of NAD ${namespace}/${name}`
  try {
    const conflist = parseConflist(parseJson(config, what), { what, fallbackName: name, form: 'by-content' })
    return { conflist, problem: null }
  } catch (error) {
    return { problem: toCniError(error).message }
  }
}

/** A pod, and which of its networks is the default one, if that is known. */
interface ToldPod {
  readonly pod: MappedPod
  readonly defaultNetwork: string | undefined
}

function toToldPod(pod: Pod): ToldPod {
  const { namespace, name, annotations } = pod
  const status = annotations[NETWORK_STATUS_ANNOTATION] ?? ''
  const told = (
    remark: string | null,
    interfaces: readonly MappedInterface[] = [],
    defaultNetwork?: string,
  ): ToldPod => ({ pod: { namespace, name, containerId: null, remark, interfaces }, defaultNetwork })
  try {
    if (status.trim() !== '') {
      const entries = readStatus(status)
      return told(null, entries.map(toInterface), defaultOf(entries))
    }
  } catch {
    return told('network-status not readable')
  }
  try {
    return told(null, plannedInterfaces(pod), DEFAULT_NETWORK)
  } catch {
    return told('networks annotation is wrong')
  }
}

/** What others have written into the annotation may be anything. */
function readStatus(text: string): JsonObject[] {
  const entries: unknown = parseJson(text, NETWORK_STATUS_ANNOTATION)
  if (!Array.isArray(entries)) throw new Error(`${NETWORK_STATUS_ANNOTATION} is no list`)
  return entries.filter(isJsonObject)
}

function toInterface(entry: JsonObject): MappedInterface {
  return {
    network: networkOf(entry),
    ifName: textOf(entry.interface) ?? '',
    addresses: Array.isArray(entry.ips) ? entry.ips.filter((ip) => typeof ip === 'string') : [],
    mac: textOf(entry.mac) ?? null,
    device: deviceText(entry['device-info']) ?? null,
    hasDefaultRoute: hasGateway(entry),
    state: 'attached',
  }
}

/** The marked entry's; without a mark the first one's, if that is no NAD's. */
function defaultOf(entries: readonly JsonObject[]): string | undefined {
  const marked = entries.find((entry) => entry.default === true)
  const [first] = entries.map(networkOf)
  if (marked !== undefined) return networkOf(marked)
  return first?.includes('/') === true ? undefined : first
}

function networkOf(entry: JsonObject): string {
  return textOf(entry.name) ?? DEFAULT_NETWORK
}

/** Gateways of its own default routes, or those that the pod asked for. */
function hasGateway({ gateway, ...entry }: JsonObject): boolean {
  const requested = entry['default-route']
  return [gateway, requested].some((list) => Array.isArray(list) && list.length > 0)
}

function plannedInterfaces({ namespace, annotations }: Pod): MappedInterface[] {
  const text = annotations[NETWORKS_ANNOTATION] ?? ''
  const { elements } = parseSelectionElements(text, { annotation: NETWORKS_ANNOTATION, namespace })
  const taken = new Set(elements.flatMap(({ interface: ifName }) => ifName ?? []))
  const freeName = (number: number): string => {
    if (taken.has(`net${number}`)) return freeName(number + 1)
    taken.add(`net${number}`)
    return `net${number}`
  }
  const asked = elements.map((element, index) =>
    plannedInterface(element, element.interface ?? freeName(index + 1)),
  )
  const rest = { addresses: [], mac: null, device: null, hasDefaultRoute: false, state: 'planned' as const }
  return [{ network: DEFAULT_NETWORK, ifName: DEFAULT_IF_NAME, ...rest }, ...asked]
}

function plannedInterface(element: SelectionElement, ifName: string): MappedInterface {
  const { namespace, name, ips = [], mac, deviceID } = element
  return {
    network: `${namespace}/${name}`,
    ifName,
    addresses: ips,
    mac: mac ?? null,
    device: deviceID ?? null,
    hasDefaultRoute: (element.defaultRoute ?? []).length > 0,
    state: 'planned',
  }
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}
