import { readFileSync, statSync } from 'node:fs'
import { toCniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import { readManifestFiles } from '../store/manifest-files.ts'
import { type Finding, type FindingCode, sortFindings } from '../validation/finding.ts'
import type { SourceFile } from '../validation/source-text.ts'
import { type Validation, validateFiles } from '../validation/validate.ts'
import { ExitCode, UsageError } from './failure.ts'
import { formatDocument, type OutputFormat, type Styler } from './output.ts'

/** What `plexus validate` is told. */
export interface ValidateOptions {
  /** Files, folders, `/dev/stdin`. */
  readonly paths: readonly string[]
  readonly format: OutputFormat
  readonly style: Styler
  readonly write: (text: string) => void
}

/** What `plexus validate -o json` prints. */
interface ValidationDocument extends Validation {
  readonly isGood: boolean
  readonly errors: number
  readonly warnings: number
  readonly files: readonly string[]
}

const STDIN = '/dev/stdin'

/** Endings of files that are read out of a folder. */
const EXTENSIONS = ['.yaml', '.yml', '.json', '.conf', '.conflist']

/**
 * `plexus validate FILE…`: everything that is wrong or odd in manifests and CNI configurations, each with its
 * place.
 *
 * @returns 1 when there is an error; warnings alone are good.
 * @throws {UsageError} When stdin is named twice.
 */
export async function validate({ paths, format, style, write }: ValidateOptions): Promise<number> {
  if (paths.filter((path) => path === STDIN).length > 1)
    throw new UsageError('stdin (-) is named more than once')
  const { files, faults } = await readFiles(paths)
  const validation = validateFiles(files)
  const names = [...files.map(({ name }) => name), ...faults.map(({ file }) => file ?? '')]
  const findings = sortFindings([...validation.findings, ...faults], names)
  const errors = findings.filter(({ severity }) => severity === 'error').length
  const document: ValidationDocument = {
    isGood: errors === 0,
    errors,
    warnings: findings.length - errors,
    files: names,
    checked: validation.checked,
    findings,
  }
  write(formatDocument(document, format, (result) => validationText(result, style)))
  return errors === 0 ? ExitCode.good : ExitCode.finding
}

async function readFiles(paths: readonly string[]): Promise<{ files: SourceFile[]; faults: Finding[] }> {
  const files: SourceFile[] = []
  const faults: Finding[] = []
  for (const path of new Set(paths)) {
    try {
      if (path === STDIN) files.push({ name: '<stdin>', text: readFileSync(0, 'utf8') })
      else if (statSync(path).isDirectory()) {
        for (const file of await readManifestFiles(path, EXTENSIONS))
          files.push({ name: file.path, text: file.text })
      } else files.push({ name: path, text: readFileSync(path, 'utf8') })
    } catch (error) {
      const code: FindingCode = 'file-unreadable'
      const { message } = toCniError(error, CniErrorCode.Io)
      const place = { document: null, line: null, column: null, object: null, path: null }
      faults.push({ severity: 'error', code, message, hint: null, file: path, ...place })
    }
  }
  return { files, faults }
}

function validationText(document: ValidationDocument, style: Styler): string {
  const lines = document.findings.flatMap((finding) => {
    const { severity, code, message, hint, object } = finding
    const subject = object === null ? '' : `${object}: `
    const sort = style(severity === 'error' ? 'red' : 'yellow', severity)
    return [
      `${style('bold', placeText(finding))}: ${sort}: ${subject}${message} ${style('dim', `[${code}]`)}`,
      ...(hint === null ? [] : [`    What to do: ${hint}.`]),
    ]
  })
  const { errors, warnings, files, checked } = document
  const looked = [
    count(checked.networks, 'network'),
    count(checked.pods, 'pod or workload', 'pods and workloads'),
    count(checked.netConfs, 'CNI configuration'),
  ].filter((text) => !text.startsWith('0 '))
  const what = looked.length === 0 ? 'nothing to check' : looked.join(', ')
  const result = errors + warnings === 0 ? 'good' : `${count(errors, 'error')}, ${count(warnings, 'warning')}`
  return [...lines, `${count(files.length, 'file')} (${what}): ${result}`, ''].join('\n')
}

function placeText({ file, line, column }: Finding): string {
  return [file, line, column].filter((part) => part !== null).join(':')
}

function count(number: number, one: string, many = `${one}s`): string {
  return `${number} ${number === 1 ? one : many}`
}
