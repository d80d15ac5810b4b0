/**
 * Why a text cannot be an interface name, or `undefined` when it can: 1 to 15 bytes, not `.` or `..`,
 * no `/`, `:`, white space or control character. CNI-006, NPWG C-12.
 */
export function ifNameFault(name: string): string | undefined {
  const bytes = new TextEncoder().encode(name).length
  if (bytes === 0) return 'is empty'
  if (bytes > 15) return `has ${bytes} bytes, at most 15 are allowed`
  if (name === '.' || name === '..') return 'is a directory name'
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
  if (/[/:\s\u0000-\u001f\u007f\u0085]/u.test(name))
    return 'contains "/", ":", white space or a control character'
  return undefined
}
