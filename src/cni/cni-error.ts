import { CniErrorCode } from './codes.ts'

/** What a {@link CniError} knows beside its message. */
export interface CniErrorOptions {
  /** What to do about it, in the imperative, without a full stop. */
  readonly hint?: string
  /** The error that led here. */
  readonly cause?: unknown
  /** Every single fault when several were found at once. */
  readonly faults?: readonly string[]
}

/** The JSON error object of the CNI specification, section "Error". */
export interface CniErrorObject {
  readonly cniVersion?: string
  readonly code: number
  readonly msg: string
  readonly details?: string
}

const FIRST_SENTENCE_LIMIT = 300

/**
 * The one error of Plexus. `message` says where (pod, network, plugin, interface, file), what failed
 * and why; `hint` says what to do; `cause` keeps the original error.
 */
export class CniError extends Error {
  override readonly name = 'CniError'
  readonly code: CniErrorCode
  readonly hint: string | undefined
  readonly faults: readonly string[]

  constructor(code: CniErrorCode, message: string, options: CniErrorOptions = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : {})
    this.code = code
    this.hint = options.hint
    this.faults = options.faults ?? []
  }

  /** The same error with `where` (for example `pod telco/upf-0`) put before its message. */
  at(where: string): CniError {
    return new CniError(this.code, `${where}: ${this.message}`, {
      ...(this.hint === undefined ? {} : { hint: this.hint }),
      ...(this.cause === undefined ? {} : { cause: this.cause }),
      faults: this.faults,
    })
  }
}

/**
 * Turns whatever a `catch` received into a {@link CniError}; a CniError is returned as it is.
 *
 * @param code Code of an error that has none of ours.
 */
export function toCniError(error: unknown, code: CniErrorCode = CniErrorCode.Internal): CniError {
  if (error instanceof CniError) return error
  if (error instanceof Error) return new CniError(code, error.message, { cause: error })
  return new CniError(code, String(error))
}

/**
 * The error as the runtime reads it: the first sentence (at most 300 characters) in `msg`; everything
 * that did not fit there, all faults and the chain of causes in `details`, without what the message ends with.
 * CNI-027.
 *
 * @param cniVersion Version of the request, when it is known.
 */
export function toErrorObject(error: CniError, cniVersion?: string): CniErrorObject {
  const details: string[] = []
  const whole = error.hint === undefined ? error.message : `${error.message}; ${error.hint}`
  let msg = whole
  if (whole.length > FIRST_SENTENCE_LIMIT) {
    details.push(whole)
    msg = `${error.message.slice(0, FIRST_SENTENCE_LIMIT - 1)}…`
    if (error.message.length <= FIRST_SENTENCE_LIMIT) msg = error.message
  }
  for (const fault of error.faults) if (fault !== error.message) details.push(fault)
  const seen = new Set([error.message])
  for (
    let cause = error.cause;
    cause !== undefined;
    cause = cause instanceof Error ? cause.cause : undefined
  ) {
    const text = cause instanceof Error ? cause.message : String(cause)
    if (!seen.has(text) && !error.message.endsWith(text)) details.push(text)
    seen.add(text)
  }
  return {
    ...(cniVersion === undefined ? {} : { cniVersion }),
    code: error.code === 0 ? CniErrorCode.Internal : error.code,
    msg,
    ...(details.length === 0 ? {} : { details: details.join('\n') }),
  }
}
