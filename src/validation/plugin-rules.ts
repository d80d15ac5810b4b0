import { isJsonObject, type JsonObject } from '../cni/json.ts'
import type { FindingCode } from './finding.ts'
import { hasKey, numberOf, type PluginView, textOf } from './plugin-view.ts'

/** What a rule about one plugin knows of the network around it. */
export interface PluginSurroundings {
  /** `namespace/name` of the NAD, if it is one. */
  readonly nadKey: string | undefined
  /** Whether the NAD names a resource, so that a device is injected. */
  readonly hasResource: boolean
  /** Capabilities that the plugin declares. */
  readonly capabilities: ReadonlySet<string>
  /** Type of the network's first plugin. */
  readonly firstType: string
}

type Rule = (view: PluginView, surroundings: PluginSurroundings) => void

/** Rules about one plugin's keys that its schema cannot say. */
export function applyPluginRules(view: PluginView, surroundings: PluginSurroundings): void {
  if (Object.hasOwn(RULES, view.type)) RULES[view.type]?.(view, surroundings)
  if (view.ipamType === 'kube-ovn' && view.type !== 'kube-ovn') {
    checkProvider(view, view.ipam, ['ipam'], surroundings.nadKey, '')
  }
}

const RULES: Readonly<Record<string, Rule>> = {
  bridge: (view) => {
    exclude(view, 'hairpinMode', 'promiscMode')
    if ((numberOf(view.conf, 'vlan') ?? 0) > 0) exclude(view, 'vlan', 'vlanTrunk')
    checkTrunk(view, 'vlanTrunk')
  },
  ovs: (view, { hasResource }) => {
    checkTrunk(view, 'trunk')
    const { conf } = view
    // With a device its switch's bridge is looked up by the plugin; the other file may name one.
    const others = ['bridge', 'deviceID', 'configuration_path']
    if (!hasResource && others.every((key) => textOf(conf, key) === undefined)) {
      add(view, 'missing-key', [], '"bridge" is missing')
    }
  },
  vlan: (view) => {
    if (numberOf(view.conf, 'vlanId') === undefined && !hasKey(view.written, 'vlanId')) {
      add(
        view,
        'vlan-id-missing',
        [],
        '"vlanId" is missing, so it is VLAN 0',
        'write "vlanId": 100, or the VLAN that it is',
      )
    }
  },
  'host-device': (view, { hasResource, capabilities }) => {
    const keys = ['device', 'hwaddr', 'kernelpath', 'pciBusID', 'deviceID']
    if (hasResource || capabilities.has('deviceID') || keys.some((key) => hasKey(view.written, key))) return
    add(
      view,
      'device-missing',
      [],
      `no device: none of ${keys.map((key) => `"${key}"`).join(', ')}`,
      'name the device, or its resource in the annotation k8s.v1.cni.cncf.io/resourceName of the NAD',
    )
  },
  sriov: (view, { hasResource }) => {
    const { conf } = view
    if (!hasResource && textOf(conf, 'deviceID') === undefined) {
      add(
        view,
        'sriov-without-device',
        [],
        'nothing tells which virtual function: the NAD names no resource',
        'set the annotation k8s.v1.cni.cncf.io/resourceName on the NAD',
      )
    }
    const vlan = numberOf(conf, 'vlan')
    for (const key of ['vlanQoS', 'vlanProto']) {
      const needs = key === 'vlanQoS' ? conf[key] !== 0 : String(conf[key]).toLowerCase() === '802.1ad'
      if (!Object.hasOwn(conf, key)) continue
      if (vlan === undefined && !hasKey(view.written, 'vlan'))
        add(view, 'sriov-vlan', [key], `"${key}" needs "vlan" beside it`)
      else if (vlan === 0 && needs) add(view, 'sriov-vlan', [key], `"${key}" needs a "vlan" above 0`)
    }
    const [least, most] = [numberOf(conf, 'min_tx_rate') ?? 0, numberOf(conf, 'max_tx_rate') ?? 0]
    if (most > 0 && least > most) {
      add(view, 'rate-order', ['min_tx_rate'], `"min_tx_rate" ${least} is above "max_tx_rate" ${most}`)
    }
  },
  'ovn-k8s-cni-overlay': (view, { nadKey }) => {
    const named = textOf(view.conf, 'netAttachDefName')
    if (named === undefined || nadKey === undefined || named === nadKey) return
    add(
      view,
      'nad-name-mismatch',
      ['netAttachDefName'],
      `"netAttachDefName" must be the NAD itself, ${nadKey}, not ${named}`,
    )
  },
  'kube-ovn': (view, { nadKey }) => checkProvider(view, view.conf, [], nadKey, '.ovn'),
  tuning: (view) => {
    const { sysctl } = view.conf
    if (!isJsonObject(sysctl)) return
    for (const key of Object.keys(sysctl)) {
      if (/^net[./]/.test(key)) continue
      add(
        view,
        'sysctl-not-net',
        ['sysctl', key],
        `sysctl "${key}" is not below "net": the plugin refuses it`,
      )
    }
  },
  portmap: (view, { capabilities }) => {
    exclude(view, 'externalSetMarkChain', 'markMasqBit')
    needCapability(view, capabilities, 'portMappings', ', so it never gets a port to map')
  },
  bandwidth: (view, surroundings) => {
    const { conf } = view
    const has = (key: string): boolean => (numberOf(conf, key) ?? 0) > 0
    for (const way of ['ingress', 'egress']) {
      const [rate, burst] = [`${way}Rate`, `${way}Burst`]
      if (has(rate) !== has(burst)) {
        const [there, needed] = has(rate) ? [rate, burst] : [burst, rate]
        add(view, 'bandwidth-pair', [there], `"${there}" needs "${needed}" beside it`)
      }
    }
    if (!hasKey(view.written, 'ingressRate') && !hasKey(view.written, 'egressRate')) {
      needCapability(view, surroundings.capabilities, 'bandwidth', ' and has no rate, so it limits nothing')
    }
    if (
      ['macvlan', 'ipvlan', 'vlan', 'sriov', 'host-device', 'dummy', 'bond'].includes(surroundings.firstType)
    ) {
      add(
        view,
        'bandwidth-without-veth',
        [],
        `it needs the host's end of a veth pair, which "${surroundings.firstType}" does not make`,
      )
    }
  },
}

function add(
  view: PluginView,
  code: FindingCode,
  path: readonly (string | number)[],
  text: string,
  hint?: string,
) {
  view.report.add(code, [...view.path, ...path], `${view.type}: ${text}`, hint)
}

/** Kube-OVN's controller and its agent find each other's word on a pod by this name. */
function checkProvider(
  view: PluginView,
  conf: JsonObject,
  path: readonly string[],
  nadKey: string | undefined,
  ending: string,
): void {
  const named = textOf(conf, 'provider')
  if (named === undefined || named === 'ovn' || nadKey === undefined) return
  const [namespace, name] = nadKey.split('/')
  const wanted = `${name}.${namespace}${ending}`
  if (named === wanted) return
  add(
    view,
    'nad-name-mismatch',
    [...path, 'provider'],
    `"${[...path, 'provider'].join('.')}" must be name and namespace of the NAD itself, ${wanted}, not ${named}`,
  )
}

function isSet(value: unknown): boolean {
  return Array.isArray(value) ? value.length > 0 : value !== undefined && value !== false && value !== ''
}

function exclude(view: PluginView, left: string, right: string): void {
  if (!isSet(view.conf[left]) || !isSet(view.conf[right])) return
  add(view, 'excluded-keys', [right], `"${left}" and "${right}" exclude each other`)
}

function needCapability(view: PluginView, declared: ReadonlySet<string>, name: string, why: string): void {
  if (declared.has(name)) return
  add(
    view,
    'capability-missing',
    [],
    `it does not declare the capability "${name}"${why}`,
    `add "capabilities": {"${name}": true}`,
  )
}

function checkTrunk(view: PluginView, key: string): void {
  const trunk = view.conf[key]
  if (!Array.isArray(trunk)) return
  for (const [index, item] of trunk.entries()) {
    if (!isJsonObject(item)) continue
    const { minID, maxID } = item as JsonObject
    const one = minID === undefined ? 'minID' : 'maxID'
    if ((minID === undefined) !== (maxID === undefined)) {
      add(view, 'vlan-trunk', [key, index], `"${key}[${index}]" has no "${one}": both ends are needed`)
    } else if (typeof minID === 'number' && typeof maxID === 'number' && minID > maxID) {
      add(view, 'vlan-trunk', [key, index], `"${key}[${index}]": "minID" ${minID} is above "maxID" ${maxID}`)
    }
  }
}
