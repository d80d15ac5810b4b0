import { CniError } from '../cni/cni-error.ts'
import { toShown } from '../cni/faults.ts'
import { isJsonObject, type JsonObject, parseJson } from '../cni/json.ts'
import { type JsonPositions, locateJson, pointerToken } from '../cni/json-position.ts'
import { readElement } from './selection-keys.ts'
import { elementReport, type SelectionFindings } from './selection-report.ts'
import type { ReportedElement } from './selection-validation.ts'
import { jsonType } from './selection-values.ts'

/**
 * Reads the JSON form: a list of objects; one object alone counts as a list of it, with a warning (C-15).
 *
 * @param namespace Of elements that name none.
 * @param findings Takes every fault, syntax included; elements with one are still in the answer.
 */
export function parseJsonForm(
  text: string,
  namespace: string,
  findings: SelectionFindings,
): ReportedElement[] {
  const positions = locateJson(text)
  if (positions.fault !== undefined) {
    const { offset, reason } = positions.fault
    findings.faults.push({ subject: 'not JSON', message: reason, offset })
    return []
  }
  let items: unknown
  try {
    items = parseJson(text, 'the annotation')
  } catch (error) {
    if (!(error instanceof CniError)) throw error
    findings.faults.push({ subject: '', message: error.message, offset: undefined })
    return []
  }
  const isAlone = isJsonObject(items)
  if (isAlone) {
    const message = 'an object where a list is wanted; taken as a list of one: write [{…}]'
    findings.warnings.push({ subject: '', message, offset: undefined })
  }
  const list = isAlone ? [items] : items
  if (!Array.isArray(list)) {
    const message = `must be a list of objects, not ${jsonType(items)}`
    findings.faults.push({ subject: '', message, offset: undefined })
    return []
  }
  return list.flatMap((item: unknown, index) => {
    const pointer = isAlone ? '' : pointerToken(index)
    const object = isJsonObject(item) ? item : undefined
    const report = elementReport(findings, {
      index,
      label: labelOf(object),
      offsetOf: (path) => offsetOf(positions, pointer, path),
    })
    if (object === undefined) {
      const hint = typeof item === 'string' ? `; write {"name": ${toShown(item)}}` : ''
      report.fault([], `must be an object, not ${jsonType(item)}${hint}`)
      return []
    }
    for (const key of Object.keys(object)) {
      if (positions.duplicates.has(pointer + pointerToken(key))) {
        report.warn([key], 'is there twice; the last one counts')
      }
    }
    return [{ element: readElement(object, namespace, report), report }]
  })
}

function labelOf(object: JsonObject | undefined): string | undefined {
  if (typeof object?.name !== 'string') return undefined
  return typeof object.namespace === 'string' && object.namespace !== ''
    ? `${object.namespace}/${object.name}`
    : object.name
}

/** Offset of a value, or of the nearest thing around it that is there. */
function offsetOf(positions: JsonPositions, base: string, path: readonly (string | number)[]): number {
  for (let length = path.length; length >= 0; length--) {
    const pointer = base + path.slice(0, length).map(pointerToken).join('')
    const offset = positions.keys.get(pointer) ?? positions.values.get(pointer)
    if (offset !== undefined) return offset
  }
  return 0
}
