import { parseCniArgs } from '../../src/cni/cni-args.ts'
import { toCniError } from '../../src/cni/cni-error.ts'
import { parseConflist } from '../../src/cni/conflist.ts'
import type { JsonObject } from '../../src/cni/json.ts'
import { type NetConf, parseNetConf } from '../../src/config/net-conf.ts'
import type { HostFacts } from '../../src/plan/host-facts.ts'
import type { Plan } from '../../src/plan/plan.ts'
import { type PlanInput, planAttachments, type ResolvedNetwork } from '../../src/plan/plan-attachments.ts'
import { chooseNetworks, type PodFacts, type RequestedNetwork } from '../../src/plan/requested-network.ts'

const NETWORKS = 'k8s.v1.cni.cncf.io/networks'
const RESOURCE = 'k8s.v1.cni.cncf.io/resourceName'
const ALLOWED_NAMESPACES = 'plexus-cni.io/allowed-namespaces'
const DEFAULT_NETWORK = 'v1.multus-cni.io/default-network'

/** A net-conf whose default network is an inline bridge. */
export function netConf(overrides: JsonObject = {}): NetConf {
  return parseNetConf({
    type: 'plexus',
    name: 'plexus-net',
    delegates: [{ type: 'bridge', name: 'default-net', cniVersion: '1.0.0' }],
    ...overrides,
  })
}

/** A pod of namespace `telco`; a text is taken as it is, anything else as JSON. */
export function pod(networks?: unknown, defaultNetwork?: unknown, namespace = 'telco'): PodFacts {
  const text = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value))
  return {
    namespace,
    annotations: {
      ...(networks === undefined ? {} : { [NETWORKS]: text(networks) }),
      ...(defaultNetwork === undefined ? {} : { [DEFAULT_NETWORK]: text(defaultNetwork) }),
    },
  }
}

/** Facts of a host that has every plugin and a netns with nothing but `lo`. */
export function hostFacts(overrides: Partial<HostFacts> = {}): HostFacts {
  return {
    netnsId: '4:1',
    isHostNetns: false,
    links: ['lo'],
    plugins: new Map(
      ['bridge', 'macvlan', 'tuning', 'portmap', 'host-local', 'static', 'vlan', 'sriov'].map((type) => [
        type,
        { path: `/opt/cni/bin/${type}`, isPlexus: false },
      ]),
    ),
    searchPath: ['/opt/cni/bin'],
    ...overrides,
  }
}

/** What {@link planPod} plans for. */
export interface PlanCase {
  readonly conf?: NetConf
  readonly pod?: PodFacts | undefined
  /** `spec.config` by `namespace/name`; a NAD that is asked for and not here is a bridge without address. */
  readonly nads?: Readonly<Record<string, unknown>>
  /** Device resource of a NAD by `namespace/name`. */
  readonly resources?: Readonly<Record<string, string>>
  /** `plexus-cni.io/allowed-namespaces` of a NAD by `namespace/name`. */
  readonly selectors?: Readonly<Record<string, string>>
  readonly namespaceLabels?: Readonly<Record<string, string>> | undefined
  readonly args?: string
  readonly facts?: HostFacts | undefined
  /** Ids by resource; absent: the kubelet was not asked. */
  readonly devices?: Readonly<Record<string, readonly string[]>>
}

/** The plan of a pod, by the same steps as the engine, without disk and cluster. */
export function planPod(given: PlanCase): Plan {
  return planAttachments(planInput(given))
}

/** What {@link planPod} plans from. */
export function planInput(given: PlanCase): PlanInput {
  const { conf = netConf(), args = '' } = given
  const chosen = 'pod' in given ? given.pod : pod()
  const { networks } = chooseNetworks(conf, chosen)
  return {
    conf,
    request: { containerId: 'c1', ifName: 'eth0', args: parseCniArgs(args) },
    podNamespace: chosen?.namespace,
    namespaceLabels: given.namespaceLabels,
    networks: networks.map((requested) => resolve(requested, given)),
    facts: 'facts' in given ? given.facts : hostFacts(),
    devices: given.devices === undefined ? undefined : new Map(Object.entries(given.devices)),
  }
}

function resolve(requested: RequestedNetwork, given: PlanCase): ResolvedNetwork {
  const { reference } = requested
  const found = { requested, fault: undefined, warnings: [] }
  try {
    if (reference.kind === 'inline') {
      const { conf, what } = reference
      return {
        ...found,
        conflist: parseConflist(conf, { what, form: 'by-content' }),
        nad: undefined,
        source: what,
      }
    }
    if (reference.kind !== 'nad') throw new Error(`no ${reference.kind} here`)
    const { namespace, name } = reference
    const resource = given.resources?.[`${namespace}/${name}`]
    const selector = given.selectors?.[`${namespace}/${name}`]
    const annotations: Record<string, string> = {
      ...(resource === undefined ? {} : { [RESOURCE]: resource }),
      ...(selector === undefined ? {} : { [ALLOWED_NAMESPACES]: selector }),
    }
    const nad = { namespace, name, annotations }
    const config = given.nads?.[`${namespace}/${name}`] ?? { cniVersion: '1.0.0', type: 'bridge' }
    const source = `NAD ${namespace}/${name}`
    const conflist = parseConflist(config, { what: source, fallbackName: name, form: 'by-content' })
    return { ...found, conflist, nad, source }
  } catch (error) {
    return { ...found, conflist: undefined, nad: undefined, source: 'nowhere', fault: toCniError(error) }
  }
}
