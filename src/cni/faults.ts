import { CniError } from './cni-error.ts'
import type { CniErrorCode } from './codes.ts'

/**
 * One error for everything that is wrong with one thing: all faults in its message, and each by itself
 * in `faults` when there are several.
 *
 * @param what What is wrong, for example `spec.config of NAD telco/n6`; '' when the faults say it.
 * @param faults Not empty; each a sentence without a full stop.
 */
export function toFaultsError(
  code: CniErrorCode,
  what: string,
  faults: readonly string[],
  hint?: string,
): CniError {
  const where = what === '' ? '' : `${what}: `
  return new CniError(code, where + faults.join('; '), {
    ...(hint === undefined ? {} : { hint }),
    ...(faults.length > 1 ? { faults } : {}),
  })
}

/** A value as a message shows it: JSON of at most 80 characters. */
export function toShown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value)
  return text.length > 80 ? `${text.slice(0, 79)}…` : text
}
