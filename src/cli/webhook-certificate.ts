import { readFileSync } from 'node:fs'
import { parseAllDocuments, stringify } from 'yaml'
import { ipFamily } from '../cni/address.ts'
import { CniError, toCniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import { isJsonObject, type JsonObject } from '../cni/json.ts'
import { namespaceFault, objectNameFault } from '../cni/object-name.ts'
import { makeCertificate } from '../webhook/self-made-certificate.ts'
import { UsageError } from './failure.ts'

/** What `plexus webhook cert` is told. */
export interface CertificateOptions {
  readonly namespace: string
  readonly service: string
  /** Further names and addresses by which the webhook is called. */
  readonly hosts: readonly string[]
  readonly days: number
  /** Manifests whose webhooks get the authority. */
  readonly into: readonly string[]
  readonly write: (text: string) => void
}

const MOST_DAYS = 36_500
const CONFIGURATIONS: readonly unknown[] = ['ValidatingWebhookConfiguration', 'MutatingWebhookConfiguration']

/**
 * `plexus webhook cert`: a certificate of its own authority as a Secret, and the manifests given with the authority in
 * their webhooks, for `kubectl apply -f -`.
 *
 * @throws {UsageError} For names that are none.
 * @throws {CniError} When a manifest cannot be read.
 */
export function printCertificate(options: CertificateOptions): void {
  const { namespace, service, hosts, days, into, write } = options
  const wrong = namespaceFault(namespace) ?? objectNameFault(service)
  if (wrong !== undefined)
    throw new UsageError(`"${namespace}/${service}" is no service: a part of it ${wrong}`)
  if (!Number.isInteger(days) || days < 1 || days > MOST_DAYS)
    throw new UsageError(`a certificate is good for 1 to ${MOST_DAYS} days, not ${days}`)
  for (const host of hosts) {
    if (ipFamily(host) === undefined && objectNameFault(host) !== undefined)
      throw new UsageError(`"${host}" is no name of a host and no address`)
  }
  const { ca, cert, key } = makeCertificate([`${service}.${namespace}.svc`, ...hosts], days)
  const secret = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: service, namespace, labels: { 'app.kubernetes.io/name': service } },
    type: 'kubernetes.io/tls',
    data: { 'ca.crt': toBase64(ca), 'tls.crt': toBase64(cert), 'tls.key': toBase64(key) },
  }
  const objects = [secret, ...into.flatMap((file) => readConfigurations(file, toBase64(ca)))]
  write(objects.map((object) => stringify(object, { lineWidth: 0 })).join('---\n'))
}

function readConfigurations(file: string, caBundle: string): JsonObject[] {
  let documents: unknown[]
  try {
    documents = parseAllDocuments(readFileSync(file, 'utf8')).map((document) => {
      if (document.errors[0] !== undefined) throw document.errors[0]
      return document.toJS()
    })
  } catch (error) {
    throw new CniError(CniErrorCode.Io, `${file} cannot be read: ${toCniError(error).message}`, {
      cause: error,
    })
  }
  return documents.filter(isJsonObject).map((object) => {
    if (!CONFIGURATIONS.includes(object.kind) || !Array.isArray(object.webhooks)) return object
    const webhooks = object.webhooks.map((webhook: unknown) => {
      const { clientConfig, ...rest } = isJsonObject(webhook) ? webhook : {}
      return { ...rest, clientConfig: { ...(isJsonObject(clientConfig) ? clientConfig : {}), caBundle } }
    })
    return { ...object, webhooks }
  })
}

function toBase64(text: string): string {
  return Buffer.from(text).toString('base64')
}
