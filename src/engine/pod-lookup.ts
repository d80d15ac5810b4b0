import { type PodIdentity, podIdentity } from '../cni/cni-args.ts'
import { CniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import { isJsonObject } from '../cni/json.ts'
import type { Pod } from '../network/pod.ts'
import type { PodFacts } from '../plan/requested-network.ts'
import type { EngineContext } from './engine.ts'

/** Capability by which containerd and CRI-O hand over the pod's annotations. */
const POD_ANNOTATIONS_CAPABILITY = 'io.kubernetes.cri.pod-annotations'

/** The pod of a request, or neither when the caller named none. */
export interface FoundPod {
  readonly identity: PodIdentity | undefined
  readonly facts: PodFacts | undefined
}

/**
 * Finds the pod's annotations: from the runtime when it passes them, else from the cluster (design
 * §4.2). A caller without pod identity gets the node's networks alone.
 *
 * @throws {CniError} TryAgainLater when the cluster does not know the pod, or knows another one by that
 * name: never a pod with fewer networks than it asked for.
 */
export async function findPod({ request, conf, store }: EngineContext): Promise<FoundPod> {
  const identity = podIdentity(request.args)
  if (identity === undefined) return { identity, facts: undefined }
  const { namespace, name } = identity
  const passed = passedAnnotations(conf.runtimeConfig)
  if (passed !== undefined) return { identity, facts: { namespace, annotations: passed } }
  if (store === undefined) return { identity, facts: { namespace, annotations: {} } }
  const pod = await store.pod(namespace, name, identity.uid)
  if (pod === undefined) {
    throw new CniError(CniErrorCode.TryAgainLater, `pod ${namespace}/${name} is not known to the cluster`, {
      hint: 'it is attached when the cluster knows it',
    })
  }
  const expected = pod.isStatic ? pod.configHash : pod.uid
  if (
    identity.uid !== undefined &&
    expected !== undefined &&
    identity.uid !== expected &&
    identity.uid !== pod.uid
  ) {
    throw new CniError(
      CniErrorCode.TryAgainLater,
      `expected pod UID "${identity.uid}" but the cluster has "${expected}" for ${namespace}/${name}`,
      { hint: 'the pod was created anew under its name; the runtime will ask for the new one' },
    )
  }
  return { identity: withUid(identity, pod), facts: { namespace, annotations: pod.annotations } }
}

function withUid(identity: PodIdentity, pod: Pod): PodIdentity {
  return identity.uid === undefined && pod.uid !== undefined ? { ...identity, uid: pod.uid } : identity
}

function passedAnnotations(
  runtimeConfig: EngineContext['conf']['runtimeConfig'],
): Record<string, string> | undefined {
  const passed = runtimeConfig[POD_ANNOTATIONS_CAPABILITY]
  if (!isJsonObject(passed)) return undefined
  return Object.fromEntries(
    Object.entries(passed).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  )
}
