import { isJsonObject, type JsonObject, toNumber } from '../cni/json.ts'
import type { ManifestObject } from './manifest-object.ts'
import { type ValuePath, valueAt } from './source-text.ts'

/** The pods that an object is or makes. */
export interface PodTemplate {
  /** Way from the object to the pod's metadata. */
  readonly metadata: ValuePath
  /** Way from the object to the pod's spec. */
  readonly spec: ValuePath
  /** Pods that run at once, as far as it is known; DaemonSets have many. */
  readonly pods: number
}

const TEMPLATES: Readonly<Record<string, ValuePath>> = {
  Pod: [],
  Deployment: ['spec', 'template'],
  StatefulSet: ['spec', 'template'],
  DaemonSet: ['spec', 'template'],
  ReplicaSet: ['spec', 'template'],
  ReplicationController: ['spec', 'template'],
  DeploymentConfig: ['spec', 'template'],
  Rollout: ['spec', 'template'],
  CloneSet: ['spec', 'template'],
  PodTemplate: ['template'],
  Job: ['spec', 'template'],
  CronJob: ['spec', 'jobTemplate', 'spec', 'template'],
  VirtualMachine: ['spec', 'template'],
  VirtualMachineInstance: [],
  VirtualMachineInstanceReplicaSet: ['spec', 'template'],
}

/** Kinds that have a pod, or a template of one. */
export const POD_KINDS: readonly string[] = Object.keys(TEMPLATES)

/** The pods of an object; `undefined` when it has none. */
export function podTemplate({ kind, manifest }: ManifestObject): PodTemplate | undefined {
  const path = Object.hasOwn(TEMPLATES, kind) ? TEMPLATES[kind] : undefined
  if (path === undefined) return undefined
  const spec = isJsonObject(manifest.spec) ? manifest.spec : {}
  return { metadata: [...path, 'metadata'], spec: [...path, 'spec'], pods: podCount(kind, spec) }
}

function podCount(kind: string, spec: JsonObject): number {
  if (kind === 'DaemonSet') return Number.POSITIVE_INFINITY
  const key = kind === 'Job' ? 'parallelism' : 'replicas'
  return toNumber(spec[key]) ?? 1
}

/** A network of a KubeVirt virtual machine that is a NAD. */
export interface MachineNetwork {
  /** `namespace/name` or `name`. */
  readonly networkName: string
  readonly isDefault: boolean
  readonly mac: string | undefined
  /** Way from the object to `networkName`. */
  readonly path: ValuePath
  /** Way from the object to the interface with `macAddress`. */
  readonly interfacePath: ValuePath
}

/** The NADs that a virtual machine names in its own spec; empty for other kinds. */
export function machineNetworks({ manifest, kind }: ManifestObject, template: PodTemplate): MachineNetwork[] {
  if (!kind.startsWith('VirtualMachine')) return []
  const networks = valueAt(manifest, [...template.spec, 'networks'])
  const interfacesPath = [...template.spec, 'domain', 'devices', 'interfaces']
  const interfaces = valueAt(manifest, interfacesPath)
  if (!Array.isArray(networks)) return []
  return networks.flatMap((network: unknown, index): MachineNetwork[] => {
    if (!isJsonObject(network) || !isJsonObject(network.multus)) return []
    const { networkName } = network.multus
    if (typeof networkName !== 'string') return []
    const at = Array.isArray(interfaces)
      ? interfaces.findIndex((item: unknown) => isJsonObject(item) && item.name === network.name)
      : -1
    const mac = valueAt(interfaces, [at, 'macAddress'])
    return [
      {
        networkName,
        isDefault: network.multus.default === true,
        mac: typeof mac === 'string' ? mac : undefined,
        path: [...template.spec, 'networks', index, 'multus', 'networkName'],
        interfacePath: [...interfacesPath, Math.max(at, 0), 'macAddress'],
      },
    ]
  })
}
