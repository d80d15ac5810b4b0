import { bareIp, ipFamily, ipNumber, networkOf } from '../cni/address.ts'
import type { JsonObject } from '../cni/json.ts'
import { resourceName } from '../network/nad.ts'
import { doOverlap } from './address-range.ts'
import type { KnownNetwork } from './network-validation.ts'
import { mtuOf, numberOf, type PluginView, textOf } from './plugin-view.ts'
import type { PodNetworks } from './pod-validation.ts'

/**
 * Checks networks against each other; each finding is at the later one.
 *
 * @param pods Who uses them: networks of one pod must not overlap, wherever they are.
 */
export function checkNetworks(networks: readonly KnownNetwork[], pods: readonly PodNetworks[]): void {
  const traits = networks.flatMap(toTraits)
  for (const [index, its] of traits.entries()) {
    const others = traits.slice(0, index).filter((other) => doMeet(its.network, other.network))
    checkStores(its, others)
    checkOverlaps(its, others, pods)
    checkBridges(its, others)
    checkParent(its, traits)
  }
  // What a Deployment asks for is asked for by its ReplicaSet and the pods of that once more.
  const titles = new Set(pods.map(({ title }) => title))
  const makers = pods.filter(({ owner }) => owner === undefined || !titles.has(owner))
  checkFixedAddresses(networks, makers)
  checkAskedAddresses(makers)
}

/** Networks of two net-conf files are as a rule those of two nodes. */
function doMeet(network: KnownNetwork, other: KnownNetwork): boolean {
  return network.nad !== undefined || other.nad !== undefined || network.file === other.file
}

/** What a network is compared by. */
interface Traits {
  readonly network: KnownNetwork
  /** The plugin that makes the interface. */
  readonly view: PluginView
  /** The link that its pods are on together; `undefined` when it is not known. */
  readonly segment: string | undefined
  /** Where its addresses are remembered, so that none is given twice; `undefined` when it is not known. */
  readonly store: string | undefined
  readonly bridge: BridgeTraits | undefined
  /** Whether the node itself routes to its addresses. */
  readonly isRouted: boolean
}

interface BridgeTraits {
  readonly name: string
  /** In words: `VLAN 100`, `no VLAN`. */
  readonly vlan: string
  /** Whether frames of its pods are in the bridge's default VLAN. */
  readonly speaksDefault: boolean
  /** Whether its pods, which are in another VLAN, receive those frames too. */
  readonly hearsDefault: boolean
}

/** The VLAN of a bridge's ports that have no other. */
const DEFAULT_VLAN = 1

function toTraits(network: KnownNetwork): Traits[] {
  const [view] = network.plugins
  if (view === undefined) return []
  const { conf, type } = view
  const bridge = type === 'bridge' ? bridgeTraits(conf) : undefined
  const isRouted = type === 'ptp' || conf.isGateway === true || conf.isDefaultGateway === true
  return [
    { network, view, segment: segmentOf(network, view), store: storeOf(network, view), bridge, isRouted },
  ]
}

function bridgeTraits(conf: JsonObject): BridgeTraits {
  const isTrunk = Array.isArray(conf.vlanTrunk) && conf.vlanTrunk.length > 0
  const vlan = numberOf(conf, 'vlan') ?? 0
  const isOther = vlan !== 0 && vlan !== DEFAULT_VLAN
  const isKept = conf.preserveDefaultVlan !== false
  return {
    name: textOf(conf, 'bridge') ?? 'cni0',
    vlan: isTrunk ? 'a VLAN trunk' : vlan === 0 ? 'no VLAN' : `VLAN ${vlan}`,
    speaksDefault: isTrunk ? isKept : !isOther,
    hearsDefault: isOther && isKept,
  }
}

function segmentOf({ nad }: KnownNetwork, { type, conf }: PluginView): string | undefined {
  const vlan = numberOf(conf, type === 'vlan' ? 'vlanId' : 'vlan') ?? 0
  const tag = vlan === 0 ? '' : ` VLAN ${vlan}`
  const isTrunk = Array.isArray(conf.vlanTrunk) || Array.isArray(conf.trunk)
  const master = conf.linkInContainer === true ? undefined : textOf(conf, 'master')
  const resource = nad === undefined ? undefined : resourceName(nad)
  switch (type) {
    case 'bridge':
      return isTrunk ? undefined : `bridge ${textOf(conf, 'bridge') ?? 'cni0'}${tag}`
    case 'ovs':
      return isTrunk ? undefined : `Open vSwitch bridge ${textOf(conf, 'bridge')}${tag}`
    case 'macvlan':
    case 'ipvlan':
      return master === undefined ? undefined : `interface ${master}`
    case 'vlan':
      return master === undefined ? undefined : `interface ${master}${tag}`
    case 'sriov':
      return resource === undefined ? undefined : `devices ${resource}${tag}`
    default:
      return undefined
  }
}

function storeOf({ conflist }: KnownNetwork, { ipamType, ipam }: PluginView): string | undefined {
  if (conflist === undefined) return undefined
  if (ipamType === 'host-local') {
    const dataDir = textOf(ipam, 'dataDir') ?? '/var/lib/cni/networks'
    return `${dataDir.replace(/\/+$/, '')}/${conflist.name}`
  }
  // Whereabouts keeps ranges apart in the whole cluster unless it is told not to.
  const isCommon = ipam.enable_overlapping_ranges !== false && textOf(ipam, 'network_name') === undefined
  return ipamType === 'whereabouts' && isCommon ? 'whereabouts' : undefined
}

function checkStores(own: Traits, others: readonly Traits[]): void {
  const { network, view, store } = own
  // One network written down for several namespaces must share its addresses.
  const isSame = ({ segment, view: { pools } }: Traits): boolean =>
    segment === own.segment && poolsText(pools) === poolsText(view.pools)
  const other = others.find((candidate) => candidate.store === store && !isSame(candidate))?.network
  if (store === undefined || view.ipamType !== 'host-local' || other === undefined) return
  const message = `host-local keeps its addresses in ${store}, as ${other.title} does: both have the name "${network.conflist?.name}"`
  const hint = 'give each configuration a "name" of its own'
  network.report.add('shared-address-store', [...view.path, 'ipam'], message, hint)
}

function poolsText(pools: PluginView['pools']): string {
  return pools
    .map(({ subnet, given }) => `${subnet.text} ${given.text}`)
    .sort()
    .join()
}

function checkOverlaps(its: Traits, others: readonly Traits[], pods: readonly PodNetworks[]): void {
  if (its.view.pools.length === 0) return
  for (const other of others) {
    if (other.view.pools.length > 0 && (its.store === undefined || its.store !== other.store)) {
      checkOverlap(its, other, pods)
    }
  }
}

function checkOverlap(its: Traits, other: Traits, pods: readonly PodNetworks[]): void {
  const { network, view, segment } = its
  const isShared = segment !== undefined && segment === other.segment
  const areBridges = its.bridge !== undefined && other.bridge !== undefined
  const both = [network, other.network]
  // Tables of their own keep routes of one destination apart.
  const hasTables = both.some(({ plugins }) => plugins.some(({ type }) => type === 'sbr' || type === 'vrf'))
  for (const pool of view.pools) {
    const twin = other.view.pools.find(({ subnet }) => doOverlap(subnet, pool.subnet))
    if (twin === undefined) continue
    const clash = other.view.pools.find(({ given }) => doOverlap(given, pool.given))
    if (isShared && clash !== undefined) {
      const message = `range ${pool.given.text} overlaps with ${clash.given.text} of ${other.network.title}: both give addresses on ${segment}`
      network.report.add('networks-overlap', pool.path, message, 'give each a range of its own')
      continue
    }
    // Of ptp the node knows each address, of a bridge its whole subnet.
    if (its.isRouted && other.isRouted && (areBridges || clash !== undefined)) {
      const message = `subnet ${networkOf(pool.subnet.text)} overlaps with ${networkOf(twin.subnet.text)} of ${other.network.title}: the node is in both networks, but has one way to these addresses`
      network.report.add('networks-overlap', pool.path, message, 'give each a subnet of its own')
      continue
    }
    // One subnet in two places is meant so as a rule; a part of one is not.
    if (clash !== undefined && networkOf(pool.subnet.text) !== networkOf(clash.subnet.text)) {
      const message = `range ${pool.given.text} overlaps with ${clash.given.text} of ${other.network.title}`
      network.report.add('networks-overlap', pool.path, message, 'give each a range of its own')
      continue
    }
    const user = pods.find(({ attachments }) =>
      both.every((wanted) => attachments.some((attachment) => attachment.network === wanted)),
    )
    if (user === undefined || hasTables) continue
    const message = `subnet ${networkOf(pool.subnet.text)} overlaps with ${networkOf(twin.subnet.text)} of ${other.network.title}: ${user.title} has both networks, but one way to these addresses`
    network.report.add('networks-overlap', pool.path, message, 'give each a subnet of its own')
  }
}

function checkBridges({ network, view, bridge }: Traits, others: readonly Traits[]): void {
  if (bridge === undefined) return
  for (const other of others) {
    if (other.bridge?.name !== bridge.name) continue
    const isHearer = bridge.hearsDefault && other.bridge.speaksDefault
    if (!isHearer && !(bridge.speaksDefault && other.bridge.hearsDefault)) continue
    const [here, there] = [`here (${bridge.vlan})`, `of ${other.network.title} (${other.bridge.vlan})`]
    const [speaker, hearer] = isHearer ? [there, here] : [here, there]
    network.report.add(
      'bridge-vlans-differ',
      [...view.path, 'bridge'],
      `what pods ${speaker} send reaches those ${hearer} too, whose ports stay in the default VLAN of bridge ${bridge.name}`,
      `set "preserveDefaultVlan": false ${isHearer ? 'here' : `in ${other.network.title}`}`,
    )
    return
  }
}

/** An interface cannot carry more than the bridge, made by another network, that it is over. */
function checkParent({ network, view }: Traits, all: readonly Traits[]): void {
  const master = view.conf.linkInContainer === true ? undefined : textOf(view.conf, 'master')
  const own = mtuOf(network.plugins)
  if (master === undefined || own === undefined) return
  for (const parent of all) {
    const parentMtu = numberOf(parent.view.conf, 'mtu') ?? 0
    if (parent.bridge?.name !== master || parentMtu === 0 || own.mtu <= parentMtu) continue
    const message = `MTU ${own.mtu} is above the ${parentMtu} of bridge ${master} (${parent.network.title})`
    network.report.add('mtu-above-parent', own.path, message)
  }
}

/** An address that stands in a NAD is one pod's. */
function checkFixedAddresses(networks: readonly KnownNetwork[], pods: readonly PodNetworks[]): void {
  for (const network of networks) {
    const fixed = network.plugins.flatMap(({ pools }) => pools).find(({ ipamType }) => ipamType === 'static')
    if (fixed === undefined) continue
    const users = pods.filter(({ attachments }) =>
      // Addresses that a pod asks for take the place of those in the NAD.
      attachments.some(
        (attachment) => attachment.network === network && attachment.element.ips === undefined,
      ),
    )
    const count = users.reduce((sum, user) => sum + user.pods, 0)
    if (count < 2) continue
    const who = users.map(({ title }) => title).join(', ')
    network.report.add(
      'address-of-many-pods',
      fixed.path,
      `address ${fixed.given.text} is every pod's of this network: ${who}`,
      'ask for addresses in the annotations of the pods, by the capability "ips"',
    )
  }
}

/** An address that a pod asks for is its own. */
function checkAskedAddresses(pods: readonly PodNetworks[]): void {
  const owners = new Map<string, PodNetworks>()
  for (const pod of pods) {
    for (const { element, add } of pod.attachments) {
      for (const [index, ip] of (element.ips ?? []).entries()) {
        const key = `${element.namespace}/${element.name} IPv${ipFamily(ip)} ${ipNumber(bareIp(ip))}`
        const owner = owners.get(key) ?? pod
        owners.set(key, owner)
        if (owner === pod) continue
        const message = `${owner.title} asks network ${element.namespace}/${element.name} for ${bareIp(ip)} too`
        add('address-of-many-pods', ['ips', index], message, 'give each pod an address of its own')
      }
    }
  }
}
