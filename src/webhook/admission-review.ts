import { CniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import { isJsonObject, type JsonObject } from '../cni/json.ts'

/** What the API server is asked to do, as it tells a webhook. */
export interface AdmissionRequest {
  readonly uid: string
  readonly operation: 'CREATE' | 'UPDATE' | 'DELETE'
  /** Of the object. */
  readonly kind: string
  /** Empty for objects in no namespace. */
  readonly namespace: string
  /** Empty while it is to be generated. */
  readonly name: string
  /** The object as it is to be; with kind and namespace of the request, which may be left out of it. */
  readonly object: JsonObject | undefined
  /** The object as it is, for UPDATE and DELETE. */
  readonly oldObject: JsonObject | undefined
}

/** One operation of a JSON patch (RFC 6902). */
export interface PatchOperation {
  readonly op: 'add' | 'replace'
  readonly path: string
  readonly value: unknown
}

/** What becomes of a request. */
export interface Verdict {
  /** Why it is refused; `undefined` when it is allowed. */
  readonly refusal?: { readonly status: number; readonly reason: string; readonly message: string }
  /** Shown to the user beside the result. */
  readonly warnings?: readonly string[]
  readonly patch?: readonly PatchOperation[]
}

const API_VERSION = 'admission.k8s.io/v1'
const OPERATIONS: readonly unknown[] = ['CREATE', 'UPDATE', 'DELETE']

/** The API server cuts a warning that is longer, and drops all behind 4096 characters. */
const LONGEST_WARNING = 256
const MOST_WARNINGS = 15
const LONGEST_MESSAGE = 8000

/**
 * Reads an AdmissionReview as the API server sends it.
 *
 * @throws {CniError} Decoding when it is none of version v1, or asks for something that no webhook of ours is for.
 */
export function parseReview(review: unknown): AdmissionRequest {
  const { apiVersion, kind, request } = isJsonObject(review) ? review : {}
  if (apiVersion !== API_VERSION || kind !== 'AdmissionReview' || !isJsonObject(request))
    throw new CniError(CniErrorCode.Decoding, `the body is no AdmissionReview of ${API_VERSION}`)
  const { uid, operation } = request
  if (typeof uid !== 'string' || uid === '' || !OPERATIONS.includes(operation))
    throw new CniError(
      CniErrorCode.Decoding,
      'the AdmissionReview has no uid, or an operation that is not for us',
    )
  const object = completed(request.object, request)
  const oldObject = completed(request.oldObject, request)
  if (operation !== 'DELETE' && object === undefined)
    throw new CniError(CniErrorCode.Decoding, `the AdmissionReview of a ${operation} has no object`)
  const its = object ?? oldObject ?? typeOf(request)
  return {
    uid,
    operation: operation as AdmissionRequest['operation'],
    kind: textOf(its.kind),
    namespace: textOf(request.namespace),
    name: textOf(request.name),
    object,
    oldObject,
  }
}

/** Of an object that a controller makes the API server does not always say the namespace. */
function completed(object: unknown, request: JsonObject): JsonObject | undefined {
  if (!isJsonObject(object)) return undefined
  const metadata = isJsonObject(object.metadata) ? object.metadata : {}
  const namespace = textOf(request.namespace)
  return {
    ...typeOf(request),
    ...object,
    ...(namespace === '' ? {} : { metadata: { ...metadata, namespace } }),
  }
}

/** `kind` and `apiVersion` that the request is about. */
function typeOf(request: JsonObject): JsonObject {
  const { group, version, kind } = isJsonObject(request.kind) ? request.kind : {}
  if (typeof kind !== 'string' || typeof version !== 'string') return {}
  return { kind, apiVersion: textOf(group) === '' ? version : `${textOf(group)}/${version}` }
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

/** The AdmissionReview with the answer. */
export function toReview(uid: string, { refusal, warnings = [], patch = [] }: Verdict): JsonObject {
  const shown = warnings.slice(0, MOST_WARNINGS).map((warning) => cut(warning, LONGEST_WARNING))
  return {
    apiVersion: API_VERSION,
    kind: 'AdmissionReview',
    response: {
      uid,
      allowed: refusal === undefined,
      ...(refusal === undefined
        ? {}
        : {
            status: {
              code: refusal.status,
              reason: refusal.reason,
              message: cut(refusal.message, LONGEST_MESSAGE),
            },
          }),
      ...(shown.length === 0 ? {} : { warnings: shown }),
      ...(patch.length === 0
        ? {}
        : { patchType: 'JSONPatch', patch: Buffer.from(JSON.stringify(patch)).toString('base64') }),
    },
  }
}

function cut(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length - 1)}…`
}
