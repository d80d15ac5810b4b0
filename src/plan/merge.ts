import { ipFamily, isDefaultRoute } from '../cni/address.ts'
import { isInMainTable, type Result, type ResultInterface, type ResultIp, type Route } from '../cni/result.ts'
import type { CniVersion } from '../cni/version.ts'

/** One attachment's result and the pod interface that it stands for. */
export interface MergePart {
  readonly ifName: string
  readonly result: Result
}

/**
 * Merges the results of one pod's attachments into the one that the runtime gets: interfaces and
 * addresses in attachment order, indexes shifted (CNI-130, CNI-131), one owner's default routes
 * (CNI-132), DNS of the first. A single result stays as it is.
 *
 * @param parts First a `prevResult` of our own when there is one, then the default network, then the
 * others; not empty.
 * @param netns CNI_NETNS, the `sandbox` of interfaces that a result of 0.1.0 or 0.2.0 cannot name.
 * @param version Version that the merged result counts as given in.
 */
export function mergeResults(parts: readonly MergePart[], netns: string, version: CniVersion): Result {
  const [first] = parts
  if (parts.length === 1 && first !== undefined) return { ...first.result, version }
  const interfaces: ResultInterface[] = []
  const ips: ResultIp[] = []
  const routes: Route[] = []
  for (const { ifName, result } of parts) {
    const offset = interfaces.length
    // Addresses without any interface could be read as another network's.
    const own =
      result.interfaces.length === 0 && result.ips.length > 0
        ? [{ name: ifName, sandbox: netns }]
        : result.interfaces
    const fallback = fallbackIndex(own, ifName)
    interfaces.push(...own)
    for (const { interface: index, ...ip } of result.ips) {
      const known = index !== undefined && index >= 0 && index < own.length ? index : fallback
      ips.push(known === undefined ? ip : { ...ip, interface: offset + known })
    }
    const earlier = [...routes]
    routes.push(...result.routes.filter((route) => !isSecondDefault(route, earlier)))
  }
  return { version, interfaces, ips, routes, dns: first?.result.dns ?? {} }
}

/** Where an address without a usable index belongs: the interface of that name, else the first in the pod (C-10). */
function fallbackIndex(interfaces: readonly ResultInterface[], ifName: string): number | undefined {
  const isInPod = ({ sandbox }: ResultInterface): boolean => sandbox !== undefined && sandbox !== ''
  const named = interfaces.findIndex((entry) => entry.name === ifName && isInPod(entry))
  const index = named >= 0 ? named : interfaces.findIndex(isInPod)
  return index >= 0 ? index : undefined
}

/** Earlier parts own the default route of a family, unless they have none. */
function isSecondDefault(route: Route, earlier: readonly Route[]): boolean {
  const family = ipFamily(route.dst)
  const isDefault = (other: Route): boolean => isInMainTable(other) && isDefaultRoute(other.dst)
  return isDefault(route) && earlier.some((other) => isDefault(other) && ipFamily(other.dst) === family)
}
