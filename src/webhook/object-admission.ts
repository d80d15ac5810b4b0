import type { AdmissionRequest, Verdict } from './admission-review.ts'
import type { KnownCluster } from './known-cluster.ts'
import { reviewNad } from './nad-admission.ts'
import { reviewPods } from './pod-admission.ts'
import { refused } from './verdict.ts'

/**
 * Judges an object by its kind.
 *
 * @throws {CniError} When the cluster cannot tell.
 */
export async function reviewObject(request: AdmissionRequest, cluster: KnownCluster): Promise<Verdict> {
  try {
    return request.kind === 'NetworkAttachmentDefinition'
      ? await reviewNad(request, cluster)
      : await reviewPods(request, cluster)
  } catch (error) {
    // An object of a custom resource may be nested so deep that the stack ends.
    if (!(error instanceof RangeError)) throw error
    return refused(422, 'Invalid', ['the object is nested too deep to be looked at'])
  }
}
