import type { Finding } from '../validation/finding.ts'
import type { Verdict } from './admission-review.ts'

/** Refuses when there is an error, with every error; warnings are shown either way. */
export function toVerdict(findings: readonly Finding[]): Verdict {
  const errors = findings.filter(({ severity }) => severity === 'error').map(findingText)
  const warnings = findings.filter(({ severity }) => severity === 'warning').map(findingText)
  return { ...(errors.length === 0 ? {} : refused(422, 'Invalid', errors)), warnings }
}

/** A refusal with one or several reasons. */
export function refused(status: number, reason: string, messages: readonly string[]): Verdict {
  const [first = ''] = messages
  const message =
    messages.length === 1
      ? first
      : `${messages.length} faults:\n${messages.map((text) => `- ${text}`).join('\n')}`
  return { refusal: { status, reason, message } }
}

/** `spec.config /ipam/gateway: host-local: gateway … [gateway-outside-subnet]`: the object is known already. */
function findingText({ path, message, hint, code }: Finding): string {
  const place = path === null ? '' : `${path}: `
  return `${place}${message}${hint === null ? '' : `; ${hint}`} [${code}]`
}
