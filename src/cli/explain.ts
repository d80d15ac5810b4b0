import type { CniArgs } from '../cni/cni-args.ts'
import { CniError, toCniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import { nearMiss } from '../cni/near-miss.ts'
import { type NetConf, parseNetConf } from '../config/net-conf.ts'
import { findNamespaceLabels, resolveNetworks } from '../engine/resolution.ts'
import { findPlugin, isSameFile } from '../executor/plugin-lookup.ts'
import type { Pod } from '../network/pod.ts'
import type { HostFacts } from '../plan/host-facts.ts'
import { planAttachments, type ResolvedNetwork } from '../plan/plan-attachments.ts'
import { executedTypes } from '../plan/plugin-faults.ts'
import { chooseNetworks, type RequestedNetwork } from '../plan/requested-network.ts'
import type { ClusterStore } from '../store/cluster-store.ts'
import type { AskedCluster, ClusterOptions } from './asked-cluster.ts'
import { type ExplainedPod, type Explanation, explainedPod, toExplainedFaults } from './explanation.ts'
import { explanationText } from './explanation-text.ts'
import { ExitCode, UsageError } from './failure.ts'
import { ownExecutable } from './installation.ts'
import { layeredStore, readManifestPods } from './manifest-pods.ts'
import { readNetConfFile } from './net-conf-file.ts'
import { formatDocument, type OutputFormat, type Styler } from './output.ts'
import type { PodName } from './show.ts'

/** What is to be explained. */
interface ExplainInput extends ClusterOptions {
  /** Manifest files or folders whose pods are explained. */
  readonly files: readonly string[]
  /** Manifest folders that objects are looked up in; without `files` their pods are explained. */
  readonly manifests: readonly string[]
  /** Only this pod, wherever it is. */
  readonly pod: PodName | undefined
  /** File of the net-conf. Without it the default network is left open. */
  readonly confFile: string | undefined
  /** Folders in which plugins are looked for; empty: none is looked for. */
  readonly binDirs: readonly string[]
}

/** What `plexus explain` is told. */
export interface ExplainOptions extends ExplainInput {
  readonly format: OutputFormat
  readonly style: Styler
  readonly write: (text: string) => void
}

/** Stands for the container's ID, which only the runtime knows. */
const CONTAINER_ID = 'CONTAINER-ID'
const DEFAULT_IF_NAME = 'eth0'

/**
 * `plexus explain FILE…`: the plan of each pod without running anything; the same decisions as in ADD, made
 * by the same functions.
 *
 * @returns 1 when anything is wrong with any of the pods.
 * @throws {UsageError} When there is nothing to read.
 * @throws {CniError} When manifests or net-conf cannot be read, or have no such pod.
 */
export async function explain(options: ExplainOptions): Promise<number> {
  const { format, style, write } = options
  const explanation = await explainPods(options)
  write(formatDocument(explanation, format, (document) => explanationText(document, style)))
  return explanation.isGood ? ExitCode.good : ExitCode.finding
}

/** Plans the pods. Throws as {@link explain} does. */
async function explainPods(input: ExplainInput): Promise<Explanation> {
  const { confFile, binDirs } = input
  const conf = confFile === undefined ? parseNetConf({ type: 'plexus' }) : readNetConfFile(confFile)
  const lookedUp =
    input.manifests.length > 0 ? input.manifests : conf.manifests === undefined ? [] : [conf.manifests]
  if (input.files.length === 0 && lookedUp.length === 0 && input.pod === undefined) {
    throw new UsageError(
      'nothing to explain: name manifest files, a folder of them by --manifests, or a pod of the cluster by --pod',
    )
  }
  const isClusterNamed = input.kubeconfig !== undefined || input.context !== undefined
  const cluster = isClusterNamed || lookedUp.length === 0 ? await openCluster(input, conf) : undefined
  if (cluster === undefined && input.files.length === 0 && lookedUp.length === 0) {
    throw new UsageError('no cluster to look for the pod in: name a kubeconfig by --kubeconfig')
  }
  const files = layeredStore([input.files, lookedUp], conf.stateDir)
  const store = cluster === undefined ? files : withCluster(files, cluster)
  const explained: ExplainedPod[] = []
  try {
    const pods = await findPods(input, lookedUp, conf, { store, cluster })
    for (const pod of pods) explained.push(await explainPod(pod, conf, store, input))
  } finally {
    await cluster?.close()
  }
  const { source, server } = cluster ?? { source: '', server: null }
  const asked = server === null ? null : { source, server }
  const notes = [
    ...(confFile === undefined
      ? [
          `no net-conf was given: the default network is the node's own affair, all other keys have their defaults (--conf FILE)`,
        ]
      : []),
    ...(binDirs.length === 0
      ? ['whether the plugins are installed was not looked at (--bin-dir DIR, once for each folder)']
      : []),
  ]
  const isGood = explained.every(({ faults }) => faults.length === 0)
  return {
    conf: confFile ?? null,
    cluster: asked,
    isGood,
    notes,
    warnings: conf.warnings,
    pods: explained,
  }
}

/** Loaded only here: many a plan is made of files alone. */
async function openCluster(options: ClusterOptions, conf: NetConf): Promise<AskedCluster | undefined> {
  const { openAskedCluster } = await import('./asked-cluster.ts')
  return openAskedCluster(options, process.env, conf.kubeconfig)
}

/** What is in the files hides what the cluster has by the same name. */
function withCluster(files: ClusterStore, cluster: AskedCluster): ClusterStore {
  return {
    ...files,
    pod: async (namespace, name) => (await files.pod(namespace, name)) ?? cluster.pod(namespace, name),
    nad: async (namespace, name) => (await files.nad(namespace, name)) ?? cluster.nad(namespace, name),
    namespaceLabels: async (namespace) =>
      (await files.namespaceLabels(namespace)) ?? cluster.namespaceLabels(namespace),
  }
}

async function findPods(
  { files, pod: wanted }: ExplainInput,
  lookedUp: readonly string[],
  conf: NetConf,
  { store, cluster }: { readonly store: ClusterStore; readonly cluster: AskedCluster | undefined },
): Promise<readonly Pod[]> {
  const paths = files.length > 0 ? files : lookedUp
  const { pods, kinds } =
    paths.length > 0 ? await readManifestPods(paths, conf.stateDir) : { pods: [], kinds: [] }
  if (wanted === undefined) {
    if (pods.length > 0 || lookedUp === paths) return somePods(pods, kinds, paths)
    return somePods((await readManifestPods(lookedUp, conf.stateDir)).pods, kinds, [...paths, ...lookedUp])
  }
  const pod = await store.pod(wanted.namespace, wanted.name)
  if (pod !== undefined) return [pod]
  if (cluster !== undefined) {
    const where = paths.length > 0 ? 'neither in the manifests nor' : 'not'
    throw new CniError(
      CniErrorCode.InvalidNetworkConfig,
      `pod ${wanted.namespace}/${wanted.name} is ${where} in the cluster of the API server ${cluster.server}`,
      { hint: 'correct the name, or name another cluster by --kubeconfig and --context' },
    )
  }
  const known = [
    ...pods,
    ...(lookedUp.length > 0 ? (await readManifestPods(lookedUp, conf.stateDir)).pods : []),
  ]
  const names = [...new Set(known.map(({ namespace, name }) => `${namespace}/${name}`))]
  const near = nearMiss(`${wanted.namespace}/${wanted.name}`, names)
  const hint =
    near === undefined
      ? `there ${names.length === 1 ? 'is' : 'are'} ${names.slice(0, 20).join(', ') || 'no pods at all'}`
      : `did you mean ${near}?`
  throw new CniError(
    CniErrorCode.InvalidNetworkConfig,
    `pod ${wanted.namespace}/${wanted.name} is not in the manifests; ${hint}`,
  )
}

function somePods(pods: readonly Pod[], kinds: readonly string[], paths: readonly string[]): readonly Pod[] {
  if (pods.length > 0) return pods
  throw new CniError(
    CniErrorCode.InvalidNetworkConfig,
    `no pod in ${paths.join(', ')}; found ${kinds.length === 0 ? 'no manifest at all' : `only: ${kinds.join(', ')}`}`,
    { hint: 'explain reads objects of kind Pod and NetworkAttachmentDefinition' },
  )
}

async function explainPod(
  pod: Pod,
  conf: NetConf,
  store: ClusterStore,
  { confFile, binDirs }: ExplainInput,
): Promise<ExplainedPod> {
  const request = { containerId: CONTAINER_ID, ifName: DEFAULT_IF_NAME, args: podArgs(pod) }
  try {
    const choice = chooseNetworks(conf, pod)
    const networks = await resolveKnown(choice.networks, conf, store, confFile !== undefined)
    const facts = binDirs.length === 0 ? undefined : lookForPlugins(networks, binDirs)
    const plan = planAttachments({
      conf,
      request,
      podNamespace: pod.namespace,
      namespaceLabels: await findNamespaceLabels(store, pod.namespace, networks),
      networks,
      facts,
      devices: undefined,
    })
    const isDefaultOpen = networks[0]?.conflist === undefined && networks[0]?.fault === undefined
    return explainedPod(
      pod,
      { ...plan, warnings: [...choice.warnings, ...plan.warnings] },
      { clusterCIDRs: conf.clusterCIDRs, openIfName: isDefaultOpen ? request.ifName : undefined },
    )
  } catch (error) {
    return {
      ...explainedPod(
        pod,
        { attachments: [], faults: [], warnings: [], missing: [] },
        { clusterCIDRs: [], openIfName: undefined },
      ),
      faults: toExplainedFaults([toCniError(error)]),
    }
  }
}

/** Without a net-conf nobody has said where the default network is; its place in the pod stays taken. */
async function resolveKnown(
  requested: readonly RequestedNetwork[],
  conf: NetConf,
  store: ClusterStore,
  hasConf: boolean,
): Promise<ResolvedNetwork[]> {
  const [first, ...others] = requested
  if (hasConf || first === undefined || first.reference.kind !== 'first-file') {
    return await resolveNetworks(requested, { conf, store })
  }
  const open = { conflist: undefined, nad: undefined, fault: undefined, warnings: [], missing: [] }
  return [
    { requested: first, ...open, source: 'the default network' },
    ...(await resolveNetworks(others, { conf, store })),
  ]
}

function lookForPlugins(networks: readonly ResolvedNetwork[], binDirs: readonly string[]): HostFacts {
  const types = networks.flatMap(
    ({ conflist }) => conflist?.plugins.flatMap((conf) => executedTypes({ type: conf.type, conf })) ?? [],
  )
  const self = ownExecutable()
  const plugins = new Map(
    types.map((type) => {
      const path = findPlugin(type, binDirs)
      return [type, path === undefined ? undefined : { path, isPlexus: isSameFile(path, self) }]
    }),
  )
  return { netnsId: undefined, isHostNetns: false, links: [], plugins, searchPath: binDirs }
}

/** As containerd and CRI-O write them. */
function podArgs({ namespace, name, isStatic, configHash, ...pod }: Pod): CniArgs {
  const uid = isStatic ? (configHash ?? pod.uid) : pod.uid
  return [
    ['IgnoreUnknown', '1'],
    ['K8S_POD_NAMESPACE', namespace],
    ['K8S_POD_NAME', name],
    ['K8S_POD_INFRA_CONTAINER_ID', CONTAINER_ID],
    ...(uid === undefined ? [] : [['K8S_POD_UID', uid] as const]),
  ]
}
