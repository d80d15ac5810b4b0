import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { packageVersion } from '../../src/cli/installation.ts'
import { applyCall, pathOf } from '../rig/applied-object.ts'
import { type Containerd, type ContainerdRelease, type Sandbox, startContainerd } from '../rig/containerd.ts'
import { eventually } from '../rig/daemon.ts'
import { asOfTestServer, type DeployedObject, deployedObjects } from '../rig/deployment.ts'
import { buildImage, buildOtherImage, imageName, ownFolders } from '../rig/image.ts'
import { type KubeApiserver, startKubeApiserver } from '../rig/kube-apiserver.ts'
import { snapshot } from '../rig/leftovers.ts'
import { nad, type PodOptions, pod } from '../rig/manifests.ts'
import { createHostNetns } from '../rig/netns.ts'
import { type NodePod, startNodePod } from '../rig/node-pod.ts'
import { currentPlugins, debianPlugins } from '../rig/plugin-dirs.ts'
import { type ForwardedPort, forwardPort } from '../rig/tcp.ts'
import { spec } from '../spec.ts'
import { failureOf, linksOf, statusLinks } from './scene.ts'

const OVERLAY = 'deploy/overlays/kubeadm'
const NEXT = '99.0.0'
const NODE = 'worker-1'
const CONFLIST = '/etc/cni/net.d/00-plexus.conflist'
const PLUGINS = ['bridge', 'host-local', 'loopback', 'macvlan', 'portmap']
const NETWORKS = 'data,edge@fast0'
const ENDED = { daemon: 0, 'keep-shim': 0 }
const CHURNED = 20
const WORKERS = 3
const PODS = '/api/v1/namespaces/default/pods'
const NADS = '/apis/k8s.cni.cncf.io/v1/namespaces/default/network-attachment-definitions'
/** What stays on purpose: the node's links, bridges; of a pod from before Plexus libcni's file, filed under another name. */
const KEPT = [
  /^$/,
  /^namespace plx-/,
  /^link (lo|uplink0|uplink0-peer|cluster0|data0) in /,
  /^\/var\/lib\/cni\/results\/cluster-net-/,
]
/** Made by the kubelet for the DaemonSet; device plugins use it as well. */
const SHARED_FOLDER = /^\/run\/k8s\.cni\.cncf\.io(\/devinfo)? d /

// biome-ignore lint/suspicious/noExplicitAny: the spec of a pod.
type Parsed = any

/** A node that has a container runtime, a default network, and both images, and that a cluster knows. */
interface ClusterNode {
  readonly containerd: Containerd
  /** Runs a program on the node. */
  readonly run: Containerd['enclosure']['run']
  /** Applies the overlay with the image of a version, and starts its pod as a DaemonSet's controller has the kubelet do. */
  deploy(version: string, change?: (spec: Parsed) => void): Promise<NodePod>
  /** Whether our list is in the runtime's folder. */
  isListed(): boolean
  /** Deletes what was applied; the pod is the kubelet's to end. */
  undeploy(): Promise<void>
  /** Makes a pod in the cluster and runs its sandbox. */
  start(options: PodOptions): Promise<Sandbox>
  /** A pod's annotations in the cluster. */
  annotations(name: string): Promise<Record<string, string>>
  /** What all pods but the node's own are undone of: host ends, rules, leases, namespaces, journal. */
  leftovers(): Promise<string[]>
  /** Every file and folder that may be ours or that we may have touched, with its mode, owner, time and content. */
  listing(): Promise<string[]>
  close(): Promise<void>
}

async function clusterNode(
  release: ContainerdRelease,
  api: KubeApiserver,
  archives: readonly string[],
): Promise<ClusterNode> {
  const cniVersion = release === 'current' ? '1.1.0' : '1.0.0'
  const ipam = (subnet: string): object => ({ type: 'host-local', ranges: [[{ subnet }]] })
  const bridge = { type: 'bridge', bridge: 'cluster0', isDefaultGateway: true, ipam: ipam('10.90.0.0/24') }
  const portmap = { type: 'portmap', capabilities: { portMappings: true } }
  const list = { cniVersion, name: 'cluster-net', plugins: [bridge, portmap] }
  const plugins = release === 'current' ? await currentPlugins() : debianPlugins()
  const host = await createHostNetns()
  const port: ForwardedPort = await forwardPort(host.path, api.port)
  const containerd = await startContainerd({
    ...{ release, host, binDir: '/opt/cni/bin', confDir: '/etc/cni/net.d' },
    async prepare(enclosure) {
      await ownFolders(enclosure)
      const folders = '/etc/cni/net.d /opt/cni/bin /var/lib/cni /var/lib/kubelet/pod-resources'
      const files = PLUGINS.map((name) => join(plugins, name)).join(' ')
      const script = [
        'mkdir -p /etc/cni && mount -t tmpfs -o mode=755 tmpfs /etc/cni',
        `mkdir -p ${folders} && cp ${files} /opt/cni/bin/`,
        'cat >/etc/cni/net.d/10-cluster.conflist',
      ].join(' && ')
      await enclosure.run('sh', ['-c', script], { stdin: JSON.stringify(list) })
    },
  })
  const { run } = containerd.enclosure
  for (const archive of archives) await containerd.importImage(archive)
  const edge = { cniVersion, type: 'macvlan', master: 'uplink0', ipam: ipam('10.92.0.0/24') }
  const data = { cniVersion, type: 'bridge', bridge: 'data0', ipam: ipam('10.91.0.0/24') }
  for (const [name, config] of Object.entries({ edge, data }))
    await api.ok('POST', NADS, nad({ name, config: { ...config, name } }))
  const conflist = join(containerd.enclosure.root, CONFLIST)
  let count = 0
  return {
    containerd,
    run,
    async deploy(version, change) {
      const objects = deployedObjects(OVERLAY).map((object) => toApply(object, version, cniVersion))
      for (const object of objects) await api.ok(...applyCall(asOfTestServer(object)))
      const set = objects.find(({ kind }) => kind === 'DaemonSet')
      change?.(set?.spec.template.spec)
      count += 1
      const place = { containerd, api, apiPort: port.port, nodeName: NODE }
      return startNodePod(place, set?.spec.template, `plexus-${count}`)
    },
    isListed: () => statSync(conflist, { throwIfNoEntry: false }) !== undefined,
    annotations: async (name) => (await api.ok('GET', `${PODS}/${name}`)).metadata.annotations,
    async undeploy() {
      for (const object of deployedObjects(OVERLAY).reverse()) await api.ok('DELETE', pathOf(object))
    },
    async start(options) {
      const manifest = pod({ ...options, uid: null })
      const scheduled = { ...manifest, spec: { ...(manifest.spec as object), nodeName: NODE } }
      const { metadata } = await api.ok('POST', PODS, scheduled)
      return containerd.run(pod({ ...options, uid: metadata.uid }))
    },
    async leftovers() {
      const { lines } = await snapshot({ netns: [host] })
      const leases = 'find /var/lib/cni/networks -name "10.*"; find /var/lib/cni/results -type f'
      const files = `${leases}; find /var/lib/cni/plexus/sandboxes -type f; ls /run/netns`
      const found = await run('sh', ['-c', `(${files}) 2>/dev/null; true`])
      return [...lines, ...found.split('\n')].filter((line) => !KEPT.some((pattern) => pattern.test(line)))
    },
    async listing() {
      const places = '/etc/cni /opt/cni /run /var/lib'
      const foreign = ['/run/containerd', '/run/etc', '/run/work', '/run/netns', '/run/xtables.lock']
      const plugins = ['networks', 'results'].map((name) => `/var/lib/cni/${name}`)
      const pruned = [...foreign, ...plugins].map((path) => `-path ${path}`).join(' -o ')
      const script = [
        `find ${places} \\( ${pruned} \\) -prune -o -type d -printf '%p %y %m %U:%G\\n'`,
        `find ${places} \\( ${pruned} \\) -prune -o ! -type d -printf '%p %y %m %U:%G %T@ %l\\n'`,
        `find ${places} \\( ${pruned} \\) -prune -o -type f -exec sha256sum {} +`,
      ].join('; ')
      return (await run('sh', ['-c', script])).trim().split('\n').sort()
    },
    async close() {
      await containerd.close()
      port.close()
      for (const name of ['data', 'edge']) await api.ok('DELETE', `${NADS}/${name}`)
    },
  }
}

/** An object as it is applied for a version and a runtime: docs/install.md says what of it is to be set. */
function toApply(object: DeployedObject, version: string, cniVersion: string): DeployedObject {
  if (object.kind === 'ConfigMap') {
    const conf = `${object.data['daemon.yaml']}runtimeCniVersion: "${cniVersion}"\n`
    return { ...object, data: { 'daemon.yaml': conf } }
  }
  const text = JSON.stringify(object).replaceAll(imageName(packageVersion()), imageName(version))
  return JSON.parse(text) as DeployedObject
}

/** Replaces the pod by one of another version, as a rollout with `maxSurge: 1` does. */
async function rollOut(node: ClusterNode, old: NodePod, version: string): Promise<NodePod> {
  const next = await node.deploy(version)
  await next.ready()
  const { minReadySeconds } = deployedObjects(OVERLAY).find(({ kind }) => kind === 'DaemonSet')?.spec ?? {}
  await new Promise((resolve) => setTimeout(resolve, minReadySeconds * 1000))
  await next.ready()
  assert.equal(await old.stop(), ENDED)
  return next
}

/** Without any privilege and on a root that cannot be written, as its process is and not as it was asked for. */
async function assertUnprivileged(pods: NodePod): Promise<void> {
  for (const container of ['daemon', 'keep-shim']) {
    const proc = await pods.procOf(container)
    const status = readFileSync(join(proc, 'status'), 'utf8')
    for (const set of ['Inh', 'Prm', 'Eff', 'Bnd', 'Amb'])
      assert.match(status, `Cap${set}:\t0000000000000000`)
    assert.match(status, /^Uid:\t0\t0\t0\t0$/m)
    assert.match(status, /^NoNewPrivs:\t1$/m)
    assert.match(status, /^Seccomp:\t2$/m)
    assert.match(readFileSync(join(proc, 'mountinfo'), 'utf8'), /^\S+ \S+ \S+ \S+ \/ ro[, ]/m)
    assert.match(readFileSync(join(proc, 'oom_score_adj'), 'utf8'), /^-?\d+\n$/)
  }
}

spec('the image in a cluster', (it) => {
  let api: KubeApiserver
  let archives: readonly string[] = []
  it.before(async () => {
    archives = [buildImage(), buildOtherImage(NEXT)]
    api = await startKubeApiserver()
    await eventually(async () => void (await api.ok('GET', '/api/v1/namespaces/kube-system')), 60_000)
    await api.ok('POST', '/api/v1/nodes', { metadata: { name: NODE } })
    // The controller manager's work.
    await api.ok('POST', '/api/v1/namespaces/kube-system/configmaps', {
      metadata: { name: 'kube-root-ca.crt' },
      data: { 'ca.crt': readFileSync(api.authority.ca, 'utf8') },
    })
  })
  it.after(() => api?.close())

  it('applied it gives pods three interfaces, is upgraded under churn, and leaves pods that start and end', async () => {
    const node = await clusterNode('stable', api, archives)
    const { containerd, run, isListed } = node
    const plain = await node.start({ name: 'plain' })
    const before = await node.listing()

    const first = await node.deploy(packageVersion())
    await first.ready()
    await assertUnprivileged(first)
    await eventually(async () => assert.equal(await containerd.plugins(), ['plexus']), 60_000)
    const [alpha, beta, gamma] = await Promise.all(['alpha', 'beta', 'gamma'].map((name) => rich(node, name)))
    await plain.remove()

    const faults: string[] = []
    let isOver = false
    let count = 0
    const churn = async (): Promise<void> => {
      while (!isOver || count < CHURNED) {
        count += 1
        const name = `churn-${count}`
        try {
          const sandbox = await node.start({ name, networks: NETWORKS })
          assert.is((await linksOf(sandbox)).length, 3)
          await sandbox.remove()
        } catch (error) {
          faults.push(`${name}: ${String(error)}`)
        }
        await api.ok('DELETE', `${PODS}/${name}?gracePeriodSeconds=0`)
      }
    }
    const churning = Promise.all(Array.from({ length: WORKERS }, churn))
    const second = await rollOut(node, first, NEXT).finally(() => {
      isOver = true
    })
    await churning
    assert.equal(faults, [])
    assert.is(await run('/opt/cni/bin/plexus', ['--version']), `plexus ${NEXT}\n`)
    await alpha?.remove()
    assert.ok(isListed())

    // Without the DaemonSet, and nothing else done.
    await node.undeploy()
    assert.equal(await second.stop(), ENDED)
    assert.ok(isListed())
    const [failure, silent] = await Promise.all([
      failureOf(node.start({ name: 'asking', networks: NETWORKS })),
      node.start({ name: 'silent' }),
    ])
    assert.match(failure, 'the plexus daemon does not answer')
    assert.is((await linksOf(silent)).length, 1)
    await Promise.all([beta?.remove(), silent.remove()])

    const uninstalling = uninstall(node)
    await eventually(() => assert.not.ok(isListed()), 60_000)
    await eventually(async () => assert.equal(await containerd.plugins(), ['bridge', 'portmap']), 60_000)
    const late = await node.start({ name: 'late', networks: NETWORKS })
    assert.is((await linksOf(late)).length, 1)
    assert.is((await linksOf(gamma as Sandbox)).length, 3)
    await gamma?.remove()
    assert.match(await uninstalling, 'Plexus is not on this node any more')
    await late.remove()
    await assertAsBefore(node, before)
    await node.close()
  })

  it('it is uninstalled while its pod still runs, and comes back when it is applied again', async () => {
    const node = await clusterNode('current', api, archives.slice(0, 1))
    const { containerd, isListed } = node
    await (await node.start({ name: 'earlier' })).remove()
    const before = await node.listing()
    for (const name of ['delta', 'epsilon']) {
      const plexus = await node.deploy(packageVersion())
      await plexus.ready()
      await eventually(async () => assert.equal(await containerd.plugins(), ['plexus']), 60_000)
      const sandbox = await rich(node, name)
      const uninstalling = uninstall(node)
      await eventually(() => assert.not.ok(isListed()), 60_000)
      await eventually(async () => assert.equal(await containerd.plugins(), ['bridge', 'portmap']), 60_000)
      await sandbox.remove()
      await node.undeploy()
      assert.equal(await plexus.stop(), ENDED)
      assert.match(await uninstalling, 'Plexus is not on this node any more')
      await assertAsBefore(node, before)
    }
    for (const change of [
      (spec: Parsed) => Object.assign(spec, { hostPID: true }),
      ({ containers: [daemon] }: Parsed) => Object.assign(daemon, { lifecycle: {} }),
      ({ containers: [daemon] }: Parsed) => Object.assign(daemon.volumeMounts[0], { subPath: 'a' }),
    ])
      assert.match(await failureOf(node.deploy(packageVersion(), change)), 'nothing is made of')
    await node.undeploy()
    await node.close()
  })
})

/** A pod with two networks besides the default one, whose interfaces are those that the cluster is told of. */
async function rich(node: ClusterNode, name: string): Promise<Sandbox> {
  const sandbox = await node.start({ name, networks: NETWORKS })
  const links = await linksOf(sandbox)
  const places = links.map((link) => link.replace(/ \S+ (\d+\.\d+)\.\S+$/, ' $1'))
  assert.equal(places, ['eth0 10.90', 'net1 10.91', 'fast0 10.92'])
  await eventually(async () => assert.equal(statusLinks(await node.annotations(name)), links), 60_000)
  return sandbox
}

/** As docs/install.md says it is done. */
function uninstall({ run }: ClusterNode): Promise<string> {
  return run('/opt/cni/bin/plexus-standalone', ['uninstall', '--wait', '240s'])
}

async function assertAsBefore(node: ClusterNode, before: readonly string[]): Promise<void> {
  const now = await node.listing()
  assert.equal(
    now.filter((line) => !SHARED_FOLDER.test(line)),
    before,
  )
  await eventually(async () => assert.equal(await node.leftovers(), []), 60_000)
}
