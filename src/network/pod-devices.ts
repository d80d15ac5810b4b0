/** Devices of one resource in one container, as the kubelet lists them: maybe several times, in any order. */
export interface ContainerDevices {
  readonly resourceName: string
  readonly deviceIds: readonly string[]
}

/** Ids of the devices that were allocated to a pod, by resource name. */
export type PodDevices = ReadonlyMap<string, readonly string[]>

/**
 * Puts together what a pod's containers have: one container after the other, the devices of each sorted, since
 * the kubelet gives them in no order. One that is listed for several NUMA nodes, or for an init container and
 * for the container that took it over, is one device. NPWG-133.
 *
 * @param containers In the order of the pod, init containers first.
 */
export function poolDevices(containers: readonly (readonly ContainerDevices[])[]): PodDevices {
  const pooled = new Map<string, Set<string>>()
  for (const devices of containers) {
    const ids = devices.flatMap(({ resourceName, deviceIds }) =>
      deviceIds.map((id) => ({ resourceName, id })),
    )
    for (const { resourceName, id } of ids.sort(byId)) {
      const known = pooled.get(resourceName) ?? new Set()
      pooled.set(resourceName, known.add(id))
    }
  }
  return new Map([...pooled].map(([resource, ids]) => [resource, [...ids]]))
}

/** By code units: the same on every node, whatever its locale. */
function byId({ id: left }: { readonly id: string }, { id: right }: { readonly id: string }): number {
  return left < right ? -1 : left > right ? 1 : 0
}
