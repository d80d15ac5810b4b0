import { bareIp, ipFamily, isDefaultRoute } from '../cni/address.ts'
import type { JsonObject } from '../cni/json.ts'
import { type Dns, isInMainTable, type Result, type ResultInterface } from '../cni/result.ts'
import { resultFamily } from '../cni/version.ts'

/** One item of the network-status annotation; keys in the order in which clients know them. NPWG-141. */
export interface NetworkStatusEntry {
  /** `namespace/nad`, or the network's name. */
  name: string
  interface?: string
  /** Without prefix length (C-7). */
  ips?: string[]
  mac?: string
  mtu?: number
  /** True for exactly one entry, the first (NPWG-149, 150, C-4). */
  default: boolean
  /** `{}` when there is nothing (C-5). */
  dns: Dns
  'device-info'?: JsonObject
  /** Gateways of the default routes that the network made (C-6, C-29). */
  gateway?: string[]
  /** Gateways that the pod asked for (NPWG-152). */
  'default-route'?: string[]
}

/** What became of one attachment. */
export interface AttachedNetwork {
  /** `namespace/nad`, or the network's name when it is from no NAD. */
  name: string
  ifName: string
  isDefault: boolean
  /** As it holds at last: route changes are in it. */
  result: Result
  requestedDefaultRoute?: string[]
  deviceInfo?: JsonObject
}

/**
 * The pod's network-status: one entry for each interface in the pod, in the order of the attachments and
 * their results, but the default one first; an attachment without any has one minimal entry (C-8, C-9).
 * NPWG-141 to 157, 161.
 *
 * An attachment's gateway, device and requested default route are told at one of its entries: the first
 * whose address has a gateway, else the first; of the default network that entry is the `default` one.
 *
 * @param attachments Those that are attached; not empty.
 * @param netns The pod's; some plugins name sandboxes that are none.
 */
export function toNetworkStatus(
  attachments: readonly AttachedNetwork[],
  netns: string,
): NetworkStatusEntry[] {
  const owner = attachments.find(({ isDefault }) => isDefault) ?? attachments[0]
  const statuses = attachments.flatMap((attachment) => toEntries(attachment, netns, attachment === owner))
  return [...statuses.filter((entry) => entry.default), ...statuses.filter((entry) => !entry.default)]
}

/** The annotation's value: JSON, indented by four blanks. NPWG-140. */
export function formatNetworkStatus(entries: readonly NetworkStatusEntry[]): string {
  return JSON.stringify(entries, null, 4)
}

function toEntries(attachment: AttachedNetwork, netns: string, isDefault: boolean): NetworkStatusEntry[] {
  const { result, ifName } = attachment
  const inPod = podInterfaces(result, netns)
  if (inPod.length === 0) {
    const ips = result.ips.filter((ip) => (ip.interface ?? -1) < 0).map((ip) => bareIp(ip.address))
    // Results below 0.3.0 have no interfaces; what they tell is about CNI_IFNAME (NPWG-145).
    const known = resultFamily(result.version) === 'A' ? { name: ifName } : undefined
    return [toEntry(attachment, known, ips, { isPrimary: true, isDefault })]
  }

  const fallback = inPod.find(({ name }) => name === ifName) ?? inPod[0]
  const holderOf = (index: number | undefined): ResultInterface | undefined => {
    const named = index === undefined ? undefined : result.interfaces[index]
    return named ?? fallback
  }
  const primary =
    inPod.find((link) =>
      result.ips.some((ip) => ip.gateway !== undefined && holderOf(ip.interface) === link),
    ) ?? inPod[0]
  return inPod.map((link) => {
    const ips = result.ips.filter((ip) => holderOf(ip.interface) === link).map((ip) => bareIp(ip.address))
    return toEntry(attachment, link, ips, { isPrimary: link === primary, isDefault })
  })
}

/** Those whose sandbox is the pod's netns; when the plugin names it in another way, all with a sandbox. */
function podInterfaces({ interfaces }: Result, netns: string): ResultInterface[] {
  const sandboxed = interfaces.filter(({ sandbox }) => (sandbox ?? '') !== '')
  const own = sandboxed.filter(({ sandbox }) => sandbox === netns)
  return own.length > 0 ? own : sandboxed
}

function toEntry(
  { name, result, requestedDefaultRoute = [], deviceInfo }: AttachedNetwork,
  link: ResultInterface | undefined,
  ips: string[],
  { isPrimary, isDefault }: { isPrimary: boolean; isDefault: boolean },
): NetworkStatusEntry {
  const gateway = isPrimary ? gatewaysOf(result) : []
  const { mac = '', mtu = 0 } = link ?? {}
  return {
    name,
    ...(link === undefined ? {} : { interface: link.name }),
    ...(ips.length === 0 ? {} : { ips }),
    ...(mac === '' ? {} : { mac }),
    ...(mtu > 0 ? { mtu } : {}),
    default: isPrimary && isDefault,
    dns: result.dns,
    ...(isPrimary && deviceInfo !== undefined ? { 'device-info': deviceInfo } : {}),
    ...(gateway.length === 0 ? {} : { gateway }),
    ...(isPrimary && requestedDefaultRoute.length > 0 ? { 'default-route': requestedDefaultRoute } : {}),
  }
}

/**
 * Gateways of the default routes, each once. A default route without a gateway takes the one of an address
 * of its family, as the specification has it for `routes[].gw`; one that has none either is on-link.
 */
function gatewaysOf({ routes, ips }: Result): string[] {
  const gateways = routes
    .filter((route) => isInMainTable(route) && isDefaultRoute(route.dst))
    .map(({ dst, gw }) => {
      const family = ipFamily(dst)
      const ofAddress = ips.find((ip) => (ip.gateway ?? '') !== '' && ipFamily(ip.address) === family)
      return (gw ?? '') === '' ? ofAddress?.gateway : gw
    })
  return [...new Set(gateways.filter((gateway) => gateway !== undefined))]
}
