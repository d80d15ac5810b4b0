import { type PodIdentity, podIdentity } from '../cni/cni-args.ts'
import { CniErrorCode } from '../cni/codes.ts'
import type { CniRequest } from '../cni/request.ts'
import { readBootId } from '../journal/boot-id.ts'
import { openJournalDir } from '../journal/journal.ts'
import type { FailedAttempt } from '../store/cluster-store.ts'
import type { RequestReport } from './session.ts'

/** What the cluster is told of a request that failed; `undefined` when it is about no pod. */
export function failedAttempt(report: RequestReport, stateDir: string): FailedAttempt | undefined {
  const { request, error } = report
  if (request === undefined || error === undefined) return undefined
  const { command, containerId, netns } = request
  if (command !== 'ADD' && command !== 'DEL') return undefined
  const pod = identityOf(request.args)
  if (pod === undefined) return undefined
  const { namespace, name, uid } = pod
  return {
    ...{ namespace, name, command, error },
    ...(uid === undefined ? {} : { uid }),
    isAttached: command === 'ADD' && isAttached(report, request, stateDir),
    passing: [containerId, netns],
  }
}

/** A request that has called no plugin has changed nothing: what is recorded was so before it. */
function isAttached({ calls, error }: RequestReport, request: CniRequest, stateDir: string): boolean {
  if (error?.code === CniErrorCode.AttachmentExists) return true
  if (calls.length > 0) return false
  try {
    const lookup = openJournalDir(stateDir).lookup(request)
    if (lookup.state !== 'intact') return false
    const { complete, failedDels, bootId } = lookup.record
    return complete !== undefined && failedDels === 0 && bootId === readBootId()
  } catch {
    // A journal that cannot be read vouches for nothing.
    return false
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
