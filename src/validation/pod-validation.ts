import { CniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import { isJsonObject, type JsonObject } from '../cni/json.ts'
import { nearMiss, nearName } from '../cni/near-miss.ts'
import type { NetConf } from '../config/net-conf.ts'
import { DEFAULT_NETWORK_ANNOTATION, NETWORKS_ANNOTATION } from '../network/annotations.ts'
import type { Labels } from '../network/label-selector.ts'
import { parsePod } from '../network/pod.ts'
import { inspectSelection, type SelectionElement } from '../network/selection-element.ts'
import type { SelectionFinding } from '../network/selection-report.ts'
import { planIfNames } from '../plan/if-names.ts'
import { type PlanInput, planAttachments, type ResolvedNetwork } from '../plan/plan-attachments.ts'
import { routeFaults } from '../plan/requested-network.ts'
import { readAnnotations, reportMisplaced, warnMisspelt } from './annotation-keys.ts'
import type { FindingCode } from './finding.ts'
import { type ManifestObject, nameOf, objectTitle } from './manifest-object.ts'
import type { KnownNetwork } from './network-validation.ts'
import { machineNetworks, type PodTemplate } from './pod-template.ts'
import type { ObjectReport } from './report.ts'
import { jsonHint, type ValuePath, valueAt } from './source-text.ts'

/** One network that a pod asks for, with the network as far as it is known and the way to report about it. */
export interface PodAttachment {
  readonly element: SelectionElement
  readonly isDefault: boolean
  /** Name of the interface in the pod. */
  readonly ifName: string
  readonly network: KnownNetwork | undefined
  /** @param path Of a key of the element: `['ips', 0]`. */
  add(code: FindingCode, path: ValuePath, message: string, hint?: string): void
}

/** The pods of one object, and what they ask for. */
export interface PodNetworks {
  readonly title: string
  /** Title of the object that made this one, as that of a Deployment for its ReplicaSet. */
  readonly owner: string | undefined
  readonly namespace: string
  /** Pods that run at once. */
  readonly pods: number
  readonly attachments: readonly PodAttachment[]
}

/** What pods are checked against. */
export interface PodContext {
  /** NADs by `namespace/name`. */
  readonly nads: ReadonlyMap<string, KnownNetwork>
  readonly conf: NetConf
  /** Labels of namespaces by name, as far as they are known. */
  readonly namespaceLabels: ReadonlyMap<string, Labels>
  /** Names of all NADs of a namespace; without it others than those of `nads` may exist. */
  readonly nadNames: ((namespace: string) => readonly string[]) | undefined
}

const DEFAULT_IF_NAME = 'eth0'

/** Checks the pods of one object: its annotations and, for a virtual machine, its networks. */
export function validatePods(
  object: ManifestObject,
  template: PodTemplate,
  report: ObjectReport,
  context: PodContext,
): PodNetworks {
  const { manifest, kind } = object
  const { namespace } = nameOf(manifest)
  if (kind === 'Pod') reportMetadata(object, report)
  const annotations = readAnnotations(manifest, template.metadata, report)
  warnMisspelt(annotations, template.metadata, report, 'pod')
  reportMisplaced(manifest, template.metadata, report)

  const draft: Draft[] = [
    ...fromAnnotation(DEFAULT_NETWORK_ANNOTATION, context.conf.multusNamespace, true),
    ...fromAnnotation(NETWORKS_ANNOTATION, namespace, false),
    ...fromMachine(),
  ]
  checkDefaultRoutes(draft)
  if (draft.length > 0 && valueAt(manifest, [...template.spec, 'hostNetwork']) === true) {
    const message = 'the pod uses the network of the host: no network is attached'
    report.add(
      'host-network',
      [...template.spec, 'hostNetwork'],
      message,
      'remove hostNetwork, or the annotation',
    )
  }
  const attachments = withNames(draft, namespace, context)
  for (const attachment of attachments) checkAttachment(attachment, namespace, context)
  const title = objectTitle(object)
  return { title, owner: ownerTitle(manifest, namespace), namespace, pods: template.pods, attachments }

  function fromAnnotation(annotation: string, fallback: string, isDefault: boolean): Draft[] {
    const text = annotations[annotation]
    if (text === undefined) return []
    const { reported, findings } = inspectSelection(text, { annotation, namespace: fallback })
    const path = [...template.metadata, 'annotations', annotation]
    const inText = report.intoText(path, text)
    const tell = (code: FindingCode, { subject, message, offset }: SelectionFinding): void =>
      inText.addAt(
        code,
        offset ?? 0,
        subject === '' ? message : `${subject}: ${message}`,
        subject === 'not JSON' ? jsonHint(text, offset ?? 0) : undefined,
      )
    for (const fault of findings.faults) tell('selection-fault', fault)
    if (findings.moreFaults > 0) report.add('selection-fault', path, `and ${findings.moreFaults} more faults`)
    for (const warning of findings.warnings) tell('selection-oddity', warning)
    if (isDefault && reported.length > 1) {
      const message = `annotation ${annotation} names ${reported.length} networks, exactly one is allowed`
      report.add('default-network-count', path, message)
    }
    if (isDefault && reported[0]?.element.interface !== undefined) {
      const message = '"interface" has no effect, the runtime names the default interface'
      inText.addAt('selection-oddity', reported[0].report.offsetOf(['interface']), message)
    }
    // What is wrong in itself is told; what else may be wrong with it is not to be guessed.
    if (findings.faults.length > 0) return []
    return reported.slice(0, isDefault ? 1 : undefined).map(({ element, report: place }) => ({
      element,
      isDefault,
      add: (code, key, message, hint) => inText.addAt(code, place.offsetOf(key), message, hint),
    }))
  }

  function fromMachine(): Draft[] {
    return machineNetworks(object, template).flatMap(
      ({ networkName, isDefault, mac, path, interfacePath }) => {
        const annotation = isDefault ? DEFAULT_NETWORK_ANNOTATION : NETWORKS_ANNOTATION
        const { reported, findings } = inspectSelection(networkName, { annotation, namespace })
        for (const { message } of findings.faults) report.add('selection-fault', path, message)
        if (findings.faults.length > 0) return []
        return reported.slice(0, 1).map(({ element }) => ({
          element: mac === undefined ? element : { ...element, mac },
          isDefault,
          add: (code: FindingCode, key: ValuePath, message: string, hint?: string) =>
            report.add(code, key[0] === 'mac' ? interfacePath : path, message, hint),
        }))
      },
    )
  }
}

function ownerTitle(manifest: JsonObject, namespace: string): string | undefined {
  const owners = valueAt(manifest, ['metadata', 'ownerReferences'])
  const owner: unknown = Array.isArray(owners) ? owners[0] : undefined
  if (!isJsonObject(owner) || typeof owner.kind !== 'string') return undefined
  return objectTitle({ kind: owner.kind, manifest: { metadata: { name: owner.name, namespace } } })
}

type Draft = Pick<PodAttachment, 'element' | 'isDefault' | 'add'>

function reportMetadata({ manifest }: ManifestObject, report: ObjectReport): void {
  const metadata = isJsonObject(manifest.metadata) ? manifest.metadata : {}
  // A generated name is as good; annotations are read, and reported, by themselves.
  const name = typeof metadata.generateName === 'string' ? 'generated' : metadata.name
  try {
    parsePod({ ...manifest, metadata: { ...metadata, name, annotations: {} } }, '')
  } catch (error) {
    reportObjectFaults(error, report)
  }
}

/** Reports what is wrong with an object's kind, version and metadata. */
export function reportObjectFaults(error: unknown, report: ObjectReport): void {
  if (!(error instanceof CniError)) throw error
  const faults = error.faults.length > 0 ? error.faults : [error.message.replace(/^ \([^)]*\): |^: /, '')]
  for (const fault of faults) {
    const [, word = '', key] = /^([\w.]+)(?: ("(?:[^"\\]|\\.)*"))?/.exec(fault) ?? []
    const isMap = /^metadata\.(?:annotations|labels)$/.test(word)
    const path = [...word.split('.'), ...(isMap && key !== undefined ? [String(JSON.parse(key))] : [])]
    const code = word === 'spec.config' || word === 'spec' ? 'config-not-text' : 'object-metadata'
    const [message = fault, hint] = fault.split(/; (?=write )/)
    report.add(code, path, message, hint)
  }
}

function checkDefaultRoutes(draft: readonly Draft[]): void {
  const byDefault = draft.find(({ isDefault }) => isDefault)
  for (const other of draft) {
    if (other.isDefault || byDefault === undefined) continue
    for (const { message, hint } of routeFaults(byDefault.element, [other.element])) {
      other.add('default-route-twice', ['default-route'], message, hint)
    }
  }
}

/** Finds each network and the name of its interface. */
function withNames(draft: readonly Draft[], namespace: string, context: PodContext): PodAttachment[] {
  const hasDefault = draft.some(({ isDefault }) => isDefault)
  const ordered = [
    ...draft.filter(({ isDefault }) => isDefault),
    ...draft.filter(({ isDefault }) => !isDefault),
  ]
  const networks = [
    ...(hasDefault ? [] : [OPEN_DEFAULT]),
    ...ordered.map((item) => resolved(item, undefined)),
  ]
  const { ifNames } = planIfNames(planInput(networks, namespace, context))
  return ordered.map((item, index) => ({
    ...item,
    ifName: ifNames[index + (hasDefault ? 0 : 1)] ?? '',
    network: context.nads.get(`${item.element.namespace}/${item.element.name}`),
  }))
}

/** Stands for the default network where the pod leaves it to the node. */
const OPEN_DEFAULT: ResolvedNetwork = {
  requested: {
    reference: { kind: 'first-file', directory: '' },
    isDefault: true,
    element: undefined,
    reason: '',
    isPodChoice: false,
  },
  conflist: undefined,
  nad: undefined,
  source: 'the default network',
  fault: undefined,
  warnings: [],
}

function resolved({ element, isDefault }: Draft, network: KnownNetwork | undefined): ResolvedNetwork {
  const { namespace, name } = element
  return {
    requested: {
      reference: { kind: 'nad', namespace, name },
      isDefault,
      element,
      reason: '',
      isPodChoice: true,
    },
    conflist: network?.conflist,
    nad: network?.nad,
    source: `NAD ${namespace}/${name}`,
    fault: undefined,
    warnings: [],
  }
}

function planInput(networks: readonly ResolvedNetwork[], namespace: string, context: PodContext): PlanInput {
  const { conf, namespaceLabels } = context
  const request = { containerId: 'CONTAINER-ID', ifName: DEFAULT_IF_NAME, args: [] }
  return {
    conf,
    request,
    podNamespace: namespace,
    namespaceLabels: namespaceLabels.get(namespace),
    networks,
    facts: undefined,
    devices: undefined,
  }
}

/** Says of one network what ADD would say, and whether it is there at all. */
function checkAttachment(attachment: PodAttachment, namespace: string, context: PodContext): void {
  const { element, network, isDefault, add } = attachment
  const item = resolved(attachment, network)
  const networks = isDefault ? [item] : [OPEN_DEFAULT, item]
  const plan = planAttachments(planInput(networks, namespace, context))
  if (network === undefined && !plan.faults.some(isForbidden)) {
    if (context.nadNames === undefined) suggestNetwork(attachment, namespace, context)
    else reportMissing(attachment, context.nadNames)
  }
  for (const { code, message, hint } of plan.faults) {
    // Only a cluster can tell; whoever asks for a network there is told.
    if (code === CniErrorCode.TryAgainLater) continue
    const asked = askedKey(message)
    const isTaken = /^interface name/.test(message)
    const key = asked ?? (isTaken ? 'interface' : 'name')
    // The NAD itself is reported where it is written.
    if (/is a meta-plugin/.test(message)) continue
    add(asked === undefined ? 'attachment-fault' : 'capability-not-declared', [key], message, hint)
  }
  if (!element.optional) {
    for (const warning of plan.warnings) {
      const asked = askedKey(warning)
      if (asked !== undefined) add('attachment-oddity', [asked], warning)
    }
  }
}

/** The key of the element that a capability is about. */
function askedKey(message: string): string | undefined {
  const asked = /: the pod asks for "(\w+)", but no plugin of it/.exec(message)?.[1]
  return asked === 'infinibandGUID' ? 'infiniband-guid' : asked
}

/** NADs of a namespace among which a name that was meant is looked for. */
const MOST_CANDIDATES = 1000

function isForbidden({ code }: CniError): boolean {
  return code === CniErrorCode.NamespaceIsolation
}

function reportMissing(
  { element, add }: PodAttachment,
  nadNames: (namespace: string) => readonly string[],
): void {
  const { namespace, name, optional } = element
  const near = nearMiss(name, nadNames(namespace).slice(0, MOST_CANDIDATES))
  const meant = near === undefined ? '' : `; did you mean ${namespace}/${near}?`
  const hint = near === undefined ? 'create it first, or correct the name' : undefined
  add(
    optional ? 'network-near-miss' : 'network-not-found',
    ['name'],
    `there is no NAD ${namespace}/${name}${meant}`,
    hint,
  )
}

function suggestNetwork({ element, add }: PodAttachment, podNamespace: string, { nads }: PodContext): void {
  const wanted = `${element.namespace}/${element.name}`
  const keys = [...nads.keys()]
  const elsewhere = keys.filter((key) => key.endsWith(`/${element.name}`))
  const near = nearName(
    element.name,
    keys
      .filter((key) => key.startsWith(`${element.namespace}/`))
      .map((key) => key.slice(element.namespace.length + 1)),
  )
  const meant =
    near === undefined ? (elsewhere.length === 1 ? elsewhere[0] : undefined) : `${element.namespace}/${near}`
  if (meant === undefined) return
  const hint = meant.startsWith(`${podNamespace}/`) ? undefined : `write the namespace too: ${meant}`
  add('network-near-miss', ['name'], `NAD ${wanted} is not among these files; did you mean ${meant}?`, hint)
}
