import { isJsonObject } from '../cni/json.ts'
import type { PlannedPlugin } from './plan.ts'

/** Plugin types that are a meta-plugin of Multus or Plexus: delegating to one would never end. */
export const META_PLUGIN_TYPES: ReadonlySet<string> = new Set(['plexus', 'multus', 'multus-shim'])

/** Meta-plugins of others: they may be delegated to, but only by name. */
const FOREIGN_META_TYPES: ReadonlySet<string> = new Set(['danm'])

/** Whether a plugin attaches several networks by itself: none is taken for the default network by its place. */
export function isMetaPlugin(type: string): boolean {
  return META_PLUGIN_TYPES.has(type) || FOREIGN_META_TYPES.has(type)
}

/** Types that read the CNI_ARGS key `MAC` where they have no `mac` capability. */
const MAC_ARG_READERS: ReadonlySet<string> = new Set(['bridge', 'macvlan', 'tap', 'tuning', 'sriov', 'ovs'])

/** Types, mostly IPAM, that read the CNI_ARGS key `IP`. */
const IP_ARG_READERS: ReadonlySet<string> = new Set([
  'host-local',
  'static',
  'whereabouts',
  'calico',
  'calico-ipam',
])

/** Types whose agent reads addresses and MAC in the pod's networks annotation itself, and declares no capability. */
const ANNOTATION_READERS: ReadonlySet<string> = new Set(['ovn-k8s-cni-overlay', 'kube-ovn'])

/** Types whose `ipam.type` names something inside their own agent, not an executable of the node. */
const AGENT_IPAM_TYPES: ReadonlySet<string> = new Set(['antrea', 'azure-vnet', 'opflex-agent-cni', 'danm'])

/** Types that answer CHECK with an error although nothing is wrong. */
const NO_CHECK_TYPES: ReadonlySet<string> = new Set(['whereabouts', 'aws-cni', 'weave-net'])

/** Types built on the project's library for plugins in Go, which reads all of stdin before the plugin's own code runs. */
const INPUT_FIRST_TYPES: ReadonlySet<string> = new Set([
  'bandwidth',
  'bond',
  'bridge',
  'calico',
  'dummy',
  'firewall',
  'flannel',
  'host-device',
  'ib-sriov',
  'ipvlan',
  'loopback',
  'macvlan',
  'ovs',
  'portmap',
  'ptp',
  'rdma',
  'route-override',
  'sbr',
  'sriov',
  'tap',
  'tuning',
  'vlan',
  'vrf',
])

/** Whether the plugin is known to do nothing before it has its whole input. */
export function readsInputFirst(type: string): boolean {
  return INPUT_FIRST_TYPES.has(type)
}

/** Whether the plugin or its IPAM takes a MAC from CNI_ARGS. */
export function readsMacArg(types: readonly string[]): boolean {
  return types.some((type) => MAC_ARG_READERS.has(type))
}

/** Whether the plugin or its IPAM takes addresses from CNI_ARGS. */
export function readsIpArg(types: readonly string[]): boolean {
  return types.some((type) => IP_ARG_READERS.has(type))
}

/** Whether the plugin knows of this request by itself. */
export function readsRequest(type: string, key: string): boolean {
  return ANNOTATION_READERS.has(type) && (key === 'ips' || key === 'mac')
}

/** Whether `ipam.type` of this plugin is run as an executable. */
export function runsIpamPlugin(type: string): boolean {
  return !AGENT_IPAM_TYPES.has(type)
}

/** Whether the plugin and its IPAM implement CHECK. */
export function implementsCheck(plugin: Pick<PlannedPlugin, 'type' | 'conf'>): boolean {
  const { ipam } = plugin.conf
  const ipamType = isJsonObject(ipam) ? ipam.type : undefined
  return !NO_CHECK_TYPES.has(plugin.type) && !(typeof ipamType === 'string' && NO_CHECK_TYPES.has(ipamType))
}
