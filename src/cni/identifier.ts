/** Bytes that a container ID may have: it becomes a file name in the journal. */
export const CONTAINER_ID_LIMIT_BYTES = 200

/**
 * Why a text can be neither a container ID nor a network name, or `undefined` when it can: it begins
 * with an ASCII letter or digit, followed by letters, digits, `_`, `.` and `-`. CNI-005, CNI-008.
 */
export function identifierFault(text: string): string | undefined {
  if (text === '') return 'is empty'
  return /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(text)
    ? undefined
    : 'must begin with a letter or digit and may go on with letters, digits, "_", "." and "-" only'
}
