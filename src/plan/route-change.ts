/** What becomes of the default routes of one family in the pod's main table (design §4.7). */
export interface FamilyRouteChange {
  readonly family: 4 | 6
  /** Interfaces that lose their default routes of this family. */
  readonly losers: readonly string[]
  /** Interface that gets the gateways; `undefined` when only losers change. */
  readonly owner: string | undefined
  /** Gateways of the owner, the first with the best metric; empty keeps the routes it has. */
  readonly gateways: readonly string[]
  /** Prefixes of the cluster that stay reachable through `keepIfName`. */
  readonly keepCidrs: readonly string[]
  readonly keepIfName: string | undefined
}

/** A change of default routes: one entry per family that changes. */
export type DefaultRouteChange = readonly FamilyRouteChange[]
