/**
 * Lower-case colon form of a hardware address, or `undefined` when the text is none: pairs of hex digits
 * separated by `:` or `-`, or groups of four separated by `.`; one kind of separator only. NPWG C-16.
 *
 * @param bytes 6 for a MAC, 8 for an InfiniBand GUID.
 */
export function normalizeHardwareAddress(text: string, bytes: 6 | 8): string | undefined {
  const separator = text.includes('.') ? '.' : text.includes('-') ? '-' : ':'
  const groups = text.split(separator)
  const digits = separator === '.' ? 4 : 2
  if (groups.length * digits !== bytes * 2) return undefined
  if (!groups.every((group) => group.length === digits && /^[\da-f]+$/i.test(group))) return undefined
  return groups.join('').toLowerCase().match(/../g)?.join(':')
}
