import { ipFamily, isDefaultRoute, networkOf, parseIp } from '../cni/address.ts'
import { isInMainTable, type Result, type Route } from '../cni/result.ts'
import type { DefaultRouteChange, FamilyRouteChange } from './route-change.ts'

/** An attachment as far as its default route goes. */
export interface RouteCandidate {
  readonly ifName: string
  readonly isDefault: boolean
  /** Gateways the pod asked for; `[]` keeps what the network made itself. */
  readonly defaultRoute: readonly string[] | undefined
  readonly result: Result
}

/** What has to change in the pod, and the results as they are afterwards. */
export interface DefaultRouteDecision {
  readonly change: DefaultRouteChange
  readonly results: readonly Result[]
}

const EVERYTHING = { 4: '0.0.0.0/0', 6: '::/0' } as const

/**
 * Decides for each family who owns the pod's default route: the attachment that the annotation gives it
 * to, else the default network. Whoever does not own it loses it. NPWG-090 to NPWG-096, C-17, C-18,
 * design §4.7.
 *
 * @param candidates In attachment order, the default network first.
 * @param clusterCIDRs Prefixes that stay on the default network's interface.
 */
export function decideDefaultRoutes(
  candidates: readonly RouteCandidate[],
  clusterCIDRs: readonly string[],
): DefaultRouteDecision {
  const change: FamilyRouteChange[] = []
  let results: readonly Result[] = candidates.map(({ result }) => result)
  for (const family of [4, 6] as const) {
    const decided = decideFamily(family, candidates, results, clusterCIDRs)
    if (decided === undefined) continue
    change.push(decided.change)
    results = decided.results
  }
  return { change, results }
}

function decideFamily(
  family: 4 | 6,
  candidates: readonly RouteCandidate[],
  results: readonly Result[],
  clusterCIDRs: readonly string[],
): { change: FamilyRouteChange; results: Result[] } | undefined {
  const isDefaultOf = (route: Route): boolean =>
    isInMainTable(route) && isDefaultRoute(route.dst) && ipFamily(route.dst) === family
  const hasDefault = (index: number): boolean => results[index]?.routes.some(isDefaultOf) === true
  const defaultIndex = candidates.findIndex(({ isDefault }) => isDefault)
  const claimant = candidates.findIndex(
    ({ defaultRoute }) =>
      defaultRoute !== undefined &&
      (defaultRoute.length === 0 || defaultRoute.some((gateway) => ipFamily(gateway) === family)),
  )
  const owner = claimant >= 0 ? claimant : defaultIndex
  const gateways = canonicalGateways(candidates[claimant]?.defaultRoute ?? [], family)
  const losers = candidates.flatMap((_, index) =>
    index !== owner && (claimant >= 0 || (hasDefault(owner) && hasDefault(index))) ? [index] : [],
  )
  if (losers.length === 0 && gateways.length === 0) return undefined

  // The prefix of its own subnet is reached without a gateway; a route through one would take its place.
  const subnets = new Set(results[defaultIndex]?.ips.map(({ address }) => networkOf(address)))
  const keepCidrs = losers.includes(defaultIndex)
    ? clusterCIDRs.filter((cidr) => ipFamily(cidr) === family && !subnets.has(networkOf(cidr)))
    : []
  const changed = results.map((result, index) => {
    if (index === owner) {
      if (gateways.length === 0) return result
      const added = gateways.map((gw): Route => ({ dst: EVERYTHING[family], gw }))
      return { ...result, routes: [...added, ...result.routes.filter((route) => !isDefaultOf(route))] }
    }
    if (!losers.includes(index)) return result
    const lost = result.routes.find((route) => isDefaultOf(route) && route.gw !== undefined)
    const kept =
      index === defaultIndex && lost?.gw !== undefined
        ? keepCidrs.map((dst): Route => ({ dst, gw: lost.gw ?? '' }))
        : []
    return { ...result, routes: [...result.routes.filter((route) => !isDefaultOf(route)), ...kept] }
  })
  return {
    change: {
      family,
      losers: losers.flatMap((index) => interfacesOf(candidates[index])),
      owner: claimant >= 0 ? candidates[claimant]?.ifName : undefined,
      gateways,
      keepCidrs,
      keepIfName: keepCidrs.length > 0 ? candidates[defaultIndex]?.ifName : undefined,
    },
    results: changed,
  }
}

/** Each once, in the kernel's own writing, so that they can be found again in its table. */
function canonicalGateways(asked: readonly string[], family: 4 | 6): string[] {
  const gateways = asked.flatMap((text) => parseIp(text) ?? []).filter((ip) => ip.family === family)
  return [...new Set(gateways.map(({ text }) => text))]
}

/** The names of an attachment's interfaces in the pod. */
function interfacesOf(candidate: RouteCandidate | undefined): string[] {
  if (candidate === undefined) return []
  const inPod = candidate.result.interfaces.filter(({ sandbox }) => sandbox !== undefined && sandbox !== '')
  return [...new Set([candidate.ifName, ...inPod.map(({ name }) => name)])]
}
