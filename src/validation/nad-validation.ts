import { isJsonObject, type JsonObject } from '../cni/json.ts'
import { ALLOWED_NAMESPACES_ANNOTATION, RESOURCE_NAME_ANNOTATION } from '../network/annotations.ts'
import { parseLabelSelector } from '../network/label-selector.ts'
import { type NetworkAttachmentDefinition, parseNad, resourceName } from '../network/nad.ts'
import { readAnnotations, reportMisplaced, warnMisspelt } from './annotation-keys.ts'
import { type ManifestObject, nameOf, objectTitle } from './manifest-object.ts'
import { type KnownNetwork, readConfigText, validateNetwork } from './network-validation.ts'
import { reportObjectFaults } from './pod-validation.ts'
import type { ObjectReport } from './report.ts'
import { valueAt } from './source-text.ts'

/** Keys by which the configuration itself is known. */
const CONF_KEYS = ['cniVersion', 'type', 'plugins']

/** A NAD without `spec.config` is right when a file on the node has its name, unless one was written elsewhere. */
function reportStrayConfig(manifest: JsonObject, report: ObjectReport): void {
  const isStray = (key: string): boolean => key.toLowerCase() === 'config' || key === 'conf'
  for (const place of [[], ['metadata'], ['spec']]) {
    const parent = valueAt(manifest, place)
    if (!isJsonObject(parent)) continue
    const key = Object.keys(parent).find(
      (name) => isStray(name) && !(place[0] === 'spec' && name === 'config'),
    )
    if (key === undefined) continue
    const message = `the configuration is read in spec.config only, not in ${[...place, key].join('.')}`
    report.add('config-misplaced', [...place, key], message, 'move it to spec.config')
    return
  }
  const spec = valueAt(manifest, ['spec'])
  const own = isJsonObject(spec) ? CONF_KEYS.find((key) => Object.hasOwn(spec, key)) : undefined
  if (own === undefined) return
  const message = 'the configuration is read as a text in spec.config only, not in spec itself'
  report.add('config-misplaced', ['spec', own], message, 'write it as JSON text: config: |')
}

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
  if ((config ?? '') === '') reportStrayConfig(manifest, report)
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
