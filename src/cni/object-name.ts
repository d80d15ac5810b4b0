const LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/
const SUBDOMAIN_LIMIT = 253
const LABEL_LIMIT = 63

/**
 * Why a text cannot be the name of a NAD, a pod or an IPAMClaim, or `undefined` when it can: a DNS-1123
 * subdomain, that is labels of `a-z`, `0-9` and `-` joined by dots, at most 253 characters. Such a name is
 * safe as part of a path. NPWG-011, C-13.
 */
export function objectNameFault(name: string): string | undefined {
  if (name === '') return 'is empty'
  if (name.length > SUBDOMAIN_LIMIT)
    return `has ${name.length} characters, at most ${SUBDOMAIN_LIMIT} are allowed`
  if (name.split('.').every((label) => LABEL.test(label))) return undefined
  return 'is no DNS-1123 subdomain (lower-case letters, digits, "-" and "."; first and last a letter or digit)'
}

/** Why a text cannot be the name of a Kubernetes namespace: a DNS-1123 label of at most 63 characters. */
export function namespaceFault(name: string): string | undefined {
  if (name === '') return 'is empty'
  if (name.length > LABEL_LIMIT) return `has ${name.length} characters, at most ${LABEL_LIMIT} are allowed`
  if (LABEL.test(name)) return undefined
  return 'is no DNS-1123 label (lower-case letters, digits and "-"; first and last a letter or digit)'
}

/** The nearest legal name (`Net_A` gives `net-a`), or `undefined` when that would be a guess. */
export function suggestObjectName(name: string): string | undefined {
  const suggestion = name.toLowerCase().replaceAll(/[_\s]+/g, '-')
  return suggestion !== name && objectNameFault(suggestion) === undefined ? suggestion : undefined
}
