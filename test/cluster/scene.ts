import { randomBytes } from 'node:crypto'
import * as assert from 'uvu/assert'
import { CniError } from '../../src/cni/cni-error.ts'
import { type KubernetesLimits, type KubernetesStore, kubernetesStore } from '../../src/store/kubernetes.ts'
import { type CredentialSource, kubeconfigCredentials } from '../../src/store/kubernetes-credentials.ts'
import type { PublishingLimits, PublishingOptions } from '../../src/store/publisher.ts'
import { type StubNode, stubNode } from '../plugin/stub-node.ts'
import { type ApiProxy, type ProxyFault, startApiProxy } from '../rig/api-proxy.ts'
import { eventually, type Installation, installDaemon, type TestDaemon } from '../rig/daemon.ts'
import { deployedObject } from '../rig/deployment.ts'
import { type KubeApiserver, startKubeApiserver } from '../rig/kube-apiserver.ts'
import { writeKubeconfig } from '../rig/kubeconfig.ts'
import { type NadOptions, nad, type PodOptions, pod } from '../rig/manifests.ts'
import { tempDir } from '../rig/temp-dir.ts'
import type { TestPod } from '../rig/test-node.ts'

const NADS = 'network-attachment-definitions'

/** A cluster with a proxy before its API server, and the objects of one namespace of its own. */
export interface ClusterScene {
  readonly api: KubeApiserver
  readonly proxy: ApiProxy
  readonly namespace: string
  /** Makes a pod that is scheduled to {@link NODE}, unless another node is named; gives its UID. */
  createPod(options: PodOptions & { readonly node?: string; readonly spec?: object }): Promise<string>
  deletePod(name: string): Promise<void>
  podPath(name: string): string
  createNad(options: NadOptions): Promise<void>
  updateNad(name: string, config: object): Promise<void>
  deleteNad(name: string): Promise<void>
  /** A store as user `node` through the proxy, that follows {@link NODE} and has listed everything. */
  store(options?: SceneStoreOptions): Promise<SceneStore>
  close(): Promise<void>
}

/** What of a scene's store is not the usual. */
interface SceneStoreOptions {
  readonly stateDir?: string
  readonly credentials?: CredentialSource
  readonly limits?: Partial<KubernetesLimits>
  /** Does not wait for the lists, because they cannot be read. */
  readonly isUnreachable?: boolean
  /** Follows nothing, as a process that ends after one request. */
  readonly isOneShot?: boolean
  /** Publishes in the background, by these options over short bounds. */
  readonly publishing?: Partial<PublishingOptions>
}

/** A store with what it said. */
export interface SceneStore extends KubernetesStore {
  readonly warnings: readonly string[]
  readonly stateDir: string
  /** What became of publications, and of events. */
  readonly outcomes: readonly string[]
  readonly told: readonly string[]
}

/** Whose pods a scene's store follows. */
export const NODE = 'worker-1'

/** Bounds short enough for tests, and long enough for a loaded machine. */
const LIMITS: Partial<KubernetesLimits> = {
  readMs: 3000,
  readKeptMs: 500,
  writeMs: 3000,
  publishMs: 3000,
  listMs: 3000,
  idleMs: 2000,
  watchMs: 60_000,
  firstPauseMs: 50,
  longestPauseMs: 400,
}

/** A publisher's bounds, short enough for tests. */
export const PUBLISHING_LIMITS: PublishingLimits = {
  writesPerSecond: 100,
  writesAtOnce: 4,
  burst: 100,
  pending: 1000,
  firstPauseMs: 50,
  longestPauseMs: 200,
  longestWaitMs: 400,
  events: { perSecond: 50, burst: 50, pending: 20, attachedDelayMs: 100, repeatMs: 60_000 },
}

function publishing(outcomes: string[], told: string[]): PublishingOptions {
  return {
    node: NODE,
    events: () => 'all',
    mayRetry: () => true,
    restore: () => undefined,
    published: (outcome) => outcomes.push(outcome),
    told: (outcome) => told.push(outcome),
    limits: PUBLISHING_LIMITS,
  }
}

/** How many objects are made at once, when there are thousands. */
const AT_ONCE = 25

/** Does something with each, some at once. */
export async function inTurns<T>(things: readonly T[], act: (thing: T) => Promise<unknown>): Promise<void> {
  const rest = things.values()
  const worker = async (): Promise<void> => {
    for (const thing of rest) await act(thing)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
}

/** Starts a cluster; to be closed at the end. @param namespace Default one that no other test has. */
export async function clusterScene(
  namespace = `test-${randomBytes(3).toString('hex')}`,
): Promise<ClusterScene> {
  const api = await startKubeApiserver()
  const proxy = await startApiProxy(api)
  const stores: KubernetesStore[] = []
  await api.ok('POST', '/apis/rbac.authorization.k8s.io/v1/clusterroles', deployedObject('ClusterRole'))
  await api.ok('POST', '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', {
    metadata: { name: 'plexus' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'plexus' },
    subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'node' }],
  })
  await api.ok('POST', '/api/v1/namespaces', { metadata: { name: namespace } })
  const pods = `/api/v1/namespaces/${namespace}/pods`
  const nads = `/apis/k8s.cni.cncf.io/v1/namespaces/${namespace}/${NADS}`
  await eventually(async () => void (await api.ok('GET', nads, undefined, { user: 'node' })))

  return {
    api,
    proxy,
    namespace,
    podPath: (name) => `${pods}/${name}`,
    async createPod({ node = NODE, spec: more = {}, ...options }) {
      const manifest = pod({ namespace, uid: null, ...options })
      const spec = { ...(manifest.spec as object), ...more, nodeName: node }
      const created = await api.ok('POST', pods, { ...manifest, spec })
      return created.metadata.uid
    },
    deletePod: async (name) => void (await api.ok('DELETE', `${pods}/${name}?gracePeriodSeconds=0`)),
    createNad: async (options) => void (await api.ok('POST', nads, nad({ namespace, ...options }))),
    updateNad: async (name, config) =>
      void (await api.ok('PATCH', `${nads}/${name}`, { spec: { config: JSON.stringify(config) } })),
    deleteNad: async (name) => void (await api.ok('DELETE', `${nads}/${name}`)),
    async store(options = {}) {
      const warnings: string[] = []
      const outcomes: string[] = []
      const told: string[] = []
      const { stateDir = tempDir('state') } = options
      const kubeconfig = { server: proxy.server, ca: api.authority.ca, token: 'node-token' }
      const store = kubernetesStore({
        credentials: options.credentials ?? kubeconfigCredentials(writeKubeconfig(kubeconfig)),
        stateDir,
        ...(options.isOneShot ? {} : { nodeName: NODE }),
        warn: (message) => warnings.push(message),
        limits: { ...LIMITS, ...options.limits },
        ...(options.publishing && { publishing: { ...publishing(outcomes, told), ...options.publishing } }),
      })
      stores.push(store)
      if (!options.isUnreachable) {
        await eventually(() => {
          if (!store.isListed) throw new Error(`the store has not listed: ${warnings.join('; ')}`)
        })
      }
      return Object.assign(Object.create(store) as KubernetesStore, { warnings, stateDir, outcomes, told })
    },
    async close() {
      await Promise.all(stores.map((store) => store.close()))
      await proxy.close()
      await api.close()
    },
  }
}

/** A node of a scene's cluster whose networks are made by stubs. */
export interface ClusterNode extends StubNode {
  /** Of the daemon's user, through the proxy. */
  readonly kubeconfig: string
  /** What the runtime passes: it names no manifests. */
  netConf(): object
  /** @param conf Further keys of the daemon's configuration. */
  install(conf?: object): Installation
  /** Starts a daemon, with further variables `K=V`, and waits until it follows pods and networks. */
  start(installation: Installation, ...env: readonly string[]): Promise<TestDaemon>
  /** A pod whose calls go to the shim: made in the cluster, on {@link NODE} or another node, unless it has a UID. */
  podOf(installation: Installation, options: ClusterPodOptions): Promise<TestPod>
}

/** A pod of a {@link ClusterNode}. */
interface ClusterPodOptions {
  readonly name: string
  readonly networks?: PodOptions['networks']
  readonly uid?: string
  /** Where it is scheduled to. */
  readonly on?: string
  /** Further keys of its spec. */
  readonly spec?: object
}

/** Makes a {@link ClusterNode}. @param given The node, if it is not to be a plain one. */
export async function clusterNode(
  { api, proxy, namespace, createPod }: ClusterScene,
  given?: StubNode,
): Promise<ClusterNode> {
  const node = given ?? (await stubNode())
  const kubeconfig = writeKubeconfig({ server: proxy.server, ca: api.authority.ca, token: 'node-token' })
  const watches = (): number => proxy.requests.filter(({ isWatch }) => isWatch).length
  const netConf = (): object => {
    const { manifests: _, ...conf } = node.conf() as Record<string, unknown>
    return conf
  }
  return {
    ...node,
    kubeconfig,
    netConf,
    install: (conf = {}) => installDaemon(node, { conf: { kubeconfig, ...conf } }),
    async start({ start }, ...env) {
      const before = watches()
      const daemon = await start({ wrap: ['env', `NODE_NAME=${NODE}`, ...env] })
      await eventually(() => assert.ok(watches() >= before + 2), 30_000)
      return daemon
    },
    async podOf({ shim: executable }, { name, networks, uid, on = NODE, spec = {} }) {
      const asked = networks === undefined ? {} : { networks }
      const known = uid ?? (await createPod({ name, node: on, spec, ...asked }))
      const pod = await node.pod({ name, namespace, uid: known, ...asked })
      const call = { executable, conf: netConf() }
      return {
        ...pod,
        run: (command, overrides) => pod.run(command, { ...call, ...overrides }),
        start: (command, overrides) => pod.start(command, { ...call, ...overrides }),
      }
    },
  }
}

/** Waits until a daemon has been told of a pod, and has had the time to take it in. */
export async function isFollowed({ proxy }: ClusterScene, daemon: TestDaemon, pod: TestPod): Promise<void> {
  await eventually(() => assert.ok(proxy.hasTold(pod.manifest.metadata.uid ?? 'none')))
  for (let turns = 0; turns < 2; turns++) await daemon.get('/healthz')
}

/** What was asked of the API server from there on for pods: no watches, and nothing that comes when it is time for it. */
export function askedForPods({ proxy }: ClusterScene, from: number): string[] {
  return proxy.requests
    .slice(from)
    .filter(
      ({ isWatch, path }) => !isWatch && !path.startsWith('/api/v1/nodes/') && !path.endsWith('/events'),
    )
    .map(({ method, path }) => `${method} ${path}`)
}

/** What an API server answers that refuses. */
export function refusal(code: number, reason: string, headers: Record<string, string> = {}): ProxyFault {
  const message = `the ${reason} of the test`
  const body = { kind: 'Status', apiVersion: 'v1', status: 'Failure', message, reason, code }
  return { status: code, body, headers }
}

/** The error with which a lookup failed. */
export async function errorOf(lookup: Promise<unknown>): Promise<CniError> {
  try {
    await lookup
  } catch (error) {
    if (error instanceof CniError) return error
    throw error
  }
  throw new Error('the lookup succeeded')
}
