import { createHash } from 'node:crypto'
import type { JsonObject } from '../cni/json.ts'
import { NETWORK_STATUS_ANNOTATION } from '../network/annotations.ts'
import { formatNetworkStatus } from '../network/network-status.ts'
import type { Pod } from '../network/pod.ts'
import { attachedCondition, NETWORKS_READY_CONDITION, type NetworksReady } from '../network/pod-condition.ts'
import type { Publication } from './cluster-store.ts'
import { ApiError } from './kubernetes-client.ts'

/** The API server as the status of a pod needs it. */
export interface PodApi {
  /** The pod as it was last told of, without asking. */
  known(namespace: string, name: string): Pod | undefined
  /** Asks for it. @throws {ApiError} */
  read(namespace: string, name: string): Promise<ReadPod | undefined>
  /** A strategic merge patch of its status sub-resource. @throws {ApiError} */
  patchStatus(namespace: string, name: string, body: JsonObject): Promise<void>
}

/** A pod as it is at one moment. */
interface ReadPod extends Pod {
  readonly resourceVersion: string
}

/** What is to be written of a pod. */
export interface PodStatus {
  readonly namespace: string
  readonly name: string
  /** As the runtime has it; of a static pod that is a hash. */
  readonly uid: string | undefined
  /** Value of the network-status annotation; `undefined` leaves it. */
  readonly networkStatus: string | undefined
  /** See {@link Publication.replaces}. */
  readonly replaces: string | undefined
  readonly condition: NetworksReady
  /** ISO 8601. */
  readonly time: string
}

/**
 * What became of a write. `absent`: a static pod is on the node before it is in the cluster. `kept`: somebody
 * else's network-status is there, which stays.
 */
export type WriteOutcome = 'published' | 'gone' | 'absent' | 'kept'

/** Answers that may mean that another pod has the name; servers of different age have different ones. */
const REFUSALS: readonly unknown[] = [409, 422]

/** Somebody else may write between a look and the write that follows, again and again. */
const LOOKS = 3

/** The mark of a network-status; empty for none. */
export function markOf(networkStatus: string | undefined): string {
  if (networkStatus === undefined) return ''
  return createHash('sha256').update(networkStatus).digest('hex').slice(0, 16)
}

/** What a publication writes. */
export function toPodStatus(publication: Publication): PodStatus {
  const { namespace, name, uid, networkStatus, missing = [], replaces, time } = publication
  return {
    namespace,
    name,
    uid,
    networkStatus: formatNetworkStatus(networkStatus),
    replaces,
    condition: attachedCondition(missing),
    time: time ?? new Date().toISOString(),
  }
}

/**
 * Writes a pod's network-status and condition in one request whose UID is a precondition: a pod made anew in
 * this moment is not changed. The first time nothing is read, as a rule; later it is looked first whether the
 * earlier write has arrived, and whether somebody else has written since, and what was seen is a precondition.
 *
 * @param isFirst Whether no write of it can have been sent.
 * @param isOurs Whether a network-status with this mark was sent by us.
 * @throws {ApiError} When it is not known whether it was written.
 */
export async function writePodStatus(
  api: PodApi,
  status: PodStatus,
  isFirst: boolean,
  isOurs: (mark: string) => boolean = () => false,
): Promise<WriteOutcome> {
  const { namespace, name, uid } = status
  const write = async (target: string, version?: string): Promise<'published' | 'gone' | 'refused'> => {
    try {
      await api.patchStatus(namespace, name, bodyOf(status, target, version))
      return 'published'
    } catch (error) {
      if (!(error instanceof ApiError)) throw error
      if (error.isObjectMissing) return 'gone'
      if (REFUSALS.includes(error.status)) return 'refused'
      throw error
    }
  }
  const missing = isStaticUid(uid) ? 'absent' : 'gone'
  if (isFirst) {
    const cached = api.known(namespace, name)
    const inCluster = isStaticUid(uid) ? undefined : uid
    const target = cached !== undefined && isPodWith(cached, uid) ? cached.uid : inCluster
    const outcome = target === undefined ? 'refused' : await write(target)
    if (outcome === 'published') return outcome
    if (outcome === 'gone') return missing
  }
  for (let looks = 0; looks < LOOKS; looks++) {
    const pod = await api.read(namespace, name)
    if (pod?.uid === undefined) return missing
    // Another one has its name: nobody is to be told.
    if (!isPodWith(pod, uid)) return 'gone'
    const settled = isFirst ? undefined : judge(status, pod.annotations[NETWORK_STATUS_ANNOTATION], isOurs)
    if (settled !== undefined) return settled
    const outcome = await write(pod.uid, isFirst ? undefined : pod.resourceVersion)
    if (outcome !== 'refused') return outcome
  }
  throw new ApiError('the write was refused for this pod', { status: 409 })
}

/** Whether nothing is to be written, in view of what is there. */
function judge(
  { networkStatus, replaces }: PodStatus,
  there: string | undefined,
  isOurs: (mark: string) => boolean,
): WriteOutcome | undefined {
  if (networkStatus === undefined) return undefined
  const mark = markOf(there)
  if (mark === replaces) return undefined
  if (there === networkStatus) return 'published'
  return mark === '' || replaces === undefined || isOurs(mark) ? undefined : 'kept'
}

/** A static pod's runtime knows the hash of its manifest, the API server another UID. */
export function isPodWith(pod: Pod, uid: string | undefined): boolean {
  return uid === undefined || pod.uid === uid || (pod.isStatic && pod.configHash === uid)
}

/** UIDs of the API server have dashes, hashes have none. */
function isStaticUid(uid: string | undefined): boolean {
  return uid !== undefined && !uid.includes('-')
}

/** Conditions are merged by their type, annotations by their name; all others stay as they are. */
function bodyOf(
  { networkStatus, condition, time }: PodStatus,
  uid: string,
  resourceVersion?: string,
): JsonObject {
  const { status, reason, message } = condition
  const ready = { type: NETWORKS_READY_CONDITION, status, reason, message, lastTransitionTime: seconds(time) }
  return {
    metadata: {
      uid,
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
      ...(networkStatus === undefined ? {} : { annotations: { [NETWORK_STATUS_ANNOTATION]: networkStatus } }),
    },
    status: { conditions: [ready] },
  }
}

/** Times in Kubernetes have no fractions. */
function seconds(time: string): string {
  return time.replace(/\.\d+Z$/, 'Z')
}
