import { CniError, toCniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import { ApiError } from './kubernetes-client.ts'

/** Whether the next try may be answered; what the server refuses it goes on refusing. */
export function isPassing(error: unknown): boolean {
  if (!(error instanceof ApiError)) return false
  const { status } = error
  return status === undefined || status === 429 || status >= 500
}

/**
 * The error of a lookup that the API server did not answer: it can be tried again.
 *
 * @param right What Plexus's user needs, for the hint: `get on pods`.
 */
export function toLookupError(error: unknown, what: string, right: string, server: string): CniError {
  if (!(error instanceof ApiError)) return toCniError(error).at(what)
  const where = server === '' ? 'the API server' : `the API server ${server}`
  return new CniError(CniErrorCode.TryAgainLater, `${what}: ${where} cannot be asked: ${error.message}`, {
    cause: error,
    hint: hintFor(error, right),
  })
}

function hintFor({ status, cause }: ApiError, right: string): string {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
  if (code === 'CERT_HAS_EXPIRED') return "renew the API server's certificate, or set this node's clock"
  if (/CERT|SIGNATURE|ISSUER/.test(code))
    return "give Plexus the certificate authority and the server name of this API server's certificate"
  switch (status) {
    case 401:
      return "renew Plexus's token or client certificate"
    case 403:
      return `grant Plexus's user the right ${right}`
    case 404:
      if (!right.includes('network-attachment-definitions'))
        return 'give Plexus the address of an API server: what answers there is none'
      return 'install the CustomResourceDefinition of NetworkAttachmentDefinitions'
    case undefined:
      return 'make the API server reachable from this node; the runtime will ask again'
    default:
      return 'the runtime will ask again'
  }
}
