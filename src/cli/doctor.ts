import { existsSync } from 'node:fs'
import { type CniError, toCniError } from '../cni/cni-error.ts'
import type { DaemonConf } from '../config/daemon-conf.ts'
import { readConfFile } from '../daemon/conf-file.ts'
import { type DoctorFinding, type Examination, examine } from '../node/doctor/doctor.ts'
import type { ClusterNetworks } from '../node/doctor/examined-node.ts'
import type { ClusterStore } from '../store/cluster-store.ts'
import type { KubernetesLists } from '../store/kubernetes-lists.ts'
import { manifestStore } from '../store/manifests.ts'
import { type ClusterOptions, openAskedCluster } from './asked-cluster.ts'
import { ExitCode } from './failure.ts'
import { packageVersion } from './installation.ts'
import { formatDocument, type OutputFormat, type Style, type Styler } from './output.ts'

/** What `plexus doctor` is told. */
export interface DoctorCommand extends ClusterOptions {
  readonly binDir: string | undefined
  readonly confDir: string | undefined
  readonly stateDir: string | undefined
  readonly socket: string | undefined
  /** The daemon's configuration. */
  readonly config: string | undefined
  readonly isRepairWanted: boolean
  readonly format: OutputFormat
  readonly style: Styler
  readonly write: (text: string) => void
}

/** What `plexus doctor -o json` prints. */
interface DoctorDocument extends Examination {
  /** Whether no error is left. */
  readonly isGood: boolean
  readonly errors: number
  readonly warnings: number
}

/** Where the DaemonSet has the configuration. */
const MOUNTED_CONFIG = '/etc/plexus/daemon.yaml'
/** A container has it, and what is run on the host from a container by chroot has not. */
const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount'

const STYLES: Readonly<Record<DoctorFinding['severity'], Style>> = {
  error: 'red',
  warning: 'yellow',
  info: 'dim',
}

/**
 * `plexus doctor`: everything that keeps this node from attaching pods, each with what was seen and the command
 * that puts it right.
 *
 * @returns 1 when an error is left.
 */
export async function doctor(command: DoctorCommand): Promise<number> {
  const { binDir, confDir, stateDir, socket, isRepairWanted, format, style, write } = command
  const config = command.config ?? (existsSync(MOUNTED_CONFIG) ? MOUNTED_CONFIG : undefined)
  const { conf, fault } = readDaemonConf(config)
  const cluster = openCluster(command, conf)
  let examination: Examination
  try {
    examination = await examine(
      {
        ...{ binDir, confDir, stateDir, socket },
        daemonConf: conf,
        daemonConfFault: fault,
        cluster: cluster && (await readNetworks(cluster)),
        isPod: existsSync(SERVICE_ACCOUNT),
        version: packageVersion(),
      },
      isRepairWanted,
    )
  } finally {
    await cluster?.close()
  }
  const left = examination.findings.filter(({ fixed }) => fixed.length === 0)
  const count = (severity: DoctorFinding['severity']): number =>
    left.filter((finding) => finding.severity === severity).length
  const [errors, warnings] = [count('error'), count('warning')]
  const document: DoctorDocument = { isGood: errors === 0, errors, warnings, ...examination }
  write(formatDocument(document, format, (whole) => doctorText(whole, style)))
  return errors === 0 ? ExitCode.good : ExitCode.finding
}

function readDaemonConf(path: string | undefined): { conf?: DaemonConf; fault?: CniError } {
  if (path === undefined) return {}
  try {
    return { conf: readConfFile(path) }
  } catch (error) {
    return { fault: toCniError(error) }
  }
}

/** Who is asked for networks: the manifests that the daemon is told of, else a cluster. */
interface Cluster extends Pick<KubernetesLists, 'nads'>, Pick<ClusterStore, 'nad'> {
  readonly source: string
  close(): Promise<void>
}

function openCluster(
  { kubeconfig, context, stateDir = '' }: DoctorCommand,
  conf: DaemonConf | undefined,
): Cluster | undefined {
  const { manifests, kubeconfig: ofDaemon } = conf?.netConf ?? {}
  if (kubeconfig === undefined && typeof manifests === 'string') {
    const store = manifestStore({ manifests, stateDir })
    return { ...store, source: `manifests ${manifests}`, close: () => Promise.resolve() }
  }
  const named = typeof ofDaemon === 'string' ? ofDaemon : undefined
  return openAskedCluster({ kubeconfig, context }, process.env, named)
}

async function readNetworks(cluster: Cluster): Promise<ClusterNetworks> {
  const { source } = cluster
  try {
    const { objects, faults } = await cluster.nads()
    return { source, store: cluster, nads: objects, faults, problem: undefined }
  } catch (error) {
    return { source, store: cluster, nads: [], faults: [], problem: toCniError(error).message }
  }
}

function doctorText({ findings, errors, warnings }: DoctorDocument, style: Styler): string {
  const lines = findings.flatMap(({ id, severity, what, evidence, fix, fixed }) => [
    `${style(STYLES[severity], severity)}: ${what} ${style('dim', `[${id}]`)}`,
    ...evidence.map((line) => `    ${line}`),
    ...(fixed.length > 0
      ? fixed.map((line) => `    ${style('green', 'Fixed')}: ${line}`)
      : fix === null
        ? []
        : [`    What to do: ${fix}`]),
  ])
  const number = (many: number, word: string): string => `${many} ${word}${many === 1 ? '' : 's'}`
  const result =
    errors + warnings === 0 ? 'good' : `${number(errors, 'error')}, ${number(warnings, 'warning')}`
  return [...lines, `This node: ${result}`, ''].join('\n')
}
