import { join } from 'node:path'
import { toCniError } from '../../cni/cni-error.ts'
import type { Conflist } from '../../cni/conflist.ts'
import { toJsonObject } from '../../cni/json.ts'
import { resolveNetworks } from '../../engine/resolution.ts'
import { type NetworkPin, parsePin } from '../../plan/default-network-choice.ts'
import { chooseNetworks } from '../../plan/requested-network.ts'
import type { NetworkSystem, ReadinessProbe } from '../../plan/systems/network-system.ts'
import { recogniseSystem } from '../../plan/systems/registry.ts'
import { detectDefaultNetwork } from '../default-network-detection.ts'
import { runProbes } from '../readiness-probe.ts'
import { namesIn, textOf } from './bounded-reading.ts'
import type { ExaminedNode } from './examined-node.ts'
import { evidenceOf, type Found, shellWord } from './finding.ts'

/** The default network as the doctor finds it, and what is wrong with it. */
export interface ExaminedNetwork {
  readonly found: readonly Found[]
  /** `undefined` when there is none. */
  readonly conflist: Conflist | undefined
  /** Where it is from. */
  readonly source: string
}

/** Keys of which one names the default network. */
const NAMING_KEYS: readonly string[] = ['defaultNetwork', 'clusterNetwork', 'delegates']
const PIN_FILE = 'default-network.json'

/** Which network is the default one and why, and whether it is ready. */
export async function examineDefaultNetwork(node: ExaminedNode): Promise<ExaminedNetwork> {
  const { daemonConf, ownList, stateDir } = node
  const pinFile = join(stateDir, PIN_FILE)
  const { pin, found } = readPin(pinFile)
  const isNamedBy = (keys: object): boolean => NAMING_KEYS.some((key) => key in keys)
  const isNamed =
    isNamedBy(daemonConf?.netConf ?? {}) ||
    // In a list that the daemon keeps the name is what was detected.
    (daemonConf === undefined && pin === undefined && isNamedBy(ownList?.entry ?? {}))
  const network = isNamed ? await namedNetwork(node) : detectedNetwork(node, pin, pinFile)
  const { conflist, path, system } = network
  if (conflist === undefined) return { ...network, found: [...found, ...network.found] }
  const title = system === undefined ? 'no system that Plexus knows' : system.title
  return {
    ...network,
    found: [
      ...found,
      {
        id: 'default-network',
        what: `the default network is "${conflist.name}" of ${network.source} (${title})`,
        evidence: [`chosen because ${network.because}`],
      },
      ...network.found,
      ...(system === undefined ? [] : await systemFaults(system, node, path)),
    ],
  }
}

interface SoughtNetwork extends ExaminedNetwork {
  readonly path: string | undefined
  readonly system: NetworkSystem | undefined
  readonly because: string
}

async function namedNetwork(node: ExaminedNode): Promise<SoughtNetwork> {
  const { netConf, cluster } = node
  try {
    const [first] = chooseNetworks(netConf, undefined).networks
    // Of the store a NAD alone is asked.
    const store = cluster?.store as Parameters<typeof resolveNetworks>[1]['store']
    const [resolved] = await resolveNetworks(first === undefined ? [] : [first], { conf: netConf, store })
    if (resolved?.fault !== undefined) throw resolved.fault
    if (resolved?.conflist === undefined) throw new Error('the configuration names none')
    const { source, conflist } = resolved
    const path = source.startsWith('file ') ? source.slice('file '.length) : undefined
    const folder = path?.slice(0, path.lastIndexOf('/'))
    return {
      conflist,
      source,
      path,
      system:
        path === undefined
          ? undefined
          : recogniseSystem({ path, conflist, siblings: namesIn(folder ?? '/') }),
      because: first?.reason ?? 'the configuration names it',
      found: [],
    }
  } catch (error) {
    const { message, hint, faults } = toCniError(error)
    return missing(message, faults, hint ?? 'name it by "defaultNetwork" in the configuration')
  }
}

function detectedNetwork(node: ExaminedNode, pin: NetworkPin | undefined, pinFile: string): SoughtNetwork {
  const folder = searchedFolder(node)
  const { chosen, ignored, pin: next } = detectDefaultNetwork(folder, { pin })
  if (chosen === undefined) {
    const was = pin === undefined ? '' : `; it was "${pin.name}" of ${pin.path}`
    const fix = pin === undefined ? 'install the default CNI' : 'start the default CNI on this node'
    return missing(`no file in ${folder} is one${was}`, ignored, fix)
  }
  const { standsInFor } = next ?? {}
  const because =
    pin !== undefined && pin.path === chosen.path
      ? `it is remembered in ${pinFile}, and is there`
      : `it is the first valid file of ${folder} that is not of a meta-plugin`
  return {
    conflist: chosen.conflist,
    source: chosen.path,
    path: chosen.path,
    system: chosen.system,
    because: [because, ...ignored].join('; '),
    found:
      standsInFor === undefined
        ? []
        : [
            {
              id: 'default-network-stand-in',
              what: `"${chosen.conflist.name}" stands in for "${standsInFor.name}" (plugin "${standsInFor.type}"), whose file is gone`,
              evidence: [pinFile],
              fix: `start the default CNI that was removed; if it is gone for good, rm ${shellWord(pinFile)} and restart the daemon`,
            },
          ],
  }
}

/** Without the daemon's configuration the runtime's folder stands for what that would name. */
function searchedFolder({ netConf, daemonConf, ownList, confDir }: ExaminedNode): string {
  const isNamed = ['confDir', 'multusAutoconfigDir'].some((key) => key in (ownList?.entry ?? {}))
  return daemonConf === undefined && !isNamed ? confDir : netConf.autoConfDir
}

function missing(reason: string, evidence: readonly string[], fix: string): SoughtNetwork {
  return {
    conflist: undefined,
    source: '',
    path: undefined,
    system: undefined,
    because: '',
    found: [
      {
        id: 'default-network-missing',
        what: `there is no default network: ${reason}`,
        evidence: evidenceOf(evidence),
        fix,
      },
    ],
  }
}

async function systemFaults(
  system: NetworkSystem,
  { isPod }: ExaminedNode,
  path: string | undefined,
): Promise<Found[]> {
  const found: Found[] = []
  // In a pod the host's files and sockets are not there.
  const visible = system.readiness.filter((probe) => !isPod || !isOfFiles(probe))
  const faults = (await runProbes(visible)).flatMap(({ fault }) => fault ?? [])
  if (faults.length > 0) {
    found.push({
      id: 'default-network-not-ready',
      what: `${system.title} is not ready on this node: pods fail with "${system.notReady}"`,
      evidence: faults,
      fix: `look at the pods of ${system.title} on this node: kubectl get pods -A -o wide --field-selector spec.nodeName=NODE`,
    })
  }
  if (visible.length < system.readiness.length)
    found.push({ id: 'partial-view', what: `whether ${system.title} is ready cannot be seen from here` })
  for (const { quirk, remedy } of system.quirks) {
    found.push({
      id: 'default-network-quirk',
      what: `${system.title}: ${quirk.replace(/\.$/, '')}`,
      ...(path === undefined ? {} : { evidence: [path] }),
      fix: remedy,
    })
  }
  return found
}

function isOfFiles(probe: ReadinessProbe): boolean {
  return probe.kind === 'any' ? probe.of.some(isOfFiles) : probe.kind === 'file' || probe.kind === 'socket'
}

function readPin(pinFile: string): { readonly pin: NetworkPin | undefined; readonly found: Found[] } {
  let reason = 'it does not hold what the daemon writes'
  try {
    const text = textOf(pinFile)
    if (text === undefined) return { pin: undefined, found: [] }
    const pin = parsePin(toJsonObject(text))
    if (pin !== undefined) return { pin, found: [] }
  } catch (error) {
    reason = toCniError(error).message
  }
  return {
    pin: undefined,
    found: [
      {
        id: 'default-network-pin-damaged',
        what: `${pinFile} is damaged: the daemon will choose the default network anew at its next start`,
        evidence: [reason],
        fix: `rm ${shellWord(pinFile)}`,
      },
    ],
  }
}
