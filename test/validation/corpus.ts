import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Finding } from '../../src/validation/finding.ts'

const ENDING = '.expected'

/** A manifest or configuration of the corpus. */
export interface CorpusFile {
  readonly name: string
  readonly text: string
  /** What `validate` is to find, as {@link findingLines} writes it. */
  readonly expected: string
}

/** The files that users write well, or those with faults, sorted by name. */
export function readCorpus(part: 'good' | 'bad'): CorpusFile[] {
  const folder = join(import.meta.dirname, 'corpus', part)
  return readdirSync(folder)
    .filter((name) => !name.endsWith(ENDING))
    .sort()
    .map((name) => {
      const path = join(folder, name)
      const expected = existsSync(path + ENDING) ? readFileSync(path + ENDING, 'utf8') : ''
      return { name, text: readFileSync(path, 'utf8'), expected }
    })
}

/** Findings as text: place, severity, code, object, message; the hint in a line of its own. */
export function findingLines(findings: readonly Finding[]): string {
  return findings
    .map(({ line, column, severity, code, object, message, hint }) => {
      const subject = object === null ? '' : ` ${object}:`
      return `${line}:${column} ${severity} ${code}${subject} ${message}\n${hint === null ? '' : `    ${hint}\n`}`
    })
    .join('')
}
