import { CniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import { resourceName } from '../network/nad.ts'
import type { PodDevices } from '../network/pod-devices.ts'
import type { ResolvedNetwork } from './plan-attachments.ts'
import { isOptional } from './requested-network.ts'

/** What a network that takes its device from a resource gets of it. */
export interface DeviceGrant {
  readonly resource: string
  /** `undefined` when the kubelet was not asked, or when there is a fault. */
  readonly id: string | undefined
  /** For `explain`. */
  readonly reason: string
  readonly fault: CniError | undefined
}

/** The resource that a network's device comes from; none for a network that will not be attached anyway. */
export function resourceOf({ nad, conflist }: ResolvedNetwork): string | undefined {
  return nad === undefined || conflist === undefined ? undefined : resourceName(nad)
}

/**
 * Hands out the pod's devices: each to one network at most, in the order of attachment, the devices of each
 * resource in their own order. A device that the annotation names goes to that network. Where there are too few,
 * networks that the pod calls optional go without before others do. NPWG-133.
 *
 * @param devices What the kubelet allocated; `undefined` when it was not asked (`explain`, DEL, STATUS).
 * @returns By the network's place in the pod; networks without a resource have none.
 */
export function grantDevices(
  networks: readonly ResolvedNetwork[],
  devices: PodDevices | undefined,
): ReadonlyMap<number, DeviceGrant> {
  const askers = new Map<string, number[]>()
  for (const [index, network] of networks.entries()) {
    const resource = resourceOf(network)
    if (resource !== undefined) askers.set(resource, [...(askers.get(resource) ?? []), index])
  }
  const grants = new Map<number, DeviceGrant>()
  for (const [resource, indexes] of askers) {
    const allocated = devices?.get(resource) ?? []
    const free = new Set(allocated)
    const named = (index: number): string | undefined => networks[index]?.requested.element?.deviceID
    const grant = (index: number, given: Omit<DeviceGrant, 'resource'>): void =>
      void grants.set(index, { resource, ...given })
    const refuse = (index: number, what: string, hint: string): void => {
      const message = `network "${networks[index]?.conflist?.name}" (${networks[index]?.source}): ${what}`
      const fault = new CniError(CniErrorCode.InvalidNetworkConfig, message, { hint })
      grant(index, { id: undefined, reason: 'there is no device for it', fault })
    }

    const unnamed = indexes.filter((index) => named(index) === undefined)
    for (const index of indexes) {
      const id = named(index)
      if (id === undefined) continue
      const reason = `device ${id} of resource ${resource} is the one that the annotation names`
      if (devices === undefined || free.delete(id)) grant(index, { id, reason, fault: undefined })
      else if (allocated.includes(id)) {
        refuse(
          index,
          `device ${id} of resource ${resource} is asked for twice`,
          'name another "deviceID" in one of the elements, or none',
        )
      } else {
        refuse(
          index,
          `device ${id} of resource ${resource} is not one of the ${allocated.length} that the kubelet allocated to the pod`,
          'leave "deviceID" out of the annotation: then one of the allocated devices is taken',
        )
      }
    }

    const yields = (index: number): boolean => isOptional(networks[index]?.requested)
    const lacking = new Set(
      [...unnamed.filter((index) => !yields(index)), ...unnamed.filter(yields)].slice(free.size),
    )
    const rest = allocated.entries().filter(([, id]) => free.has(id))
    for (const index of unnamed) {
      if (devices === undefined) {
        const reason = `its device, one of resource ${resource}, is asked of the kubelet at ADD`
        grant(index, { id: undefined, reason, fault: undefined })
      } else if (lacking.has(index)) {
        refuse(
          index,
          `the pod's networks take ${indexes.length} of resource ${resource}, but the kubelet allocated ${allocated.length} of it to the pod`,
          `request "${resource}": ${indexes.length} in the resources of the pod's containers, or take the network out of the annotation`,
        )
      } else {
        const [place, id] = rest.next().value ?? []
        const reason = `device ${id} is number ${(place ?? 0) + 1} of the ${allocated.length} of resource ${resource} that the kubelet allocated to the pod`
        grant(index, { id, reason, fault: undefined })
      }
    }
  }
  return grants
}
