import { CniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import { nearMiss } from '../cni/near-miss.ts'

/** A fault as ajv reports it. */
export interface SchemaFault {
  readonly instancePath: string
  readonly message?: string | undefined
  readonly params: unknown
}

/**
 * One error for all faults that a schema found, each with its JSON pointer.
 *
 * @param what What was validated, for messages.
 * @param known Keys that a misspelt one may stand for.
 */
export function schemaError(
  what: string,
  errors: readonly SchemaFault[],
  known: readonly string[],
): CniError {
  const faults = errors.map(({ instancePath, message = 'is wrong', params }) => {
    const { allowedValues, additionalProperty } = params as {
      allowedValues?: unknown[]
      additionalProperty?: string
    }
    const where = `${what}${instancePath === '' ? '' : ` ${instancePath}`}`
    if (additionalProperty !== undefined) {
      const nearest = nearMiss(additionalProperty, known)
      return `${where}: unknown key "${additionalProperty}"${nearest === undefined ? '' : `; did you mean "${nearest}"?`}`
    }
    const suffix =
      allowedValues === undefined ? '' : `: ${allowedValues.map((value) => JSON.stringify(value)).join(', ')}`
    return `${where} ${message}${suffix}`
  })
  const [first = `${what} is wrong`] = faults
  return new CniError(
    CniErrorCode.InvalidNetworkConfig,
    faults.length > 1 ? `${first} (and ${faults.length - 1} more)` : first,
    { faults, hint: 'docs/configuration.md lists every key with its type' },
  )
}
