import type { CniError } from '../cni/cni-error.ts'
import { printable } from './printable.ts'

/** Exit codes of every command. */
export const ExitCode = {
  good: 0,
  /** Something was found wrong, or the command failed. */
  finding: 1,
  /** The command line itself is wrong. */
  usage: 2,
} as const

/** A command line that cannot be understood; the message says what to write instead. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/**
 * An error as a person reads it on stderr: what is wrong, each single fault when there are several, and
 * what to do. Ends in a newline.
 *
 * @param command What was called, for example `plexus show`.
 */
export function formatFailure(command: string, error: Pick<CniError, 'message' | 'hint' | 'faults'>): string {
  return printable(`${command}: ${formatFault(error)}`)
}

/** The same without the command. A message that only strings the faults together is cut before the first. */
export function formatFault({
  message,
  hint,
  faults,
}: Pick<CniError, 'message' | 'hint' | 'faults'>): string {
  const [first = ''] = faults
  const isStrung = faults.length > 1 && faults.every((fault) => message.includes(fault))
  const start = message.slice(0, message.indexOf(first)).replace(/[\s:;]+$/, '')
  const head = isStrung ? `${start === '' ? '' : `${start}: `}${faults.length} faults` : message
  const listed = isStrung ? faults : faults.filter((fault) => !message.includes(fault))
  const lines = listed.map((fault) => `  - ${fault}\n`).join('')
  return `${head}\n${lines}${hint === undefined ? '' : `  What to do: ${hint}.\n`}`
}
