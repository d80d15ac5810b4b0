import { CniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import type { PlanInput } from './plan-attachments.ts'

/**
 * Names the interfaces: the runtime's for the default network, the annotation's where it asks, else
 * `net<N>` with N the place in the pod (NPWG-083), or the next free number when that name is asked for
 * by another network.
 *
 * @returns Names by place, and by place too what is wrong with one that is there twice or taken (CNI-041,
 * NPWG-048).
 */
export function planIfNames(input: PlanInput): { ifNames: string[]; faults: (CniError | undefined)[] } {
  const { networks, request, facts } = input
  const asked = networks.map(({ requested }) =>
    requested.isDefault ? request.ifName : requested.element?.interface,
  )
  const used = new Set(asked.filter((name) => name !== undefined))
  const ifNames = asked.map((name, index) => {
    if (name !== undefined) return name
    let number = index
    while (used.has(`net${number}`)) number++
    used.add(`net${number}`)
    return `net${number}`
  })
  const sourceOf = (index: number): string => networks[index]?.source ?? ''
  const faults = ifNames.map((ifName, index) => {
    const first = ifNames.indexOf(ifName)
    if (first !== index) {
      return new CniError(
        CniErrorCode.InvalidNetworkConfig,
        `interface name ${ifName} is asked for twice: by ${sourceOf(first)} and by ${sourceOf(index)}`,
        { hint: 'give each network of the pod its own interface name' },
      )
    }
    if (facts?.links.includes(ifName) !== true) return undefined
    return new CniError(
      CniErrorCode.InvalidNetworkConfig,
      `interface name ${ifName} (for ${sourceOf(index)}) already exists in the pod's network namespace`,
      { hint: 'choose another name in the annotation, or delete the interface that is there' },
    )
  })
  return { ifNames, faults }
}
