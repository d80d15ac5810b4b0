import { ipFamily } from '../cni/address.ts'
import { toShown } from '../cni/faults.ts'
import { DEFAULT_NETWORK_ANNOTATION } from './annotations.ts'
import type { SelectionElement } from './selection-element.ts'
import type { ElementReport } from './selection-report.ts'

/** An element with the report that knows its place. */
export interface ReportedElement {
  element: SelectionElement
  report: ElementReport
}

/**
 * Checks what elements forbid one another: an interface name asked for twice (NPWG-048), and a default
 * route of one family asked for by two elements (NPWG-093, C-17). `default-route: []` claims both families.
 * Also checks that an element does not ask for addresses beside its claim (NPWG-056).
 */
export function validateSelection(elements: readonly ReportedElement[], annotation: string): void {
  const ifNameOwner = new Map<string, number>()
  const routeOwner = new Map<4 | 6, number>()
  elements.forEach(({ element, report }, index) => {
    // That rule is the networks annotation's: for the default network KubeVirt writes both, and OVN-Kubernetes
    // records the addresses in the claim.
    const isDefault = annotation === DEFAULT_NETWORK_ANNOTATION
    if (!isDefault && element.ips !== undefined && element.ipamClaimReference !== undefined) {
      report.fault(['ipam-claim-reference'], 'excludes "ips": the claim holds the addresses')
    }
    if (element.interface !== undefined && element.interface !== '') {
      const owner = ifNameOwner.get(element.interface)
      if (owner === undefined) ifNameOwner.set(element.interface, index)
      else {
        const other = `element ${owner} ("${elements[owner]?.element.name}")`
        report.fault(
          ['interface'],
          `interface name ${toShown(element.interface)} is asked for by ${other} too`,
        )
      }
    }
    for (const family of claimedFamilies(element)) {
      const owner = routeOwner.get(family)
      if (owner === undefined) routeOwner.set(family, index)
      else {
        const other = `element ${owner} ("${elements[owner]?.element.name}")`
        report.fault(['default-route'], `the IPv${family} default route is asked for by ${other} too`)
      }
    }
  })
}

/** Families whose default route an element asks for; an empty list is both. */
export function claimedFamilies({ defaultRoute }: SelectionElement): Set<4 | 6> {
  if (defaultRoute === undefined) return new Set()
  if (defaultRoute.length === 0) return new Set([4, 6])
  return new Set(defaultRoute.map(ipFamily).filter((family) => family !== undefined))
}
