import type { CniArgs } from '../cni/cni-args.ts'
import { formatCniArgs, withCniArg } from '../cni/cni-args.ts'
import { CniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import { type Conflist, delegatedTypes } from '../cni/conflist.ts'
import { capabilitiesOf, selectRuntimeConfig } from '../cni/delegate-conf.ts'
import { isJsonObject, type JsonObject } from '../cni/json.ts'
import type { NetConf } from '../config/net-conf.ts'
import { deviceInfoFileName, devicePluginFileName } from '../network/device-info.ts'
import type { Labels } from '../network/label-selector.ts'
import type { NetworkAttachmentDefinition } from '../network/nad.ts'
import type { PodDevices } from '../network/pod-devices.ts'
import type { SelectionElement } from '../network/selection-element.ts'
import { allowedNamespacesFault } from './allowed-namespaces.ts'
import { type DeviceGrant, grantDevices } from './devices.ts'
import type { HostFacts } from './host-facts.ts'
import { planIfNames } from './if-names.ts'
import { networkTitle, type Plan, type PlannedAttachment, type PlannedPlugin } from './plan.ts'
import { pluginFaults } from './plugin-faults.ts'
import { readsIpArg, readsMacArg, readsRequest } from './plugin-quirks.ts'
import { isOptional, type RequestedNetwork } from './requested-network.ts'

/** A requested network with its configuration, or with the reason why there is none. */
export interface ResolvedNetwork {
  readonly requested: RequestedNetwork
  readonly conflist: Conflist | undefined
  readonly nad: NetworkAttachmentDefinition | undefined
  /** Where the configuration was found, for people. */
  readonly source: string
  readonly fault: CniError | undefined
  /** What was passed over on the way. */
  readonly warnings: readonly string[]
}

/** All that a plan depends on. */
export interface PlanInput {
  readonly conf: NetConf
  readonly request: { readonly containerId: string; readonly ifName: string; readonly args: CniArgs }
  /** Namespace of the pod; `undefined` when the caller named none. */
  readonly podNamespace: string | undefined
  /** Labels of that namespace; `undefined` when they are not known: what depends on them is refused. */
  readonly namespaceLabels: Labels | undefined
  readonly networks: readonly ResolvedNetwork[]
  /** `undefined` when nothing will run (`explain`): then nothing is checked against the host. */
  readonly facts: HostFacts | undefined
  /** What the kubelet allocated to the pod; `undefined` when it was not asked: then no device is given. */
  readonly devices: PodDevices | undefined
}

/**
 * Turns the pod's networks into attachments: interface names, CNI_ARGS, what each plugin gets, and
 * everything that is wrong, all at once. The same input gives the same plan.
 *
 * NPWG-070 to NPWG-085, NPWG-116, NPWG-133, CNI-019 to CNI-021, CNI-041, CNI-076, CNI-083, CNI-091.
 */
export function planAttachments(input: PlanInput): Plan {
  const { conf, networks, facts } = input
  const warnings: string[] = []
  const missing: string[] = []
  const names = planIfNames(input)
  const grants = grantDevices(networks, input.devices)
  const faults = names.faults.filter(
    (fault, index): fault is CniError => fault !== undefined && !isOptional(networks[index]?.requested),
  )
  const attachments: PlannedAttachment[] = []
  for (const [index, network] of networks.entries()) {
    const forbidden =
      isolationFault(network, input) ??
      allowedNamespacesFault(network, input.podNamespace, input.namespaceLabels)
    if (forbidden !== undefined) {
      // Fails the pod also for an optional network: whoever may not have it may not ask for it (NPWG-116). What else
      // is wrong with it, or what it is, is not for this pod to know.
      faults.push(forbidden)
      continue
    }
    warnings.push(...network.warnings)
    const planned =
      network.conflist === undefined
        ? undefined
        : planAttachment(
            index,
            network,
            onceCalled(network.conflist, network, conf),
            names.ifNames[index] ?? '',
            input,
            grants.get(index),
          )
    const nameFault = isOptional(network.requested) ? names.faults[index] : undefined
    const own = [
      ...(nameFault === undefined ? [] : [nameFault]),
      ...(network.fault === undefined ? [] : [network.fault]),
      ...(planned?.faults ?? []),
      ...(planned === undefined ? [] : pluginFaults(planned.attachment, conf, facts)),
    ]
    warnings.push(...(planned?.warnings ?? []))
    if (own.length > 0 && isOptional(network.requested)) {
      warnings.push(...own.map(({ message }) => `optional network is left out: ${message}`))
      missing.push(own.map(({ message }) => message).join('; '))
      continue
    }
    faults.push(...own)
    if (planned !== undefined) attachments.push(planned.attachment)
  }
  return { attachments: withOrder(attachments), faults, warnings, missing }
}

/** The default network without the plugins that the runtime calls itself, unless nothing would be left. */
function onceCalled(conflist: Conflist, { requested }: ResolvedNetwork, conf: NetConf): Conflist {
  const plugins = conflist.plugins.filter(({ type }) => !conf.calledByRuntime.includes(type))
  return requested.isDefault && plugins.length > 0 ? { ...conflist, plugins } : conflist
}

function planAttachment(
  index: number,
  network: ResolvedNetwork,
  conflist: Conflist,
  ifName: string,
  input: PlanInput,
  grant: DeviceGrant | undefined,
): { attachment: PlannedAttachment; faults: CniError[]; warnings: string[] } {
  const { conf, request } = input
  const { requested, nad, source } = network
  const { element, isDefault } = requested
  const title = networkTitle({ network: conflist.name, source })
  const label = nad === undefined ? conflist.name : `${nad.namespace}/${nad.name}`
  const reasons = [
    requested.reason,
    `its configuration is ${source}`,
    names(index, ifName, element, isDefault),
    ...(grant === undefined ? [] : [grant.reason]),
  ]

  const declared = new Set(conflist.plugins.flatMap(capabilitiesOf))
  const deviceID = grant === undefined ? element?.deviceID : grant.id
  const devicePluginFile =
    grant?.id === undefined
      ? undefined
      : `${conf.devInfoDir}/dp/${devicePluginFileName(grant.resource, grant.id)}`
  // What the device plugin says goes to network-status also where no plugin reads the file.
  const deviceInfoFile =
    declared.has('CNIDeviceInfoFile') || devicePluginFile !== undefined
      ? `${conf.devInfoDir}/cni/${deviceInfoFileName(label, request.containerId, ifName)}`
      : undefined
  const available: JsonObject = {
    ...(isDefault ? conf.runtimeConfig : {}),
    ...requestedCapabilities(element),
    ...(deviceID === undefined ? {} : { deviceID }),
    ...(deviceInfoFile === undefined ? {} : { CNIDeviceInfoFile: deviceInfoFile }),
  }
  const capability = checkCapabilities(title, conflist, element, declared, conf.strictCapabilities)
  const types = conflist.plugins.flatMap(delegatedTypes)
  const args = planArgs(request.args, element, declared, types, isDefault)
  const plugins = conflist.plugins.map(
    (plugin): PlannedPlugin => ({
      type: plugin.type,
      conf: plugin,
      runtimeConfig: selectRuntimeConfig(plugin, available),
      cniArgs: element?.cniArgs,
      extra: deviceID === undefined ? undefined : { deviceID, pciBusID: deviceID },
    }),
  )
  for (const { type, runtimeConfig } of plugins) {
    if (runtimeConfig !== undefined) {
      reasons.push(
        `plugin "${type}" declares and gets runtimeConfig ${Object.keys(runtimeConfig).sort().join(', ')}`,
      )
    }
  }
  if (element?.defaultRoute !== undefined) {
    reasons.push(
      element.defaultRoute.length === 0
        ? 'the annotation lets it keep the default route of its own configuration; the others lose theirs'
        : `the annotation makes it the owner of the default route through ${element.defaultRoute.join(', ')}`,
    )
  }
  const attachment: PlannedAttachment = {
    index,
    isDefault,
    network: conflist.name,
    label,
    source,
    ifName,
    cniVersion: conflist.cniVersion,
    disableCheck: conflist.disableCheck,
    disableGC: conflist.disableGC,
    args,
    plugins,
    defaultRoute: element?.defaultRoute,
    waitsFor: [],
    isOptional: isOptional(requested),
    timeoutMs: element?.timeoutMs,
    deviceInfoFile,
    devicePluginFile,
    reasons,
  }
  const faults = [...capability.faults, ...(grant?.fault === undefined ? [] : [grant.fault])]
  return { attachment, faults, warnings: capability.warnings }
}

function names(
  index: number,
  ifName: string,
  element: SelectionElement | undefined,
  isDefault: boolean,
): string {
  if (isDefault) return `interface ${ifName} is the one the runtime asked for`
  if (element?.interface !== undefined) return `interface ${ifName} is asked for by the annotation`
  return `interface ${ifName}: "net" and its place ${index} in the pod`
}

/**
 * The element's keys under their names as capabilities (NPWG-070). A device is not among them: it is in the conf
 * as well, where plugins without the capability read it (NPWG-074).
 */
function requestedCapabilities(element: SelectionElement | undefined): JsonObject {
  if (element === undefined) return {}
  const { ips, mac, portMappings, bandwidth, infinibandGuid } = element
  const requested = { ips, mac, portMappings, bandwidth, infinibandGUID: infinibandGuid }
  return Object.fromEntries(Object.entries(requested).filter(([, value]) => value !== undefined))
}

function checkCapabilities(
  title: string,
  conflist: Conflist,
  element: SelectionElement | undefined,
  declared: ReadonlySet<string>,
  isStrict: boolean,
): { faults: CniError[]; warnings: string[] } {
  const undeclared = Object.keys(requestedCapabilities(element)).filter(
    (key) => !declared.has(key) && !conflist.plugins.some(({ type }) => readsRequest(type, key)),
  )
  const types = conflist.plugins.map(({ type }) => `"${type}"`).join(', ')
  const texts = undeclared.map(
    (key) =>
      `${title}: the pod asks for "${key}", but no plugin of it (${types}) declares the capability "${key}"`,
  )
  if (!isStrict) return { faults: [], warnings: texts }
  const faults = texts.map(
    (text, index) =>
      new CniError(CniErrorCode.InvalidNetworkConfig, text, {
        hint: `add "capabilities": {"${undeclared[index]}": true} to the plugin that serves it, or set "strictCapabilities": false`,
      }),
  )
  return { faults, warnings: [] }
}

/** Keys that address one interface: the runtime means the default network's. */
const INTERFACE_ARGS: ReadonlySet<string> = new Set(['IP', 'MAC', 'GATEWAY'])

function planArgs(
  args: CniArgs,
  element: SelectionElement | undefined,
  declared: ReadonlySet<string>,
  types: readonly string[],
  isDefault: boolean,
): string {
  let planned: CniArgs = isDefault ? args : args.filter(([key]) => !INTERFACE_ARGS.has(key))
  if (element?.mac !== undefined && !declared.has('mac') && readsMacArg(types)) {
    planned = withCniArg(planned, 'MAC', element.mac)
  }
  if (element?.ips !== undefined && !declared.has('ips') && readsIpArg(types)) {
    planned = withCniArg(planned, 'IP', element.ips.join(','))
  }
  return formatCniArgs(planned)
}

function isolationFault(network: ResolvedNetwork, input: PlanInput): CniError | undefined {
  const { conf, podNamespace } = input
  const { requested, nad } = network
  if (!conf.namespaceIsolation || !requested.isPodChoice || podNamespace === undefined) return undefined
  const namespace =
    nad?.namespace ?? (requested.reference.kind === 'nad' ? requested.reference.namespace : podNamespace)
  if (namespace === podNamespace || conf.globalNamespaces.includes(namespace)) return undefined
  if (requested.isDefault && namespace === conf.multusNamespace) return undefined
  return new CniError(
    CniErrorCode.NamespaceIsolation,
    `namespace isolation enabled, annotation violates permission, pod is in namespace ${podNamespace} but refers to target namespace ${namespace}`,
    { hint: `use a NAD of namespace ${podNamespace}, or add ${namespace} to globalNamespaces` },
  )
}

/** Says which attachments are built on another one's interface (`master`, `links` …). */
function withOrder(attachments: readonly PlannedAttachment[]): PlannedAttachment[] {
  return attachments.map((attachment) => {
    const words = new Set(attachment.plugins.flatMap(({ conf }) => interfaceWords(conf)))
    const waitsFor = attachments
      .filter((other) => other.index < attachment.index && words.has(other.ifName))
      .map(({ index }) => index)
    return { ...attachment, waitsFor }
  })
}

/** Texts in a conf that may name an interface. */
function interfaceWords(value: unknown): string[] {
  if (typeof value === 'string') return [value]
  if (Array.isArray(value)) return value.flatMap(interfaceWords)
  return isJsonObject(value) ? Object.values(value).flatMap(interfaceWords) : []
}
