import { CniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import { ALLOWED_NAMESPACES_ANNOTATION } from '../network/annotations.ts'
import { type Labels, matchesLabels, parseLabelSelector } from '../network/label-selector.ts'
import type { NetworkAttachmentDefinition } from '../network/nad.ts'
import type { ResolvedNetwork } from './plan-attachments.ts'

/** Kubernetes gives every namespace this label, from 1.21 on. */
const NAME_LABEL = 'kubernetes.io/metadata.name'

/**
 * Whether the plan depends on labels of the pod's namespace: some NAD of another namespace says by labels who may use
 * it.
 */
export function needsNamespaceLabels(networks: readonly ResolvedNetwork[], podNamespace: string): boolean {
  return networks.some((network) => {
    const restricted = restrictedNad(network, podNamespace)
    if (restricted === undefined) return false
    const { requirements = [] } = parseLabelSelector(restricted.selector)
    return requirements.some(({ key }) => key !== NAME_LABEL)
  })
}

/**
 * Why a pod of this namespace may not use the network, or `undefined`: the NAD's annotation
 * `plexus-cni.io/allowed-namespaces` selects namespaces by labels. The NAD's own namespace is always allowed, and
 * what the node's configuration chooses is not asked about, as with isolation.
 *
 * @param labels Of the pod's namespace; `undefined` when they are not known: then the pod has to wait.
 */
export function allowedNamespacesFault(
  network: ResolvedNetwork,
  podNamespace: string | undefined,
  labels: Labels | undefined,
): CniError | undefined {
  if (podNamespace === undefined) return undefined
  const restricted = restrictedNad(network, podNamespace)
  if (restricted === undefined) return undefined
  const { nad, selector } = restricted
  const title = `NAD ${nad.namespace}/${nad.name}`
  const { requirements, fault } = parseLabelSelector(selector)
  if (requirements === undefined) {
    return new CniError(
      CniErrorCode.NamespaceIsolation,
      `${title} may not be used from namespace ${podNamespace}: its annotation ${ALLOWED_NAMESPACES_ANNOTATION} ${fault}`,
      { hint: `correct the annotation of ${title}` },
    )
  }
  if (labels === undefined && requirements.some(({ key }) => key !== NAME_LABEL)) {
    return new CniError(
      CniErrorCode.TryAgainLater,
      `whether ${title} may be used from namespace ${podNamespace} cannot be told: the labels of the namespace are not known`,
      { hint: `create the namespace ${podNamespace} where pods and NADs are read from` },
    )
  }
  if (matchesLabels(requirements, { ...labels, [NAME_LABEL]: podNamespace })) return undefined
  return new CniError(
    CniErrorCode.NamespaceIsolation,
    `${title} may not be used from namespace ${podNamespace}: its annotation ${ALLOWED_NAMESPACES_ANNOTATION} does not select it`,
    { hint: `use another NAD, or have the annotation of ${title} select namespace ${podNamespace}` },
  )
}

function restrictedNad(
  { nad, requested }: ResolvedNetwork,
  podNamespace: string,
): { readonly nad: NetworkAttachmentDefinition; readonly selector: string } | undefined {
  const selector = nad?.annotations[ALLOWED_NAMESPACES_ANNOTATION]
  if (nad === undefined || selector === undefined) return undefined
  return requested.isPodChoice && nad.namespace !== podNamespace ? { nad, selector } : undefined
}
