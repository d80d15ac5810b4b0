import { toShown } from '../cni/faults.ts'

/** The way from a selection element to a value in it: `['ips', 1]`; empty for the element itself. */
export type SelectionPath = readonly (string | number)[]

/** Findings of each sort that are told of one annotation: its 256 KiB have room for more than anybody reads. */
const FINDINGS_LIMIT = 100

/** Faults and warnings about a whole annotation, in the order in which they were found. */
export interface SelectionFindings {
  faults: string[]
  warnings: string[]
  /** Faults that were found after the first hundred. */
  moreFaults: number
}

/** Takes what is wrong or odd about one selection element. */
export interface ElementReport {
  fault(path: SelectionPath, message: string): void
  warn(path: SelectionPath, message: string): void
}

/** An element's place in its annotation, for messages. */
export interface ElementPlace {
  index: number
  /** How the pod wrote the element, as far as it is known: `net-a` or `other/net-b`. */
  label: string | undefined
  /** `line:column` of a value of the element. */
  positionOf(path: SelectionPath): string
}

/**
 * A report that prefixes each message with where it belongs:
 * `element 1 ("net-b"), key "ips[0]" at 1:34: "10.0.0.300" is no IP address`.
 */
export function elementReport(findings: SelectionFindings, place: ElementPlace): ElementReport {
  function locate(path: SelectionPath, message: string): string {
    const label = place.label === undefined ? '' : ` (${toShown(place.label)})`
    const [first, ...rest] = path
    const inner = rest.map((part) => (typeof part === 'number' ? `[${part}]` : `.${part}`)).join('')
    const key = first === undefined ? '' : `, key ${toShown(`${first}${inner}`)}`
    return `element ${place.index}${label}${key} at ${place.positionOf(path)}: ${message}`
  }
  return {
    fault: (path, message) => {
      if (findings.faults.length < FINDINGS_LIMIT) findings.faults.push(locate(path, message))
      else findings.moreFaults += 1
    },
    warn: (path, message) => {
      if (findings.warnings.length < FINDINGS_LIMIT) findings.warnings.push(locate(path, message))
    },
  }
}
