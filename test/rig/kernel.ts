import { createNetns, type Netns } from './netns.ts'

/** What a kernel may lack; each is tried by doing it. */
export type KernelFeature =
  | 'veth'
  | 'bridge'
  | 'bridge-vlan-filtering'
  | 'macvlan'
  | 'ipvlan'
  | 'vlan'
  | 'vrf'
  | 'dummy'
  | 'bond'
  | 'tap'
  | 'ifb'
  | 'vxlan'
  | 'tbf'
  | 'iptables'
  | 'nftables'

const attempts: Record<KernelFeature, string> = {
  veth: 'ip link show parent',
  bridge: 'ip link add x type bridge',
  'bridge-vlan-filtering': 'ip link add x type bridge vlan_filtering 1',
  macvlan: 'ip link add x link parent type macvlan mode bridge',
  ipvlan: 'ip link add x link parent type ipvlan mode l2',
  vlan: 'ip link add x link parent type vlan id 7',
  vrf: 'ip link add x type vrf table 7',
  dummy: 'ip link add x type dummy',
  bond: 'ip link add x type bond',
  tap: 'ip tuntap add dev x mode tap',
  ifb: 'ip link add x type ifb',
  vxlan: 'ip link add x type vxlan id 7 dstport 4789 local 127.0.0.1',
  tbf: 'tc qdisc add dev parent root tbf rate 1mbit burst 32k latency 50ms',
  iptables: 'iptables -t nat -A POSTROUTING -m comment --comment x -j MASQUERADE',
  nftables: 'nft add table inet x',
}

const known = new Map<KernelFeature, Promise<boolean>>()
let scratch: Promise<Netns> | undefined

/**
 * Whether this machine's kernel (with its tools) can do it, found out in a scratch namespace; asked once per
 * process.
 */
export function kernelHas(feature: KernelFeature): Promise<boolean> {
  const answer = known.get(feature) ?? tryFeature(feature)
  known.set(feature, answer)
  return answer
}

async function tryFeature(feature: KernelFeature): Promise<boolean> {
  scratch ??= createScratch()
  const netns = await scratch
  try {
    // The link is removed so that the next attempt can use its name.
    await netns.exec('sh', ['-c', `${attempts[feature]} && { ip link del x 2>&- || :; }`])
    return true
  } catch {
    return false
  }
}

async function createScratch(): Promise<Netns> {
  const netns = await createNetns('kernel')
  await netns.exec('ip', ['link', 'add', 'parent', 'type', 'veth', 'peer', 'name', 'parent-peer'])
  return netns
}

/** Says on stdout that a test is skipped for a kernel feature, in the form that `test/run.ts` counts. */
export function skipped(name: string, feature: KernelFeature): void {
  console.log(`# skipped: ${name}: kernel lacks ${feature}`)
}
