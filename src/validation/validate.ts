import { CniError } from '../cni/cni-error.ts'
import { isJsonObject, type JsonObject } from '../cni/json.ts'
import { nearMiss } from '../cni/near-miss.ts'
import { type NetConf, parseNetConf } from '../config/net-conf.ts'
import type { Labels } from '../network/label-selector.ts'
import { parseNamespace } from '../network/namespace.ts'
import { type Finding, sortFindings } from './finding.ts'
import { type ManifestObject, manifestObjects, nameOf, objectTitle } from './manifest-object.ts'
import { validateNad } from './nad-validation.ts'
import { checkNamedNetworks, defaultNadKey, isCniConf, validateConfFile } from './net-conf-validation.ts'
import { checkNetworks } from './network-cross-checks.ts'
import { addDuplicate, type KnownNetwork, warnOfExtraNetwork } from './network-validation.ts'
import { checkPod } from './pod-checks.ts'
import { podTemplate } from './pod-template.ts'
import { type PodNetworks, validatePods } from './pod-validation.ts'
import { type ObjectReport, objectReport } from './report.ts'
import {
  objectDocument,
  readSource,
  type SourceDocument,
  type SourceFile,
  type ValuePath,
} from './source-text.ts'

/** All that was found, and how much was looked at. */
export interface Validation {
  /** In the order of files and places. */
  readonly findings: readonly Finding[]
  readonly checked: {
    readonly networks: number
    /** Pods and workloads. */
    readonly pods: number
    readonly netConfs: number
    /** Kubernetes objects of kinds that are no network's. */
    readonly others: number
  }
}

const NAD_KIND = 'NetworkAttachmentDefinition'
const NAD_GROUP = 'k8s.cni.cncf.io/'

/** Kinds of the group beside the NAD. */
const NAD_GROUP_KINDS = ['IPAMClaim', 'MultiNetworkPolicy']

/**
 * Checks manifests and CNI configurations, each by itself and against the others.
 *
 * @param files In the order in which they were given.
 */
export function validateFiles(files: readonly SourceFile[]): Validation {
  const findings: Finding[] = []
  const documents: SourceDocument[] = []
  for (const file of files) {
    const source = readSource(file)
    for (const document of source.documents) documents.push(document)
    for (const { document, position, code, message, hint } of source.faults) {
      findings.push({
        severity: 'error',
        code,
        message,
        hint: hint ?? null,
        file: file.name,
        document,
        ...position,
        object: null,
        path: null,
      })
    }
  }
  return validateDocuments(
    documents,
    findings,
    files.map(({ name }) => name),
  )
}

/** What is known of a cluster beside the objects that are checked. */
export interface ClusterFacts {
  /** What decides isolation, allowed plugins and strictness. */
  readonly conf: NetConf
  readonly namespaceLabels: ReadonlyMap<string, Labels>
  /** Names of all NADs of a namespace; NADs that pods name and that exist are among the objects. */
  readonly nadNames: (namespace: string) => readonly string[]
}

/**
 * The same for objects that are from no file: findings have no place in a text, but a path in the object.
 *
 * @param objects As `parseJson` or a JSON parser gives them.
 * @param cluster Without it they are checked among themselves.
 */
export function validateObjects(objects: readonly unknown[], cluster?: ClusterFacts): Validation {
  return validateDocuments(objects.map(objectDocument), [], [], cluster)
}

interface Collected {
  readonly nads: Map<string, KnownNetwork>
  readonly others: KnownNetwork[]
  readonly namespaceLabels: Map<string, Labels>
  readonly netConfs: {
    readonly conf: NetConf
    readonly report: ObjectReport
    readonly path: ValuePath
  }[]
  readonly podObjects: { readonly object: ManifestObject; readonly report: ObjectReport }[]
  readonly checked: { networks: number; pods: number; netConfs: number; others: number }
}

function validateDocuments(
  documents: readonly SourceDocument[],
  findings: Finding[],
  files: readonly string[],
  cluster?: ClusterFacts,
): Validation {
  const collected: Collected = {
    nads: new Map(),
    others: [],
    namespaceLabels: new Map(),
    netConfs: [],
    podObjects: [],
    checked: { networks: 0, pods: 0, netConfs: 0, others: 0 },
  }
  const seen = new Map<string, SourceDocument>()
  for (const document of documents) {
    const report = objectReport(findings, document, [], null)
    for (const path of document.duplicates) addDuplicate(report, path)
    if (isCniConf(document.value)) {
      collectConf(document, report, collected)
      continue
    }
    if (!isManifest(document.value)) {
      collected.checked.others += 1
      continue
    }
    const objects = manifestObjects(document.value, (path, message) =>
      report.add('not-a-manifest', path, message),
    )
    for (const object of objects) collectObject(object, document, findings, collected, seen)
  }
  const { nads, others, netConfs, podObjects, checked } = collected
  const conf = cluster?.conf ?? netConfs[0]?.conf ?? parseNetConf({ type: 'plexus' })
  const namespaceLabels = new Map([...(cluster?.namespaceLabels ?? []), ...collected.namespaceLabels])
  for (const { conf: named, report, path } of netConfs) checkNamedNetworks(named, nads, report, path)
  const context = { nads, conf, namespaceLabels, nadNames: cluster?.nadNames }
  const pods: PodNetworks[] = podObjects.flatMap(({ object, report }) => {
    const template = podTemplate(object)
    return template === undefined ? [] : [validatePods(object, template, report, context)]
  })
  for (const pod of pods) checkPod(pod)
  const defaults = new Set(netConfs.map(({ conf: netConf }) => defaultNadKey(netConf)))
  const chosen = new Set(
    pods
      .flatMap(({ attachments }) => attachments.filter(({ isDefault }) => isDefault))
      .map(({ network }) => network),
  )
  for (const [key, network] of nads) {
    if (!defaults.has(key) && !chosen.has(network)) warnOfExtraNetwork(network)
  }
  checkNetworks([...nads.values(), ...others], pods)
  return { findings: sortFindings(findings, files), checked }
}

/** Values for a chart, a patch, a list of arguments: not everything in a folder is for the cluster. */
function isManifest(value: unknown): boolean {
  return (
    !isJsonObject(value) ||
    ['apiVersion', 'kind', 'metadata', 'spec'].some((key) => Object.hasOwn(value, key))
  )
}

function collectConf(document: SourceDocument, report: ObjectReport, collected: Collected): void {
  const value = document.value
  if (!isCniConf(value)) return
  const { netConf, networks, path } = validateConfFile(value, report, document.file ?? 'the configuration')
  collected.others.push(...networks)
  collected.checked.netConfs += 1
  if (netConf !== undefined) collected.netConfs.push({ conf: netConf, report, path })
}

function collectObject(
  object: ManifestObject,
  document: SourceDocument,
  findings: Finding[],
  collected: Collected,
  seen: Map<string, SourceDocument>,
): void {
  const { kind, apiVersion, manifest, base } = object
  const title = objectTitle(object)
  const report = objectReport(findings, document, base, title)
  const isNad = kind === NAD_KIND
  if (!isNad && (apiVersion.startsWith(NAD_GROUP) || nearMiss(kind, [NAD_KIND]) !== undefined)) {
    if (NAD_GROUP_KINDS.includes(kind)) {
      collected.checked.others += 1
      return
    }
    report.add('kind-near-miss', ['kind'], `kind ${kind} is not known; did you mean ${NAD_KIND}?`)
    return
  }
  if (kind === 'Namespace' && apiVersion === 'v1') collectNamespace(manifest, collected)
  const hasPods = podTemplate(object) !== undefined
  if (!isNad && !hasPods) {
    collected.checked.others += 1
    return
  }
  const { namespace, name } = nameOf(manifest)
  const key = `${kind} ${namespace}/${name}`
  const first = seen.get(key)
  const isGenerated = isJsonObject(manifest.metadata) && manifest.metadata.name === undefined
  if (first !== undefined && !isGenerated) {
    const where = first.file === null ? '' : `: also in ${first.file} document ${first.index}`
    report.add('duplicate-object', ['metadata', 'name'], `it is there twice${where}`)
  } else seen.set(key, document)
  if (isNad) {
    collected.checked.networks += 1
    const network = validateNad(object, report)
    if (!collected.nads.has(`${namespace}/${name}`)) collected.nads.set(`${namespace}/${name}`, network)
  } else {
    collected.checked.pods += 1
    collected.podObjects.push({ object, report })
  }
}

/** What is wrong with a namespace is told by whoever makes it; of one that is wrong nothing is known. */
function collectNamespace(manifest: JsonObject, { namespaceLabels }: Collected): void {
  try {
    const { name, labels } = parseNamespace(manifest, '')
    namespaceLabels.set(name, labels)
  } catch (error) {
    if (!(error instanceof CniError)) throw error
  }
}
