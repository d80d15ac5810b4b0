import { CniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import type { JsonObject } from '../cni/json.ts'
import type { NetConf } from '../config/net-conf.ts'
import { DEFAULT_NETWORK_ANNOTATION, NETWORKS_ANNOTATION } from '../network/annotations.ts'
import { parseSelectionElements, type SelectionElement } from '../network/selection-element.ts'
import { claimedFamilies } from '../network/selection-validation.ts'

/** Where the configuration of a network is to be found. */
export type NetworkReference =
  | { readonly kind: 'nad'; readonly namespace: string; readonly name: string }
  /** A NAD in Multus's namespace, else a conf file by its `name`. */
  | { readonly kind: 'named'; readonly namespace: string; readonly name: string }
  /** A conf file, or a folder whose first file it is. */
  | { readonly kind: 'path'; readonly path: string }
  | { readonly kind: 'inline'; readonly conf: JsonObject; readonly what: string }
  | { readonly kind: 'first-file'; readonly directory: string }
  /** Multus's auxiliary chain: `<directory>/<name>/*.conf`. */
  | { readonly kind: 'auxiliary'; readonly directory: string; readonly name: string }

/** One network that the pod is to have, before its configuration is known. */
export interface RequestedNetwork {
  readonly reference: NetworkReference
  readonly isDefault: boolean
  /** What the pod's annotation asks of it. */
  readonly element: SelectionElement | undefined
  /** Why the pod gets it, for `explain`. */
  readonly reason: string
  /** Whether the pod chose it itself, so that namespace isolation applies. */
  readonly isPodChoice: boolean
}

/** Whether the pod does without a network rather than to fail for it; there is no pod without the default one. */
export function isOptional(requested: RequestedNetwork | undefined): boolean {
  return requested?.element?.optional === true && !requested.isDefault
}

/** What is known of the pod when networks are chosen; no annotations when the caller named no pod. */
export interface PodFacts {
  readonly namespace: string
  readonly annotations: Readonly<Record<string, string>>
}

/** All networks of a pod in the order of attachment, the default network first. */
export interface NetworkChoice {
  readonly networks: readonly RequestedNetwork[]
  readonly warnings: readonly string[]
}

/**
 * Decides which networks a pod gets. The default network comes from the first of: the pod's
 * default-network annotation, `defaultNetwork` (or `clusterNetwork`), `delegates[0]`, the first valid
 * file of the conf directory. NPWG-022, NPWG-031, NPWG-102; `docs/configuration.md` has the table.
 *
 * @param pod `undefined` when the caller named none: then only the node's networks.
 * @throws {CniError} InvalidNetworkConfig with every fault of both annotations.
 */
export function chooseNetworks(conf: NetConf, pod: PodFacts | undefined): NetworkChoice {
  const warnings: string[] = []
  const faults: CniError[] = []
  const parse = (annotation: string, fallbackNamespace: string): SelectionElement[] => {
    const text = pod?.annotations[annotation]
    if (text === undefined || text.trim() === '') return []
    try {
      const selection = parseSelectionElements(text, { annotation, namespace: fallbackNamespace })
      warnings.push(...selection.warnings)
      return selection.elements
    } catch (error) {
      if (!(error instanceof CniError)) throw error
      faults.push(error)
      return []
    }
  }
  const defaultElements = parse(DEFAULT_NETWORK_ANNOTATION, conf.multusNamespace)
  const elements = parse(NETWORKS_ANNOTATION, pod?.namespace ?? '')
  if (defaultElements.length > 1) {
    faults.push(
      new CniError(
        CniErrorCode.InvalidNetworkConfig,
        `annotation ${DEFAULT_NETWORK_ANNOTATION} names ${defaultElements.length} networks, exactly one is allowed`,
      ),
    )
  }
  const [defaultElement] = defaultElements
  if (defaultElement?.interface !== undefined) {
    warnings.push(
      `annotation ${DEFAULT_NETWORK_ANNOTATION}: "interface" has no effect, the runtime names the default interface`,
    )
  }
  faults.push(...routeFaults(defaultElement, elements))
  if (faults.length > 0) throw allFaults(faults)

  const networks: RequestedNetwork[] = [chooseDefault(conf, defaultElement)]
  if (conf.defaultNetwork === undefined) {
    for (const [index, delegate] of conf.delegates.entries()) {
      if (index === 0) continue
      const what = `delegates[${index}] of the net-conf`
      networks.push(secondary({ kind: 'inline', conf: delegate, what }, `${what} goes to every pod`))
    }
  }
  const isSystem = pod !== undefined && conf.systemNamespaces.includes(pod.namespace)
  if (!isSystem) {
    for (const name of conf.defaultNetworks) {
      networks.push(
        secondary(toReference(name, conf.multusNamespace), `defaultNetworks of the net-conf names "${name}"`),
      )
    }
  }
  for (const [index, element] of elements.entries()) {
    networks.push({
      reference: { kind: 'nad', namespace: element.namespace, name: element.name },
      isDefault: false,
      element,
      reason: `item ${index + 1} of the pod's annotation ${NETWORKS_ANNOTATION}`,
      isPodChoice: true,
    })
  }
  if (conf.auxiliaryChain !== undefined) {
    networks.push(
      secondary(auxiliaryReference(conf, conf.auxiliaryChain), 'auxiliaryCNIChainName of the net-conf'),
    )
  }
  return { networks, warnings }
}

/** A default route that both annotations give away; within one its own parser finds it (NPWG-093, C-17). */
export function routeFaults(
  defaultElement: SelectionElement | undefined,
  elements: readonly SelectionElement[],
): CniError[] {
  if (defaultElement === undefined) return []
  const claimed = claimedFamilies(defaultElement)
  return elements.flatMap((element) =>
    [...claimedFamilies(element)]
      .filter((family) => claimed.has(family))
      .map(
        (family) =>
          new CniError(
            CniErrorCode.InvalidNetworkConfig,
            `the IPv${family} default route is asked for by "${element.name}" in ${NETWORKS_ANNOTATION} and by "${defaultElement.name}" in ${DEFAULT_NETWORK_ANNOTATION}`,
            { hint: 'leave "default-route" out of one of them' },
          ),
      ),
  )
}

function chooseDefault(conf: NetConf, element: SelectionElement | undefined): RequestedNetwork {
  const choose = (reference: NetworkReference, reason: string): RequestedNetwork => ({
    reference,
    isDefault: true,
    element,
    reason,
    isPodChoice: element !== undefined,
  })
  if (element !== undefined) {
    const { namespace, name } = element
    return choose({ kind: 'nad', namespace, name }, `the pod's annotation ${DEFAULT_NETWORK_ANNOTATION}`)
  }
  if (conf.defaultNetwork !== undefined) {
    const reference = toReference(conf.defaultNetwork, conf.multusNamespace)
    return choose(reference, `defaultNetwork of the net-conf names "${conf.defaultNetwork}"`)
  }
  const [delegate] = conf.delegates
  if (delegate !== undefined) {
    const what = 'delegates[0] of the net-conf'
    return choose({ kind: 'inline', conf: delegate, what }, `${what} is the default network`)
  }
  return choose(
    { kind: 'first-file', directory: conf.autoConfDir },
    `the net-conf names no default network: the first valid file of ${conf.autoConfDir}`,
  )
}

function secondary(reference: NetworkReference, reason: string): RequestedNetwork {
  return { reference, isDefault: false, element: undefined, reason, isPodChoice: false }
}

/** A value with a leading `/` is a path, `namespace/name` a NAD, a plain name a NAD or a conf's name. */
function toReference(value: string, namespace: string): NetworkReference {
  if (value.startsWith('/')) return { kind: 'path', path: value }
  const [first = '', second, ...rest] = value.split('/')
  if (second === undefined) return { kind: 'named', namespace, name: first }
  if (rest.length === 0 && !second.includes('.conf')) return { kind: 'nad', namespace: first, name: second }
  return { kind: 'path', path: value }
}

function auxiliaryReference(conf: NetConf, name: string): NetworkReference {
  const path = conf.defaultNetwork ?? ''
  const slash = path.lastIndexOf('/')
  if (slash < 0) {
    throw new CniError(
      CniErrorCode.InvalidNetworkConfig,
      `auxiliaryCNIChainName "${name}" needs a defaultNetwork that is a path: its folder holds the chain`,
    )
  }
  return { kind: 'auxiliary', directory: path.slice(0, slash), name }
}

/** One error for several: the first one's code and message, all of them as faults. */
export function allFaults(errors: readonly CniError[]): CniError {
  const [first] = errors
  if (first === undefined) return new CniError(CniErrorCode.Internal, 'no fault to report')
  if (errors.length === 1) return first
  const lines = errors.flatMap((error) => (error.faults.length > 0 ? error.faults : [faultLine(error)]))
  return new CniError(first.code, `${first.message} (and ${errors.length - 1} more)`, {
    ...(first.hint === undefined ? {} : { hint: first.hint }),
    cause: first.cause,
    faults: lines,
  })
}

function faultLine(error: CniError): string {
  return error.hint === undefined ? error.message : `${error.message}; ${error.hint}`
}
