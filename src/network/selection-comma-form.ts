import { toShown } from '../cni/faults.ts'
import { ifNameFault } from '../cni/if-name.ts'
import { objectNameFault, suggestObjectName } from '../cni/object-name.ts'
import type { SelectionElement } from './selection-element.ts'
import { elementReport, type SelectionFindings } from './selection-report.ts'
import type { ReportedElement } from './selection-validation.ts'

/**
 * Reads the comma form: `[namespace/]name[@ifName]`, items separated by commas, blanks around each part
 * ignored, one comma at the end too (C-14). NPWG-023 to 027.
 *
 * @param text Not blank.
 * @param namespace Of items that name none.
 * @param findings Takes every fault; items with one are still in the answer.
 */
export function parseCommaForm(
  text: string,
  namespace: string,
  findings: SelectionFindings,
): ReportedElement[] {
  const items = text.split(',')
  if (items.length > 1 && items.at(-1)?.trim() === '') items.pop()
  const elements: ReportedElement[] = []
  let offset = 0
  for (const [index, item] of items.entries()) {
    const start = offset + (item.trim() === '' ? 0 : item.length - item.trimStart().length)
    elements.push(parseItem(item.trim(), { start, index, namespace, findings }))
    offset += item.length + 1
  }
  return elements
}

interface ItemContext {
  /** Offset of the item in the text. */
  start: number
  index: number
  namespace: string
  findings: SelectionFindings
}

function parseItem(item: string, { start, index, namespace, findings }: ItemContext): ReportedElement {
  const [reference = '', ifName, ...moreIfNames] = item.split('@')
  const parts = reference.split('/')
  const offsets: Record<string, number> = {
    name: reference.length - (parts.at(-1) ?? '').trimStart().length,
    interface: reference.length + 1 + (ifName === undefined ? 0 : ifName.length - ifName.trimStart().length),
  }
  const report = elementReport(findings, {
    index,
    label: item === '' ? undefined : item,
    offsetOf: ([key]) => start + (offsets[key ?? ''] ?? 0),
  })
  const element: SelectionElement = {
    name: (parts.at(-1) ?? '').trim(),
    namespace: parts.length > 1 ? (parts[0] ?? '').trim() : namespace,
    optional: false,
    extensions: {},
  }
  if (ifName !== undefined) element.interface = ifName.trim()

  if (item === '') {
    report.fault([], 'is empty; remove the comma or name a network')
    return { element, report }
  }
  if (moreIfNames.length > 0) report.fault([], `${toShown(item)} has more than one "@"`)
  if (parts.length > 2) report.fault([], `${toShown(item)} has more than one "/"`)
  if (parts.length > 1) checkName('namespace', element.namespace)
  checkName('name', element.name)
  if (element.interface !== undefined) {
    const fault = ifNameFault(element.interface)
    if (fault !== undefined) {
      report.fault(['interface'], `interface name ${toShown(element.interface)} ${fault}`)
    }
  }
  return { element, report }

  function checkName(key: 'name' | 'namespace', name: string): void {
    const fault = objectNameFault(name)
    if (fault === undefined) return
    const suggestion = suggestObjectName(name)
    const meant = suggestion === undefined ? '' : `; did you mean ${toShown(suggestion)}?`
    const isYaml = /^(?:-\s+)?name:\s/.test(item)
    report.fault([key], `${toShown(name)} ${fault}${isYaml ? '; write JSON: [{"name": "…"}]' : meant}`)
  }
}
