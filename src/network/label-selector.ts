import { toShown } from '../cni/faults.ts'

/** Labels of a Kubernetes object. */
export type Labels = Readonly<Record<string, string>>

/** One condition on a label; a selector matches when all of them hold. */
export interface LabelRequirement {
  readonly key: string
  readonly operator: 'in' | 'not-in' | 'exists' | 'absent'
  /** Empty for the operators without values. */
  readonly values: readonly string[]
}

/** A selector of labels, or why the text is none. */
export type ParsedSelector =
  | { readonly requirements: readonly LabelRequirement[]; readonly fault?: never }
  | { readonly fault: string; readonly requirements?: never }

const REQUIREMENT =
  /\s*(?:!\s*(?<absent>[\w./-]+)|(?<key>[\w./-]+)(?:\s*(?<equality>==?|!=)\s*(?<value>[\w.-]*)|\s+(?<set>in|notin)\s*\((?<values>[^()]*)\))?)\s*(?<end>,|$)/y

const PREFIX = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/
const WORD = /^[A-Za-z0-9]([-\w.]{0,61}[A-Za-z0-9])?$/
const LONGEST_TEXT = 4096

/**
 * Reads a selector in the syntax of `kubectl get --selector`: `team in (a, b), env=prod, !legacy`. An empty text is
 * none, though kubectl takes it for everything: whoever restricts says to what.
 */
export function parseLabelSelector(text: string): ParsedSelector {
  if (text.trim() === '') return { fault: 'is empty' }
  if (text.length > LONGEST_TEXT) return { fault: `has more than ${LONGEST_TEXT} characters` }
  const requirements: LabelRequirement[] = []
  const pattern = new RegExp(REQUIREMENT)
  let isOver = false
  while (!isOver) {
    const start = pattern.lastIndex
    const groups = pattern.exec(text)?.groups
    if (groups === undefined) {
      return {
        fault: `has no requirement like "key=value" or "key in (a, b)" at ${toShown(text.slice(start, start + 40))}`,
      }
    }
    const requirement = toRequirement(groups)
    const wrong =
      [requirement.key].find((key) => !isKey(key)) ?? requirement.values.find((value) => !isValue(value))
    if (wrong !== undefined) return { fault: `has ${toShown(wrong)}, which can be no label` }
    requirements.push(requirement)
    isOver = groups.end === ''
  }
  return { requirements }
}

function toRequirement(groups: Record<string, string | undefined>): LabelRequirement {
  const { absent, key = '', equality, value = '', set, values = '' } = groups
  if (absent !== undefined) return { key: absent, operator: 'absent', values: [] }
  if (equality !== undefined) return { key, operator: equality === '!=' ? 'not-in' : 'in', values: [value] }
  if (set === undefined) return { key, operator: 'exists', values: [] }
  const list = values.split(',').map((item) => item.trim())
  return { key, operator: set === 'in' ? 'in' : 'not-in', values: list }
}

function isKey(key: string): boolean {
  const [first = '', second, ...rest] = key.split('/')
  if (rest.length > 0) return false
  return second === undefined ? WORD.test(first) : PREFIX.test(first) && WORD.test(second)
}

function isValue(value: string): boolean {
  return value === '' || WORD.test(value)
}

/** Whether labels fulfil all requirements; as in Kubernetes `!=` and `notin` also hold without the label. */
export function matchesLabels(requirements: readonly LabelRequirement[], labels: Labels): boolean {
  return requirements.every(({ key, operator, values }) => {
    const value = Object.hasOwn(labels, key) ? labels[key] : undefined
    if (operator === 'exists') return value !== undefined
    if (operator === 'absent') return value === undefined
    const isListed = value !== undefined && values.includes(value)
    return operator === 'in' ? isListed : !isListed
  })
}
