import { CniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import type { PlanInput } from './plan-attachments.ts'

/**
 * Names the interfaces: the runtime's for the default network, the annotation's where it asks, else
 * `net<N>` with N the place in the pod (NPWG-083), or the next free number when that name is asked for
 * by another network.
 *
 * @returns Names by place, and a fault for every name that is there twice or taken (CNI-041, NPWG-048).
 */
export function planIfNames(input: PlanInput): { ifNames: string[]; faults: CniError[] } {
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
  const faults: CniError[] = []
  for (const [index, ifName] of ifNames.entries()) {
    const source = networks[index]?.source ?? ''
    if (ifNames.indexOf(ifName) !== index) {
      const first = networks[ifNames.indexOf(ifName)]?.source ?? ''
      faults.push(
        new CniError(
          CniErrorCode.InvalidNetworkConfig,
          `interface name ${ifName} is asked for twice: by ${first} and by ${source}`,
          { hint: 'give each network of the pod its own interface name' },
        ),
      )
    } else if (facts?.links.includes(ifName) === true) {
      faults.push(
        new CniError(
          CniErrorCode.InvalidNetworkConfig,
          `interface name ${ifName} (for ${source}) already exists in the pod's network namespace`,
          { hint: 'choose another name in the annotation, or delete the interface that is there' },
        ),
      )
    }
  }
  return { ifNames, faults }
}
