import { nearMiss } from '../cni/near-miss.ts'
import { type CniVersion, isAtLeast } from '../cni/version.ts'
import { META_PLUGIN_TYPES } from '../plan/plugin-quirks.ts'
import { CHAINED_PLUGIN_SCHEMAS } from './chained-plugin-schemas.ts'
import { IPAM_PLUGIN_SCHEMAS } from './ipam-plugin-schemas.ts'
import { MAIN_PLUGIN_SCHEMAS } from './main-plugin-schemas.ts'
import type { PluginSchema } from './plugin-schema.ts'

/** Plugins that are known by name only: no near miss of another one, their keys are their own affair. */
const FOREIGN_TYPES: ReadonlySet<string> = new Set([
  'loopback',
  'flannel',
  'calico',
  'calico-ipam',
  'cilium-cni',
  'weave-net',
  'weave-ipam',
  'aws-cni',
  'egress-cni',
  'kube-ovn',
  'antrea',
  'azure-vnet',
  'azure-ipam',
  'nsx',
  'opflex-agent-cni',
  'netop-cni',
  'hybridnet',
  'danm',
  'terway',
  'ovn-k8s-cni-overlay',
  'ovn4nfvk8s-cni',
  'istio-cni',
  'gke',
  'ib-sriov',
  'ib-sriov-cni',
  'accelerated-bridge',
  'cnv-bridge',
  'macvtap',
  'kubevirt-passt-binding',
  'kubevirt-slirp-binding',
  'cnv-tuning',
  'ovs-mirror-producer',
  'ovs-mirror-consumer',
  'rdma',
  'ipoib',
  'userspace',
  'vhostuser',
  'afxdp',
  'spiderpool',
  'coordinator',
  'nv-ipam',
  'netavark',
  'passthru',
  'noop',
  'debug',
])

/** Where each type stands in a network. */
export type PluginRole = 'main' | 'chained' | 'ipam' | 'meta'

/** What a known plugin is, or `undefined` for one that is not known. */
export function roleOf(type: string): PluginRole | undefined {
  if (Object.hasOwn(MAIN_PLUGIN_SCHEMAS, type)) return 'main'
  if (Object.hasOwn(CHAINED_PLUGIN_SCHEMAS, type)) return 'chained'
  if (Object.hasOwn(IPAM_PLUGIN_SCHEMAS, type)) return 'ipam'
  return META_PLUGIN_TYPES.has(type) ? 'meta' : undefined
}

/** Schema of a plugin that has the whole configuration, or `undefined`. */
export function schemaOf(type: string): PluginSchema | undefined {
  if (Object.hasOwn(MAIN_PLUGIN_SCHEMAS, type)) return MAIN_PLUGIN_SCHEMAS[type]
  return Object.hasOwn(CHAINED_PLUGIN_SCHEMAS, type) ? CHAINED_PLUGIN_SCHEMAS[type] : undefined
}

/** Schema of `ipam` for an IPAM plugin, or `undefined`. */
export function ipamSchemaOf(type: string): PluginSchema | undefined {
  return Object.hasOwn(IPAM_PLUGIN_SCHEMAS, type) ? IPAM_PLUGIN_SCHEMAS[type] : undefined
}

/** The known type that a misspelt one most likely stands for. */
export function suggestType(type: string, role: 'ipam' | 'plugin'): string | undefined {
  if (FOREIGN_TYPES.has(type)) return undefined
  const own =
    role === 'ipam'
      ? Object.keys(IPAM_PLUGIN_SCHEMAS)
      : [...Object.keys(MAIN_PLUGIN_SCHEMAS), ...Object.keys(CHAINED_PLUGIN_SCHEMAS)]
  // A short name is near to too many others.
  const known = [...own, ...[...FOREIGN_TYPES].filter((name) => name.length > 5)]
  return nearMiss(type, known)
}

/** The least version that a plugin speaks, where that is not the first. */
const LEAST_VERSIONS: Readonly<Record<string, CniVersion>> = {
  vrf: '0.3.1',
  bandwidth: '0.3.0',
  firewall: '0.4.0',
}

/** The least CNI version that a plugin can be called in, when the given one is below it. */
export function versionNeeded(type: string, version: CniVersion): CniVersion | undefined {
  // Below 0.3.0 there is no prevResult, without which a chained plugin can do nothing.
  const own = Object.hasOwn(LEAST_VERSIONS, type) ? LEAST_VERSIONS[type] : undefined
  const least = own ?? (roleOf(type) === 'chained' ? '0.3.0' : '0.1.0')
  return isAtLeast(version, least) ? undefined : least
}
