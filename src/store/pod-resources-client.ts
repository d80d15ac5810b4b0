import { Client, credentials, type ServiceError, status } from '@grpc/grpc-js'
import { fromJSON, type MessageTypeDefinition, type MethodDefinition } from '@grpc/proto-loader'
import type { ContainerDevices } from '../network/pod-devices.ts'

// A bundle of its own, which the daemon loads with the first network that needs a device: the library takes
// 20 MiB. So nothing of ours is imported, it would be there twice.

/**
 * What is read of the kubelet's pod-resources API, version v1, as protobuf.js writes a `.proto` down. What is
 * not named here (NUMA nodes, CPUs, memory, claims) is skipped.
 */
const POD_RESOURCES_V1 = {
  nested: {
    v1: {
      nested: {
        PodResourcesLister: {
          methods: {
            List: { requestType: 'ListPodResourcesRequest', responseType: 'ListPodResourcesResponse' },
            Get: { requestType: 'GetPodResourcesRequest', responseType: 'GetPodResourcesResponse' },
          },
        },
        ListPodResourcesRequest: { fields: {} },
        // Whole messages PodResources, left as they came: one of hundreds is looked into.
        ListPodResourcesResponse: { fields: { podResources: { rule: 'repeated', type: 'bytes', id: 1 } } },
        PodName: { fields: { name: { type: 'string', id: 1 }, namespace: { type: 'string', id: 2 } } },
        GetPodResourcesRequest: {
          fields: { podName: { type: 'string', id: 1 }, podNamespace: { type: 'string', id: 2 } },
        },
        GetPodResourcesResponse: { fields: { podResources: { type: 'PodResources', id: 1 } } },
        PodResources: { fields: { containers: { rule: 'repeated', type: 'ContainerResources', id: 3 } } },
        ContainerResources: {
          fields: {
            name: { type: 'string', id: 1 },
            devices: { rule: 'repeated', type: 'ContainerDevices', id: 2 },
          },
        },
        ContainerDevices: {
          fields: {
            resourceName: { type: 'string', id: 1 },
            deviceIds: { rule: 'repeated', type: 'string', id: 2 },
          },
        },
      },
    },
  },
}

interface PodName {
  readonly name: string
  readonly namespace: string
}

interface PodResources {
  readonly containers: readonly { readonly devices: readonly ContainerDevices[] }[]
}

/** A thousand pods with a dozen devices each are a tenth of it. */
const LONGEST_ANSWER_BYTES = 16 * 1024 * 1024

/** Codes by which a kubelet says that it has no Get, that Get is switched off, or that it knows no such pod. */
const TRY_LIST: readonly (number | undefined)[] = [status.UNIMPLEMENTED, status.UNKNOWN, status.NOT_FOUND]

// Its types do not know that a namespace may be in a namespace.
const messages = fromJSON(POD_RESOURCES_V1 as unknown as Parameters<typeof fromJSON>[0], {
  defaults: true,
  arrays: true,
})
const service = messages['v1.PodResourcesLister'] as Record<'List' | 'Get', MethodDefinition<object, object>>
const podName = messages['v1.PodName'] as MessageTypeDefinition<object, PodName>
const podResources = messages['v1.PodResources'] as MessageTypeDefinition<object, PodResources>

/**
 * Asks the kubelet once what devices a pod's containers have: by Get, and where that does not tell, by List.
 *
 * @returns One list for each container; `undefined` when the kubelet does not know the pod.
 * @throws {Error} When there is no answer, with the reason; also when the signal ends the call.
 */
export async function queryPodDevices(
  socket: string,
  pod: PodName,
  signal: AbortSignal,
): Promise<readonly (readonly ContainerDevices[])[] | undefined> {
  // Anew for each question: a connection that is kept would wait longer and longer for a kubelet to come back.
  const client = new Client(`unix:${socket}`, credentials.createInsecure(), {
    'grpc.use_local_subchannel_pool': 1,
    'grpc.max_receive_message_length': LONGEST_ANSWER_BYTES,
    'grpc.enable_channelz': 0,
  })
  try {
    const found = (await get(client, pod, signal)) ?? (await list(client, pod, signal))
    return found?.containers.map(({ devices }) => devices)
  } finally {
    client.close()
  }
}

async function get(
  client: Client,
  { namespace, name }: PodName,
  signal: AbortSignal,
): Promise<PodResources | undefined> {
  try {
    const answer = await call(client, service.Get, { podName: name, podNamespace: namespace }, signal)
    return (answer as { readonly podResources: PodResources | null }).podResources ?? undefined
  } catch (error) {
    if (TRY_LIST.includes((error as Partial<ServiceError>).code)) return undefined
    throw error
  }
}

async function list(
  client: Client,
  { namespace, name }: PodName,
  signal: AbortSignal,
): Promise<PodResources | undefined> {
  const answer = await call(client, service.List, {}, signal)
  for (const bytes of (answer as { readonly podResources: readonly Buffer[] }).podResources) {
    const pod = podName.deserialize(bytes)
    if (pod.namespace === namespace && pod.name === name) return podResources.deserialize(bytes)
  }
  return undefined
}

function call(
  client: Client,
  { path, requestSerialize, responseDeserialize }: MethodDefinition<object, object>,
  argument: object,
  signal: AbortSignal,
): Promise<object> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted()
    const running = client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      argument,
      (error, answer) => {
        signal.removeEventListener('abort', cancel)
        if (error !== null || answer === undefined) reject(error ?? new Error('no answer'))
        else resolve(answer)
      },
    )
    const cancel = (): void => running.cancel()
    signal.addEventListener('abort', cancel, { once: true })
  })
}
