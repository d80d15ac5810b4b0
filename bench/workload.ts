import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Program } from './runner.ts'

/** The verbs that are measured. */
export type Verb = 'ADD' | 'DEL'

/** One pod of one run. */
export interface BenchPod {
  /** Of the Pod in the manifests: `pod-00` and so on. */
  readonly name: string
  /** 64 hexadecimal digits, as containerd's. */
  readonly containerId: string
  /** Path of its network namespace. */
  readonly netns: string
}

/** What every mode works on: three networks for each pod, and where everything is. */
export interface Workload {
  /** Folder of this run. */
  readonly dir: string
  /** Folder of the real plugins. */
  readonly pluginDir: string
  /** Folder with the networks and, for a block of `count`, as many pods. */
  manifests(count: number): string
  /** A pod whose namespace is still to be made. */
  pod(index: number): BenchPod
}

/** Of the pods and of all networks but the default one. */
export const NAMESPACE = 'bench'
const PLUGIN_DIRS = ['/usr/lib/cni', '/usr/libexec/cni', '/opt/cni/bin']

/** @throws {Error} When the CNI plugins are not installed. */
export function findPluginDir(): string {
  const dir = PLUGIN_DIRS.find((path) =>
    ['bridge', 'macvlan', 'host-local'].every((type) => existsSync(join(path, type))),
  )
  if (dir === undefined) {
    throw new Error(
      `no CNI plugins in ${PLUGIN_DIRS.join(', ')}: apt-get install containernetworking-plugins`,
    )
  }
  return dir
}

/** Bridge, macvlan and bridge, each with addresses of host-local. */
export function makeWorkload(dir: string, pluginDir: string): Workload {
  mkdirSync(join(dir, 'netns'))
  const made = new Set<number>()
  let nextPod = 0
  return {
    dir,
    pluginDir,
    manifests(count) {
      const folder = join(dir, `manifests-${count}`)
      if (!made.has(count)) {
        mkdirSync(folder)
        writeFileSync(join(folder, 'networks.yaml'), networks(dir))
        writeFileSync(
          join(folder, 'pods.yaml'),
          Array.from({ length: count }, (_, index) => pod(index)).join(''),
        )
        made.add(count)
      }
      return folder
    },
    pod(index) {
      nextPod += 1
      return {
        name: podName(index),
        containerId: randomBytes(32).toString('hex'),
        // Of one length for all: the recording's path is replaced by it.
        netns: join(dir, 'netns', String(nextPod).padStart(8, '0')),
      }
    },
  }
}

/** How a runtime calls Plexus for a pod. */
export function pluginCall(
  workload: Workload,
  verb: Verb,
  pod: BenchPod,
  call: {
    readonly executable: string
    /** Without it pods and networks are those of a cluster. */
    readonly manifests?: string
    readonly pluginDir?: string
    /** The pod's UID, if it is not its name. */
    readonly uid?: string | undefined
  },
): Program {
  const conf = {
    cniVersion: '1.0.0',
    name: 'bench',
    type: 'plexus',
    stateDir: join(workload.dir, 'state'),
    ...(call.manifests === undefined ? {} : { manifests: call.manifests }),
    delegates: [networkConf(workload.dir, 'bridge', 0)],
  }
  return {
    argv: [call.executable],
    env: {
      PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      CNI_COMMAND: verb,
      CNI_CONTAINERID: pod.containerId,
      CNI_NETNS: pod.netns,
      CNI_IFNAME: 'eth0',
      CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=${NAMESPACE};K8S_POD_NAME=${pod.name};K8S_POD_INFRA_CONTAINER_ID=${pod.containerId};K8S_POD_UID=${call.uid ?? pod.name}`,
      CNI_PATH: call.pluginDir ?? workload.pluginDir,
    },
    stdin: JSON.stringify(conf),
  }
}

/** Name of a pod in a block. */
export function podName(index: number): string {
  return `pod-${String(index).padStart(4, '0')}`
}

/** A network of its own subnet and bridge. */
export function networkConf(dir: string, type: 'bridge' | 'macvlan', index: number): object {
  const link =
    type === 'bridge' ? { bridge: `bench${index}`, isGateway: true } : { master: 'uplink0', mode: 'bridge' }
  return {
    cniVersion: '1.0.0',
    name: `bench${index}`,
    type,
    ...link,
    ipam: { type: 'host-local', dataDir: join(dir, 'ipam'), subnet: `10.${210 + index}.0.0/16` },
  }
}

/** What each pod gets beside the default network. */
export function podNetworks(dir: string): Readonly<Record<string, object>> {
  return { data: networkConf(dir, 'macvlan', 1), storage: networkConf(dir, 'bridge', 2) }
}

function networks(dir: string): string {
  const nad = (name: string, conf: object): string => `---
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: { name: ${name}, namespace: ${NAMESPACE} }
spec:
  config: '${JSON.stringify(conf)}'
`
  return Object.entries(podNetworks(dir))
    .map(([name, conf]) => nad(name, conf))
    .join('')
}

function pod(index: number): string {
  const name = podName(index)
  return `---
apiVersion: v1
kind: Pod
metadata:
  name: ${name}
  namespace: ${NAMESPACE}
  uid: ${name}
  annotations:
    k8s.v1.cni.cncf.io/networks: data, storage
`
}
