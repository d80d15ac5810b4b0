import { isJsonObject } from '../cni/json.ts'
import { ALLOWED_NAMESPACES_ANNOTATION, RESOURCE_NAME_ANNOTATION } from '../network/annotations.ts'
import { parseLabelSelector } from '../network/label-selector.ts'
import { type NetworkAttachmentDefinition, parseNad, resourceName } from '../network/nad.ts'
import { readAnnotations, reportMisplaced, warnMisspelt } from './annotation-keys.ts'
import { type ManifestObject, nameOf, objectTitle } from './manifest-object.ts'
import { type KnownNetwork, readConfigText, validateNetwork } from './network-validation.ts'
import { reportObjectFaults } from './pod-validation.ts'
import type { ObjectReport } from './report.ts'

/** Checks a NAD and its configuration. */
export function validateNad(object: ManifestObject, report: ObjectReport): KnownNetwork {
  const { manifest } = object
  const annotations = readAnnotations(manifest, ['metadata'], report)
  warnMisspelt(annotations, ['metadata'], report, 'nad')
  reportMisplaced(manifest, ['metadata'], report, [RESOURCE_NAME_ANNOTATION, ALLOWED_NAMESPACES_ANNOTATION])
  try {
    const metadata = isJsonObject(manifest.metadata)
      ? { ...manifest.metadata, annotations: {} }
      : manifest.metadata
    parseNad({ ...manifest, metadata }, '')
  } catch (error) {
    reportObjectFaults(error, report)
  }
  const config = isJsonObject(manifest.spec) ? manifest.spec.config : undefined
  const text = typeof config === 'string' && config !== '' ? config : undefined
  const nad: NetworkAttachmentDefinition = {
    ...nameOf(manifest),
    annotations,
    ...(text === undefined ? {} : { config: text }),
  }
  const resource = resourceName(nad)
  if (
    resource !== undefined &&
    !/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?\/[A-Za-z0-9]([-\w.]*[A-Za-z0-9])?$/.test(resource)
  ) {
    report.add(
      'resource-name',
      ['metadata', 'annotations', RESOURCE_NAME_ANNOTATION],
      `"${resource}" is no resource name`,
      'write it as the device plugin does: intel.com/sriov_netdevice',
    )
  }
  const selector = annotations[ALLOWED_NAMESPACES_ANNOTATION]
  const selectorFault = selector === undefined ? undefined : parseLabelSelector(selector).fault
  if (selectorFault !== undefined) {
    report.add(
      'allowed-namespaces',
      ['metadata', 'annotations', ALLOWED_NAMESPACES_ANNOTATION],
      `the selector of namespaces ${selectorFault}`,
      'write it as for kubectl --selector: team in (core, edge),env=prod',
    )
  }
  const title = objectTitle(object)
  const unknown = { title, nad, file: undefined, conflist: undefined, plugins: [], report }
  if (text === undefined) return unknown
  const inText = report.intoText(['spec', 'config'], text)
  const value = readConfigText(text, inText)
  if (value === undefined) return unknown
  return validateNetwork(value, inText, { title, nad, file: undefined, fallbackName: nad.name })
}
