import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  type handleUnaryCall,
  loadPackageDefinition,
  Server,
  ServerCredentials,
  type ServiceClientConstructor,
  status,
} from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { isJsonObject } from '../../src/cni/json.ts'
import { tempDir } from './temp-dir.ts'

/** Ids of devices by resource. */
type Devices = Readonly<Record<string, readonly string[]>>

/** A pod as the kubelet knows it: its containers, the devices of each. */
export interface KubeletPod {
  readonly name: string
  /** Default `default`. */
  readonly namespace?: string
  /** One set of devices for each container. */
  readonly containers: readonly Devices[]
  /** Puts further fields into each container: NUMA nodes, CPUs, memory and claims. */
  readonly isRich?: boolean
}

/** What becomes of a call of Get: an answer, or the words of a kubelet that is older or has it switched off. */
type GetMode = 'answers' | 'unimplemented' | 'disabled'

/** A stand-in for the kubelet that serves the pod-resources API on a unix socket. */
export interface TestKubelet {
  readonly socket: string
  /** Whom it knows from now on. */
  setPods(...pods: readonly KubeletPod[]): void
  /** Calls so far, `List` or `Get <namespace>/<name>`. */
  calls(): readonly string[]
  start(): Promise<void>
  stop(): void
  /** From now on, until the next start, calls are taken and not answered. */
  hang(): void
  /** So many of the next calls are refused, as by a kubelet that is asked too often. */
  refuse(calls: number): void
}

const PROTO = fileURLToPath(new URL('../fixtures/kubelet/pod-resources-v1.proto', import.meta.url))

const BUSY = { code: status.RESOURCE_EXHAUSTED, details: 'rejected by rate limit' }
const started = new Set<TestKubelet>()

/** Ends those that run, which would keep the process of a test that failed alive: for `it.after`. */
export function stopKubelets(): void {
  for (const kubelet of started) kubelet.stop()
}

/** Makes a kubelet; it is not started. */
export function testKubelet(get: GetMode = 'answers'): TestKubelet {
  const socket = join(tempDir('kubelet'), 'kubelet.sock')
  const { v1 } = loadPackageDefinition(loadSync(PROTO, { keepCase: true }))
  if (!isJsonObject(v1)) throw new Error(`${PROTO} has no package v1`)
  const { service } = v1.PodResourcesLister as ServiceClientConstructor
  const calls: string[] = []
  let pods: readonly KubeletPod[] = []
  let isHanging = false
  let refusals = 0
  let server: Server | undefined

  const List: handleUnaryCall<object, object> = (_, answer) => {
    calls.push('List')
    if (refusals-- > 0) answer(BUSY)
    else if (!isHanging) answer(null, { pod_resources: pods.map(toMessage) })
  }
  const Get: handleUnaryCall<{ pod_name: string; pod_namespace: string }, object> = ({ request }, answer) => {
    const { pod_namespace: namespace, pod_name: name } = request
    calls.push(`Get ${namespace}/${name}`)
    if (refusals-- > 0) return answer(BUSY)
    if (isHanging) return
    const pod = pods.find((known) => known.name === name && (known.namespace ?? 'default') === namespace)
    const refuse = (details: string): void => answer({ code: status.UNKNOWN, details })
    if (get === 'disabled') refuse('PodResources API Get method disabled')
    else if (pod === undefined) refuse(`pod ${name} in namespace ${namespace} not found`)
    else answer(null, { pod_resources: toMessage(pod) })
  }
  const kubelet: TestKubelet = {
    socket,
    setPods: (...next) => {
      pods = next
    },
    calls: () => [...calls],
    async start() {
      started.add(kubelet)
      isHanging = false
      const next = new Server()
      next.addService(service, get === 'unimplemented' ? { List } : { List, Get })
      server = next
      await new Promise<void>((resolve, reject) => {
        next.bindAsync(`unix:${socket}`, ServerCredentials.createInsecure(), (error) =>
          error === null ? resolve() : reject(error),
        )
      })
    },
    stop() {
      server?.forceShutdown()
      server = undefined
      started.delete(kubelet)
      rmSync(socket, { force: true })
    },
    hang: () => {
      isHanging = true
    },
    refuse: (count) => {
      refusals = count
    },
  }
  return kubelet
}

function toMessage({ name, namespace = 'default', containers, isRich = false }: KubeletPod): object {
  const topology = { nodes: [{ ID: 0 }] }
  const rich = {
    cpu_ids: [2, 3],
    memory: [{ memory_type: 'hugepages-1Gi', size: 1 << 30, topology }],
    dynamic_resources: [
      {
        claim_name: 'vf',
        claim_namespace: namespace,
        claim_resources: [
          {
            cdi_devices: [{ name: 'example.com/vf=vf-0' }],
            driver_name: 'sriov.example.com',
            pool_name: 'node-1',
            device_name: 'vf-0',
          },
        ],
      },
    ],
  }
  return {
    name,
    namespace,
    containers: containers.map((devices, index) => ({
      name: `container-${index}`,
      devices: Object.entries(devices).flatMap(([resource_name, device_ids]) =>
        // A kubelet says each device by itself, once for each NUMA node that it is near to.
        isRich
          ? device_ids.flatMap((id) => [0, 1].map(() => ({ resource_name, device_ids: [id], topology })))
          : [{ resource_name, device_ids }],
      ),
      ...(isRich ? rich : {}),
    })),
  }
}
