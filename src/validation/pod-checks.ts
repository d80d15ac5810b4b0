import { bareIp } from '../cni/address.ts'
import { isJsonObject } from '../cni/json.ts'
import { isInRange } from './address-range.ts'
import { mtuOf, textOf } from './plugin-view.ts'
import type { PodAttachment, PodNetworks } from './pod-validation.ts'

/** Checks what a pod asks for against what its networks give. */
export function checkPod(pod: PodNetworks): void {
  for (const [index, attachment] of pod.attachments.entries()) {
    checkAddresses(attachment, pod)
    checkLinks(attachment, pod.attachments.slice(0, index), pod.attachments)
  }
}

function checkAddresses({ element, network, add }: PodAttachment, { pods }: PodNetworks): void {
  const { ips = [] } = element
  if (ips.length > 0 && pods > 1) {
    const message = `${pods === Number.POSITIVE_INFINITY ? 'all' : pods} pods ask for the same address`
    add('address-of-many-pods', ['ips'], message, 'let IPAM choose, or make one pod of it')
  }
  const view = network?.plugins.find(({ ipamType }) => ipamType !== undefined)
  if (network === undefined || view === undefined) return
  const title = network.title
  const declares = network.conflist?.plugins.some(
    ({ capabilities }) => isJsonObject(capabilities) && capabilities.ipRanges === true,
  )
  for (const [index, ip] of ips.entries()) {
    if (view.ipamType === 'static' && !ip.includes('/')) {
      add('ip-without-prefix', ['ips', index], `${title}: static needs a prefix length, as in ${ip}/24`)
    }
    if (!hasRanges(view.ipamType) || view.pools.length === 0 || declares === true) continue
    const pool = view.pools.find(({ given }) => isInRange(ip, given))
    if (pool === undefined) {
      const ranges = view.pools.map(({ given }) => given.text).join(', ')
      add('ip-outside-range', ['ips', index], `${title}: ${bareIp(ip)} is not in ${ranges}`)
    } else if (pool.gateway === bareIp(ip)) {
      add('ip-outside-range', ['ips', index], `${title}: ${bareIp(ip)} is the gateway of ${pool.given.text}`)
    }
  }
}

/** Whether the IPAM plugin gives addresses of its ranges only. */
function hasRanges(ipamType: string | undefined): boolean {
  return ipamType === 'host-local' || ipamType === 'whereabouts'
}

/** Interfaces of the pod that a network is built on must be there before it, and carry its MTU. */
function checkLinks(
  { network, add }: PodAttachment,
  before: readonly PodAttachment[],
  all: readonly PodAttachment[],
): void {
  const [view] = network?.plugins ?? []
  if (network === undefined || view === undefined) return
  const { conf, type } = view
  const isBond = type === 'bond' && conf.linksInContainer === true
  const master = conf.linkInContainer === true ? textOf(conf, 'master') : undefined
  const links = isBond && Array.isArray(conf.links) ? conf.links : []
  const names = links.flatMap((link: unknown) => (isJsonObject(link) ? (textOf(link, 'name') ?? []) : []))
  const mtu = mtuOf(network.plugins)?.mtu ?? 0
  for (const name of master === undefined ? names : [master]) {
    const parent = before.find(({ ifName }) => ifName === name)
    if (parent === undefined) {
      if (name === 'eth0') continue
      const later = all.slice(before.length + 1).some(({ ifName }) => ifName === name)
      const message = later
        ? `${network.title} is built on interface ${name}, which a later network makes`
        : `${network.title} is built on interface ${name}, which no network of the pod makes`
      const hint = later ? 'name that network first' : `give a network the interface name ${name}`
      add('link-not-there', ['name'], message, hint)
      continue
    }
    const parentMtu = mtuOf(parent.network?.plugins ?? [])?.mtu ?? 0
    if (mtu > parentMtu && parentMtu > 0) {
      const message = `${network.title} has MTU ${mtu}, more than the ${parentMtu} of ${name}, on which it is built`
      add('mtu-above-parent', ['name'], message)
    }
  }
}
