import { type PodIdentity, podIdentity } from '../cni/cni-args.ts'
import type { FailedAttempt } from '../store/cluster-store.ts'
import type { RequestReport } from './session.ts'

/** What the cluster is told of a request that failed; `undefined` when it is about no pod. */
export function failedAttempt({ request, error }: RequestReport): FailedAttempt | undefined {
  if (request === undefined || error === undefined) return undefined
  const { command, containerId, netns } = request
  if (command !== 'ADD' && command !== 'DEL') return undefined
  const pod = identityOf(request.args)
  if (pod === undefined) return undefined
  const { namespace, name, uid } = pod
  return {
    ...{ namespace, name, command, error },
    ...(uid === undefined ? {} : { uid }),
    passing: [containerId, netns],
  }
}

function identityOf(args: Parameters<typeof podIdentity>[0]): PodIdentity | undefined {
  try {
    return podIdentity(args)
  } catch {
    // That is what the request failed for: there is no such pod.
    return undefined
  }
}
