import { readFileSync, statSync } from 'node:fs'
import { toCniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import { toLocator } from '../cni/json-position.ts'
import { findManifestFiles } from '../store/manifest-files.ts'
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
  const names = [...new Set([...files.map(({ name }) => name), ...faults.map(({ file }) => file ?? '')])]
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
  const refuse = (file: string, error: unknown): void => {
    const code: FindingCode = 'file-unreadable'
    const { message } = toCniError(error, CniErrorCode.Io)
    const place = { document: null, line: null, column: null, object: null, path: null }
    faults.push({ severity: 'error', code, message, hint: null, file, ...place })
  }
  const read = (name: string, source: string | number): void => {
    try {
      const bytes = readFileSync(source)
      const text = bytes.toString('utf8')
      const fault = encodingFault(name, bytes, text)
      if (fault !== undefined) faults.push(fault)
      // What is of another encoding throughout would give faults without sense.
      if (fault === undefined || !text.includes('\0')) files.push({ name, text })
    } catch (error) {
      refuse(name, error)
    }
  }
  for (const path of new Set(paths)) {
    try {
      if (path === STDIN) read('<stdin>', 0)
      else if (statSync(path).isDirectory()) {
        for (const file of await findManifestFiles(path, EXTENSIONS)) read(file, file)
      } else read(path, path)
    } catch (error) {
      refuse(path, error)
    }
  }
  return { files, faults }
}

const REPLACEMENT = '\ufffd'

/** The first byte that is not UTF-8: neither the API server nor a runtime takes such a file. */
function encodingFault(file: string, bytes: Buffer, text: string): Finding | undefined {
  let [offset, counted] = [0, 0]
  for (let at = text.indexOf(REPLACEMENT); at >= 0; at = text.indexOf(REPLACEMENT, at + 1)) {
    offset += Buffer.byteLength(text.slice(counted, at))
    counted = at
    // It may stand in the file itself.
    if (bytes.subarray(offset, offset + 3).toString('latin1') === '\u00ef\u00bf\u00bd') continue
    const [line = 1, column = 1] = toLocator(text)(at).split(':').map(Number)
    return {
      severity: 'error',
      code: 'file-unreadable',
      message: `not UTF-8: byte 0x${bytes[offset]?.toString(16)}`,
      hint: 'save the file as UTF-8',
      file,
      ...{ document: null, line, column, object: null, path: null },
    }
  }
  return undefined
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
