import { CniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import type { JsonObject } from '../cni/json.ts'
import { toLocator } from '../cni/json-position.ts'
import { parseCommaForm } from './selection-comma-form.ts'
import { parseJsonForm } from './selection-json-form.ts'
import { findingText, type SelectionFindings } from './selection-report.ts'
import { type ReportedElement, validateSelection } from './selection-validation.ts'

/** A port forwarded from the host, as the `portMappings` capability wants it. NPWG-050. */
export interface PortMapping {
  hostPort: number
  containerPort: number
  /** Lower case as the runtimes write it; `tcp` when the pod named none. */
  protocol: 'tcp' | 'udp' | 'sctp'
  hostIP?: string
}

/** Rates in bits per second, bursts in bits; what the pod left out stays absent. NPWG-051, C-28. */
export interface Bandwidth {
  ingressRate?: number
  ingressBurst?: number
  egressRate?: number
  egressBurst?: number
}

/** One network that a pod asks for. An absent key was not asked for. */
export interface SelectionElement {
  name: string
  namespace: string
  interface?: string
  ips?: string[]
  /** Lower case, colons. */
  mac?: string
  /** Lower case, colons. */
  infinibandGuid?: string
  portMappings?: PortMapping[]
  bandwidth?: Bandwidth
  cniArgs?: JsonObject
  /** Gateways; `[]` keeps whatever default route the network itself makes (NPWG-092). */
  defaultRoute?: string[]
  ipamClaimReference?: string
  deviceID?: string
  /** `io.plexus-cni.optional`: a failure of this attachment does not fail the pod. */
  optional: boolean
  /** `io.plexus-cni.timeout`, in milliseconds. */
  timeoutMs?: number
  /** Reverse-domain keys of others, as written. */
  extensions: JsonObject
}

/** What {@link parseSelectionElements} needs to know beside the text. */
export interface SelectionOptions {
  /** The annotation's key, for messages. */
  annotation: string
  /** Namespace of elements that name none: the pod's, or the fallback of the annotation. */
  namespace: string
}

/** Elements in annotation order, and what was tolerated but is worth telling. */
export interface Selection {
  elements: SelectionElement[]
  warnings: string[]
}

/**
 * Reads the networks annotation, or the default-network one, in either form: JSON when the text has a `[`,
 * `{` or `"` in it, else commas (NPWG-021, 029). Blank text asks for nothing (NPWG-028). Both forms give
 * the same elements; the whole list is checked before anything is answered (NPWG-060, C-1).
 *
 * @throws {CniError} InvalidNetworkConfig with every fault (the first 100) and then the warnings, each with the
 *   element's index and name, the key and the place (`line:column` in the annotation); nothing else,
 *   whatever the text.
 */
export function parseSelectionElements(text: string, options: SelectionOptions): Selection {
  const { reported, findings } = inspectSelection(text, options)
  const locate = toLocator(text)
  const faults = findings.faults.map((fault) => findingText(fault, locate))
  const warnings = findings.warnings.map((warning) => findingText(warning, locate))
  if (faults.length > 0) {
    throw toSelectionError(options.annotation, { faults, warnings, moreFaults: findings.moreFaults })
  }
  return {
    elements: reported.map(({ element }) => element),
    warnings: warnings.map((warning) => `annotation ${options.annotation}: ${warning}`),
  }
}

/**
 * Reads the annotation as {@link parseSelectionElements} does, for whoever wants every finding with its place.
 *
 * @returns Also the elements with a fault; these are not to be used as they are.
 */
export function inspectSelection(
  text: string,
  { annotation, namespace }: SelectionOptions,
): { reported: ReportedElement[]; findings: SelectionFindings } {
  const findings: SelectionFindings = { faults: [], warnings: [], moreFaults: 0 }
  if (text.trim() === '') return { reported: [], findings }
  const parseForm = /[[{"]/.test(text) ? parseJsonForm : parseCommaForm
  const reported = parseForm(text, namespace, findings)
  validateSelection(reported, annotation)
  return { reported, findings }
}

function toSelectionError(
  annotation: string,
  { faults, warnings, moreFaults }: { faults: string[]; warnings: string[]; moreFaults: number },
): CniError {
  const total = faults.length + moreFaults
  const count = total === 1 ? '' : `${total} faults, the first: `
  const more = moreFaults === 0 ? [] : [`and ${moreFaults} more faults`]
  return new CniError(
    CniErrorCode.InvalidNetworkConfig,
    `annotation ${annotation}: ${count}${faults[0]}`,
    // A key that was only warned of is often why another is missing.
    { faults: [...faults, ...more, ...warnings], hint: 'correct the annotation' },
  )
}
