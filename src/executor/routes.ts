import { CniError, toCniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import { isJsonObject, parseJson } from '../cni/json.ts'
import type { DefaultRouteChange, FamilyRouteChange } from '../plan/route-change.ts'
import { execInNetns } from './netns-exec.ts'

/** One default route of the main table, as `ip -j route` prints it. */
interface DefaultRoute {
  readonly dev: string
  readonly gateway: string | undefined
  readonly metric: number | undefined
  /** Words after `default` that make the same route again. */
  readonly words: string
}

/** IPv6 routes without a metric get this one from the kernel. */
const IPV6_METRIC = 1024

/**
 * Moves the default routes in a netns with `ip` of iproute2: dump, put the new ones in place, take the
 * others away, dump again and compare; restored when anything fails (design §4.7).
 *
 * @throws {CniError} RouteChange.
 */
export async function changeRoutes(netns: string, change: DefaultRouteChange): Promise<void> {
  const before = new Map<FamilyRouteChange, readonly DefaultRoute[]>()
  try {
    for (const family of change) {
      before.set(family, await dump(netns, family.family))
      await changeFamily(netns, family, before.get(family) ?? [])
    }
  } catch (error) {
    const faults: string[] = []
    for (const [family, routes] of before) {
      await restore(netns, family, routes).catch((fault) => faults.push(toCniError(fault).message))
    }
    throw new CniError(CniErrorCode.RouteChange, `default route not moved: ${toCniError(error).message}`, {
      cause: error,
      hint: 'the gateway must lie in a subnet of the interface that the annotation gives it to',
      faults,
    })
  }
}

async function changeFamily(
  netns: string,
  change: FamilyRouteChange,
  before: readonly DefaultRoute[],
): Promise<void> {
  const wanted = wantedRoutes(change)
  const additions = wanted
    .filter((route) => !before.some((present) => isSame(present, route)))
    .map((route) => `route replace default ${route.words}`)
  const old = before.find((route) => route.dev === change.keepIfName && route.gateway !== undefined)
  if (old !== undefined && change.losers.includes(old.dev)) {
    for (const cidr of change.keepCidrs) {
      additions.push(`route replace ${cidr} via ${old.gateway} dev ${old.dev}${onlink(old.gateway)}`)
    }
  }
  await batch(netns, change.family, additions)

  const isUnwanted = (route: DefaultRoute): boolean =>
    change.losers.includes(route.dev) ||
    (route.dev === change.owner && wanted.length > 0 && !wanted.some((want) => isSame(want, route)))
  const removals = (await dump(netns, change.family)).filter(isUnwanted)
  await batch(
    netns,
    change.family,
    removals.map((route) => `route del default ${route.words}`),
  )

  const after = await dump(netns, change.family)
  const missing = wanted.filter((want) => !after.some((route) => isSame(route, want)))
  const left = after.filter(isUnwanted)
  if (missing.length > 0 || left.length > 0) {
    throw new CniError(
      CniErrorCode.RouteChange,
      `IPv${change.family} default routes are not as asked: missing [${missing.map((r) => r.words)}], left [${left.map((r) => r.words)}]`,
    )
  }
}

function wantedRoutes(change: FamilyRouteChange): DefaultRoute[] {
  const { owner } = change
  if (owner === undefined) return []
  return change.gateways.map((gateway, index) => {
    const metric = change.family === 6 ? IPV6_METRIC + index : index === 0 ? undefined : index
    const suffix = metric === undefined ? '' : ` metric ${metric}`
    return { dev: owner, gateway, metric, words: `via ${gateway} dev ${owner}${suffix}${onlink(gateway)}` }
  })
}

function isSame(left: DefaultRoute, right: DefaultRoute): boolean {
  return (
    left.dev === right.dev && left.gateway === right.gateway && (left.metric ?? 0) === (right.metric ?? 0)
  )
}

/** IPv4 link-local gateways (Calico's 169.254.1.1) lie in no subnet of the interface. */
function onlink(gateway: string | undefined): string {
  return gateway?.startsWith('169.254.') === true ? ' onlink' : ''
}

async function restore(
  netns: string,
  change: FamilyRouteChange,
  before: readonly DefaultRoute[],
): Promise<void> {
  const now = await dump(netns, change.family)
  const lost = before.filter((route) => !now.some((present) => isSame(present, route)))
  const added = now.filter((route) => !before.some((present) => isSame(present, route)))
  await batch(netns, change.family, [
    ...added.map((route) => `route del default ${route.words}`),
    ...lost.map((route) => `route append default ${route.words}`),
  ])
}

async function batch(netns: string, family: 4 | 6, commands: readonly string[]): Promise<void> {
  if (commands.length === 0) return
  await execInNetns(netns, 'ip', [`-${family}`, '-batch', '-'], `${commands.join('\n')}\n`)
}

async function dump(netns: string, family: 4 | 6): Promise<DefaultRoute[]> {
  const text = await execInNetns(netns, 'ip', [
    '-j',
    `-${family}`,
    'route',
    'show',
    'table',
    'main',
    'default',
  ])
  const routes = parseJson(text.trim() === '' ? '[]' : text, 'output of ip route')
  if (!Array.isArray(routes)) return []
  return routes.filter(isJsonObject).flatMap((route) => {
    const hops = Array.isArray(route.nexthops) ? route.nexthops.filter(isJsonObject) : [route]
    return hops.map((hop) => {
      const dev = String(hop.dev ?? route.dev ?? '')
      const gateway = typeof hop.gateway === 'string' ? hop.gateway : undefined
      const metric = typeof route.metric === 'number' ? route.metric : undefined
      const words = [
        ...(gateway === undefined ? [] : [`via ${gateway}`]),
        `dev ${dev}`,
        ...(typeof route.protocol === 'string' ? [`proto ${route.protocol}`] : []),
        ...(metric === undefined ? [] : [`metric ${metric}`]),
        ...(Array.isArray(hop.flags) && hop.flags.includes('onlink') ? ['onlink'] : []),
      ]
      return { dev, gateway, metric, words: words.join(' ') }
    })
  })
}
