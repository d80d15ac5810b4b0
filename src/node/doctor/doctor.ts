import { toCniError } from '../../cni/cni-error.ts'
import { redactMessage } from '../../cni/redact.ts'
import { nadConflist } from '../../engine/resolution.ts'
import { attachmentProbe } from './attachment-probe.ts'
import { confFolderProbe } from './conf-folder-probe.ts'
import { daemonProbe, statusProbe } from './daemon-probes.ts'
import { type ExaminedNetwork, examineDefaultNetwork } from './default-network-probe.ts'
import { type DoctorOptions, type ExaminedNode, examineNode } from './examined-node.ts'
import { FINDINGS, type FindingId, type Found, type Severity } from './finding.ts'
import { halfWrittenProbe, installationProbe } from './installation-probes.ts'
import { kernelProbe } from './kernel-probe.ts'
import { leaseFolders, leaseProbe } from './lease-probe.ts'
import { networkProbe } from './network-probes.ts'
import { lockProbe, stateProbe } from './state-probes.ts'

/** A finding as `plexus doctor` prints it. `null`: there is none. */
export interface DoctorFinding {
  readonly id: FindingId
  readonly severity: Severity
  readonly what: string
  readonly evidence: readonly string[]
  /** The command that puts it right. */
  readonly fix: string | null
  /** What `--fix` did about it; empty when nothing. */
  readonly fixed: readonly string[]
}

/** What was looked at and what was found. */
export interface Examination {
  readonly binDir: string
  readonly confDir: string
  readonly stateDir: string
  readonly socket: string
  /** Worst first. */
  readonly findings: readonly DoctorFinding[]
}

type Probe = (node: ExaminedNode, network: ExaminedNetwork) => readonly Found[] | Promise<readonly Found[]>

/** In the order in which a request meets what they look at. */
const PROBES: Readonly<Record<string, Probe>> = {
  'conf folder': confFolderProbe,
  installation: installationProbe,
  'half-written files': halfWrittenProbe,
  daemon: daemonProbe,
  status: statusProbe,
  networks: networkProbe,
  state: stateProbe,
  locks: lockProbe,
  attachments: attachmentProbe,
  leases: (node, { conflist }) => leaseProbe(node, namedLeaseFolders(node, conflist?.plugins ?? [])),
  kernel: kernelProbe,
}

const ORDER: readonly Severity[] = ['error', 'warning', 'info']

/**
 * Looks at everything that a node's networks depend on. Nothing is changed, unless repairs are wanted: then what
 * can be put right without risk is.
 */
export async function examine(options: DoctorOptions, isRepairWanted: boolean): Promise<Examination> {
  const { node, found } = await examineNode(options)
  const all: Found[] = [...found]
  let network: ExaminedNetwork = { found: [], conflist: undefined, source: '' }
  const probe = async (
    title: string,
    run: () => readonly Found[] | Promise<readonly Found[]>,
  ): Promise<void> => {
    try {
      all.push(...(await run()))
    } catch (error) {
      const { message } = toCniError(error)
      all.push({ id: 'probe-failed', what: `the probe of ${title} could not be ended: ${message}` })
    }
  }
  await probe('the default network', async () => {
    network = await examineDefaultNetwork(node)
    return network.found
  })
  for (const [title, run] of Object.entries(PROBES)) await probe(title, () => run(node, network))
  const findings: DoctorFinding[] = []
  for (const one of all) findings.push(await toFinding(one, isRepairWanted))
  const { binDir, confDir, stateDir, socket } = node
  findings.sort((left, right) => ORDER.indexOf(left.severity) - ORDER.indexOf(right.severity))
  return { binDir, confDir, stateDir, socket, findings }
}

async function toFinding(found: Found, isRepairWanted: boolean): Promise<DoctorFinding> {
  const { id, fix = null, repair } = found
  // It is copied into tickets.
  const evidence = (found.evidence ?? []).map(redactMessage)
  const finding = {
    ...{ id, severity: FINDINGS[id], what: redactMessage(found.what) },
    ...{ evidence, fix, fixed: [] },
  }
  if (!isRepairWanted || repair === undefined) return finding
  try {
    return { ...finding, fixed: await repair() }
  } catch (error) {
    return { ...finding, evidence: [...evidence, `--fix failed: ${toCniError(error).message}`] }
  }
}

function namedLeaseFolders({ cluster, netConf }: ExaminedNode, defaultPlugins: readonly unknown[]): string[] {
  const plugins = (cluster?.nads ?? []).flatMap((nad) => {
    try {
      return nadConflist(nad, netConf.confDirs).plugins
    } catch {
      // The probe of networks tells what is wrong with it.
      return []
    }
  })
  return leaseFolders([...defaultPlugins, ...plugins])
}
