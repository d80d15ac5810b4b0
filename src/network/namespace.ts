import { CniErrorCode } from '../cni/codes.ts'
import { toFaultsError } from '../cni/faults.ts'
import { isJsonObject, type JsonObject } from '../cni/json.ts'
import type { Labels } from './label-selector.ts'
import { readMetadata } from './object-metadata.ts'

/** A Namespace, reduced to what Plexus reads. */
export interface Namespace {
  readonly name: string
  readonly labels: Labels
  readonly annotations: Readonly<Record<string, string>>
  /** It is being deleted, with all that is in it. */
  readonly isTerminating: boolean
}

/**
 * Reads a Namespace.
 *
 * @param what Where the manifest is from, for messages.
 * @throws {CniError} InvalidNetworkConfig with every fault: wrong kind, version, name or metadata.
 */
export function parseNamespace(manifest: JsonObject, what: string): Namespace {
  const faults: string[] = []
  const {
    name,
    labels = {},
    annotations,
  } = readMetadata(manifest, { apiVersion: 'v1', kind: 'Namespace' }, faults)
  if (faults.length > 0) {
    const label = name === '' ? '' : ` (namespace ${name})`
    throw toFaultsError(CniErrorCode.InvalidNetworkConfig, `${what}${label}`, faults)
  }
  const metadata = isJsonObject(manifest.metadata) ? manifest.metadata : {}
  return { name, labels, annotations, isTerminating: metadata.deletionTimestamp !== undefined }
}
