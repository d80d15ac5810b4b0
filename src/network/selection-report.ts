import { toShown } from '../cni/faults.ts'

/** The way from a selection element to a value in it: `['ips', 1]`; empty for the element itself. */
export type SelectionPath = readonly (string | number)[]

/** Findings of each sort that are told of one annotation: its 256 KiB have room for more than anybody reads. */
const FINDINGS_LIMIT = 100

/** One fault or warning. */
export interface SelectionFinding {
  /** What it is about: `element 1 ("net-b"), key "ips[0]"`; '' for the whole annotation. */
  subject: string
  message: string
  /** Where in the annotation's text, in UTF-16 units; `undefined` for the whole. */
  offset: number | undefined
}

/** Faults and warnings about a whole annotation, in the order in which they were found. */
export interface SelectionFindings {
  faults: SelectionFinding[]
  warnings: SelectionFinding[]
  /** Faults that were found after the first hundred. */
  moreFaults: number
}

/** Takes what is wrong or odd about one selection element. */
export interface ElementReport {
  /** Offset of a value of the element in the annotation, or of what is around it. */
  offsetOf(path: SelectionPath): number
  fault(path: SelectionPath, message: string): void
  warn(path: SelectionPath, message: string): void
}

/** An element's place in its annotation, for messages. */
export interface ElementPlace {
  index: number
  /** How the pod wrote the element, as far as it is known: `net-a` or `other/net-b`. */
  label: string | undefined
  /** Offset of a value of the element in the annotation. */
  offsetOf(path: SelectionPath): number
}

/** A report that says of each message where it belongs. */
export function elementReport(findings: SelectionFindings, place: ElementPlace): ElementReport {
  function toFinding(path: SelectionPath, message: string): SelectionFinding {
    const label = place.label === undefined ? '' : ` (${toShown(place.label)})`
    const [first, ...rest] = path
    const inner = rest.map((part) => (typeof part === 'number' ? `[${part}]` : `.${part}`)).join('')
    const key = first === undefined ? '' : `, key ${toShown(`${first}${inner}`)}`
    return { subject: `element ${place.index}${label}${key}`, message, offset: place.offsetOf(path) }
  }
  return {
    offsetOf: (path) => place.offsetOf(path),
    fault: (path, message) => {
      if (findings.faults.length < FINDINGS_LIMIT) findings.faults.push(toFinding(path, message))
      else findings.moreFaults += 1
    },
    warn: (path, message) => {
      if (findings.warnings.length < FINDINGS_LIMIT) findings.warnings.push(toFinding(path, message))
    },
  }
}

/** A finding in words: `element 1 ("net-b"), key "ips[0]" at 1:34: "10.0.0.300" is no IP address`. */
export function findingText(
  { subject, message, offset }: SelectionFinding,
  locate: (offset: number) => string,
): string {
  const where = offset === undefined ? subject : `${subject} at ${locate(offset)}`
  return where === '' ? message : `${where}: ${message}`
}
