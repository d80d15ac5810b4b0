import { toCniError } from '../../cni/cni-error.ts'
import type { Conflist } from '../../cni/conflist.ts'
import { isJsonObject, toJsonObject } from '../../cni/json.ts'
import { nadConflist } from '../../engine/resolution.ts'
import { findPlugin } from '../../executor/plugin-lookup.ts'
import { executedTypes } from '../../plan/plugin-faults.ts'
import { isMetaPlugin } from '../../plan/plugin-quirks.ts'
import { entryAt, trustFault } from './bounded-reading.ts'
import type { ExaminedNode } from './examined-node.ts'
import { evidenceOf, type FindingId, type Found } from './finding.ts'
import { runProgram } from './program.ts'

const VERSION_MS = 5000
/** Plugins that are asked for their versions; a node has a dozen or two. */
const MOST_ASKED = 64

/** A network and what it is called for people. */
interface NamedNetwork {
  readonly title: string
  readonly conflist: Conflist
  readonly isDefault: boolean
}

/** Whether the plugins of the default network and of every NAD are there, root's, and speak the network's version. */
export async function networkProbe(
  node: ExaminedNode,
  defaultNetwork: { readonly conflist: Conflist | undefined; readonly source: string },
): Promise<Found[]> {
  const { cluster, netConf, ownList, pluginDirs, isPod } = node
  const found: Found[] = []
  const networks: NamedNetwork[] = []
  const { conflist, source } = defaultNetwork
  if (conflist !== undefined)
    networks.push({ title: `the default network (${source})`, conflist, isDefault: true })
  // What others have put beside our entry the runtime calls for every pod.
  if (ownList !== undefined) {
    const { path, conflist: list } = ownList.file
    networks.push({ title: `the runtime's list (${path})`, conflist: list, isDefault: true })
  }
  for (const nad of cluster?.nads ?? []) {
    const title = `NAD ${nad.namespace}/${nad.name}`
    try {
      networks.push({ title, conflist: nadConflist(nad, netConf.confDirs), isDefault: false })
    } catch (error) {
      found.push(invalidNad(toCniError(error).message))
    }
  }
  for (const fault of cluster?.faults ?? []) found.push(invalidNad(fault))
  if (cluster?.problem !== undefined) {
    found.push({
      id: 'cluster-unreachable',
      what: `the networks of the cluster cannot be looked at: ${cluster.problem}`,
      evidence: [cluster.source],
      fix: 'name a kubeconfig that may list network-attachment-definitions by --kubeconfig',
    })
  }
  if (isPod && pluginDirs.every((folder) => entryAt(folder) === undefined)) {
    found.push({
      id: 'partial-view',
      what: 'the folders of plugins are not mounted here: what is in them cannot be seen',
    })
    return found
  }
  return [...found, ...(await pluginFaults(node, networks))]
}

function invalidNad(message: string): Found {
  return {
    id: 'nad-invalid',
    what: `a network cannot be used: ${message}`,
    fix: 'kubectl get network-attachment-definitions -A -o yaml | plexus validate -',
  }
}

async function pluginFaults(node: ExaminedNode, networks: readonly NamedNetwork[]): Promise<Found[]> {
  const { pluginDirs, isPod } = node
  const users = new Map<string, NamedNetwork[]>()
  for (const network of networks) {
    for (const type of new Set(
      network.conflist.plugins.flatMap((conf) => executedTypes({ type: conf.type, conf })),
    ))
      if (!isMetaPlugin(type)) users.set(type, [...(users.get(type) ?? []), network])
  }
  const found: Found[] = []
  let asked = 0
  for (const [type, used] of [...users].sort(([left], [right]) => (left < right ? -1 : 1))) {
    const path = findPlugin(type, pluginDirs)
    if (path === undefined) {
      found.push({
        id: idFor(used, 'default-plugin-missing', 'nad-plugin-missing'),
        what: `plugin "${type}" is not installed on this node`,
        evidence: [
          ...evidenceOf(used.map(({ title }) => `needed by ${title}`)),
          `looked for in ${pluginDirs.join(', ')}`,
        ],
        fix: `install "${type}" into ${pluginDirs[0]}`,
      })
      continue
    }
    const mistrust = trustFault(path)
    if (mistrust !== undefined) {
      found.push({
        id: 'plugin-refused',
        what: `plugin "${type}" is refused: ${mistrust}`,
        evidence: evidenceOf(used.map(({ title }) => `needed by ${title}`)),
        fix: `install "${type}" anew as root's, mode 0755`,
      })
      continue
    }
    // What is made for the host need not run in a container.
    if (isPod || asked >= MOST_ASKED) continue
    asked += 1
    found.push(...(await versionFaults(type, path, used)))
  }
  return found
}

/** One that cannot say what it speaks is of before the verb VERSION: nothing is said of it. */
async function versionFaults(type: string, path: string, used: readonly NamedNetwork[]): Promise<Found[]> {
  const { stdout } = await runProgram(path, [], {
    env: { CNI_COMMAND: 'VERSION' },
    stdin: '{"cniVersion":"1.1.0"}',
    timeoutMs: VERSION_MS,
  })
  const answer = toJsonObject(stdout)
  if (!isJsonObject(answer) || !Array.isArray(answer.supportedVersions)) return []
  const versions = answer.supportedVersions.map(String)
  const skewed = used.filter(({ conflist }) => !versions.includes(conflist.cniVersion))
  if (skewed.length === 0) return []
  return [
    {
      id: idFor(skewed, 'default-plugin-version', 'nad-plugin-version'),
      what: `plugin "${type}" does not speak the cniVersion of a network`,
      evidence: [
        `${path} speaks ${versions.join(', ')}`,
        ...evidenceOf(skewed.map(({ title, conflist }) => `${title} has cniVersion ${conflist.cniVersion}`)),
      ],
      fix: `set a cniVersion that it speaks, or install a newer "${type}"`,
    },
  ]
}

function idFor(used: readonly NamedNetwork[], ofDefault: FindingId, ofNad: FindingId): FindingId {
  return used.some(({ isDefault }) => isDefault) ? ofDefault : ofNad
}
