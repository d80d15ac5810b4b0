import { CniError } from '../../src/cni/cni-error.ts'

/** The CniError that a call throws; any other outcome fails the test. */
export function thrownBy(call: () => unknown): CniError {
  try {
    call()
  } catch (error) {
    if (error instanceof CniError) return error
    throw new Error(`not a CniError: ${String(error)}`)
  }
  throw new Error('nothing was thrown')
}
