import { CniError, toCniError } from './cni-error.ts'
import { CniErrorCode } from './codes.ts'
import { isJsonObject, parseJson, toNumber } from './json.ts'

/** How a delegate ended that did not end with status 0. */
export interface DelegateFailure {
  /** Plugin type. */
  readonly type: string
  readonly status: number | undefined
  /** Name of the signal that ended it, for example `SIGKILL`. */
  readonly signal: string | undefined
  readonly stdout: string
  readonly stderr: string
}

/** Characters of a delegate's output that a message repeats. */
const QUOTE_LIMIT = 4096

/**
 * What a delegate's failure means: the code, `msg` and `details` of the error object on its stdout, else
 * a text in the words of the reference library with what it printed. Plugin and network are for the
 * caller to add. CNI-096.
 *
 * @returns Code DelegateFailed when the delegate gave none (or 0).
 */
export function parseDelegateFailure(failure: DelegateFailure): CniError {
  const { type, signal, status } = failure
  const end = signal === undefined ? `exit status ${status ?? 'unknown'}` : `signal: ${signal}`
  const [stdout, stderr] = [failure.stdout.trim(), failure.stderr.trim()]
  const silent = (): CniError =>
    stderr === ''
      ? new CniError(CniErrorCode.DelegateFailed, `netplugin failed with no error message: ${end}`, {
          hint: `plugin "${type}" said nothing: look into its own log or the kernel's`,
        })
      : new CniError(CniErrorCode.DelegateFailed, `netplugin failed: ${quote(stderr)}: ${end}`)
  if (stdout === '') return silent()
  let object: unknown
  let reason = 'not an error object'
  try {
    object = parseJson(stdout, 'stdout')
  } catch (error) {
    reason = toCniError(error).message
  }
  if (!isJsonObject(object)) {
    const said = stderr === '' ? [] : [stderr.slice(0, QUOTE_LIMIT)]
    return new CniError(
      CniErrorCode.DelegateFailed,
      `netplugin failed but error parsing its diagnostic message ${quote(stdout)}: ${reason}: ${end}`,
      { faults: said },
    )
  }
  const words = [object.msg, object.details].filter((text) => typeof text === 'string' && text !== '')
  const code = toNumber(object.code)
  const kept = code !== undefined && Number.isInteger(code) && code > 0 ? code : CniErrorCode.DelegateFailed
  if (words.length > 0) return new CniError(kept, words.join('; '))
  const said = silent()
  return new CniError(kept, said.message, said.hint === undefined ? {} : { hint: said.hint })
}

function quote(output: string): string {
  return output.length <= QUOTE_LIMIT
    ? `"${output}"`
    : `"${output.slice(0, QUOTE_LIMIT)}…" (${output.length} characters in all)`
}
