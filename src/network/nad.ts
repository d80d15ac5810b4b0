import { CniErrorCode } from '../cni/codes.ts'
import { toFaultsError, toShown } from '../cni/faults.ts'
import { isJsonObject, type JsonObject } from '../cni/json.ts'
import { RESOURCE_NAME_ANNOTATION } from './annotations.ts'
import { readMetadata } from './object-metadata.ts'

/** A NetworkAttachmentDefinition, reduced to what Plexus reads. */
export interface NetworkAttachmentDefinition {
  namespace: string
  name: string
  annotations: Record<string, string>
  /** `spec.config` as written; absent when missing or empty: look for a file by name (NPWG-006). */
  config?: string
  resourceVersion?: string
}

/**
 * Reads a NetworkAttachmentDefinition. The text of `spec.config` is handed on as it is, so that whoever
 * parses it can keep it to the digit. NPWG-001, 004, 006, 018.
 *
 * @param what Where the manifest is from, for messages: `nads.yaml document 2`.
 * @throws {CniError} InvalidNetworkConfig with every fault: wrong kind, version or name, `spec.config` that
 *   is no string.
 */
export function parseNad(manifest: JsonObject, what: string): NetworkAttachmentDefinition {
  const faults: string[] = []
  const expected = { apiVersion: 'k8s.cni.cncf.io/v1', kind: 'NetworkAttachmentDefinition' }
  const { namespace, name, annotations, resourceVersion } = readMetadata(manifest, expected, faults)
  const config = readConfig(manifest.spec ?? {}, faults)
  if (faults.length > 0) {
    const label = name === '' ? '' : ` (NAD ${namespace}/${name})`
    throw toFaultsError(CniErrorCode.InvalidNetworkConfig, `${what}${label}`, faults)
  }
  return {
    namespace,
    name,
    annotations,
    ...(config === undefined ? {} : { config }),
    ...(resourceVersion === undefined ? {} : { resourceVersion }),
  }
}

function readConfig(spec: unknown, faults: string[]): string | undefined {
  if (!isJsonObject(spec)) {
    faults.push(`spec must be an object, not ${toShown(spec)}`)
    return undefined
  }
  const config = spec.config ?? ''
  if (typeof config === 'string') return config === '' ? undefined : config
  const hint = isJsonObject(config) ? '; write the JSON as text: config: |' : ''
  faults.push(`spec.config must be a string with JSON in it, not ${toShown(config)}${hint}`)
  return undefined
}

/** The device-plugin resource that the network's devices come from, if there is one. NPWG-017. */
export function resourceName(nad: NetworkAttachmentDefinition): string | undefined {
  const name = nad.annotations[RESOURCE_NAME_ANNOTATION]?.trim()
  return name === '' ? undefined : name
}
