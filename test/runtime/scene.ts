import { readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import * as assert from 'uvu/assert'
import { type Containerd, type ContainerdRelease, type Sandbox, startContainerd } from '../rig/containerd.ts'
import { eventually, type Installation, installDaemon, type TestDaemon } from '../rig/daemon.ts'
import { snapshot } from '../rig/leftovers.ts'
import { type Manifest, nad, type PodOptions, pod, writeManifests } from '../rig/manifests.ts'
import { ROOT } from '../rig/plexus.ts'
import { currentPlugins, debianPlugins } from '../rig/plugin-dirs.ts'
import { filesBelow } from '../rig/state-files.ts'
import { type TestNode, testNode } from '../rig/test-node.ts'

/** Each test is done with both. */
export const RELEASES: readonly ContainerdRelease[] = ['stable', 'current']

/**
 * A node with a container runtime whose CNI plugin is the shim. Its networks: the default one a bridge with host
 * ports, `data` a bridge, `edge` macvlan.
 */
export interface RuntimeNode extends TestNode, Installation {
  readonly containerd: Containerd
  /** The configurations of the NADs, which are among the manifests. */
  readonly networks: { readonly data: object; readonly edge: object }
  /** The runtime's folder of plugins. */
  readonly pluginDir: string
  /** Starts the daemon and waits until the runtime uses the list that it writes. */
  up(options?: Parameters<Installation['start']>[0]): Promise<TestDaemon>
  /** Makes the manifest of a pod. */
  writePod(options?: PodOptions): Manifest
  /** Calls the runtime's plugin for the runtime's list, as libcni does for a verb that is of no pod. */
  invoke(command: 'GC' | 'STATUS', keys?: object): Promise<string>
  /** Of host ends, leases, rules, journal, namespaces and libcni's cache nothing is there. */
  assertClean(): Promise<void>
  /** Nothing is left; then ends the daemon and the runtime. */
  close(daemon: TestDaemon): Promise<void>
}

/** How a node differs from the usual one. */
interface RuntimeNodeOptions {
  /** Keys of the daemon's configuration. */
  readonly conf?: object
  /** Keys of plexus.shim. */
  readonly shim?: Readonly<Record<string, string>>
  /** The default network's only address. */
  readonly onlyAddress?: string
  readonly isDualStack?: boolean
  /** Further plugins of the default network, after a bridge and portmap. */
  readonly defaultPlugins?: readonly object[]
}

/** Makes a {@link RuntimeNode}; its daemon is not started. */
export async function runtimeNode(
  release: ContainerdRelease,
  { conf, shim, onlyAddress, isDualStack = false, defaultPlugins = [] }: RuntimeNodeOptions = {},
): Promise<RuntimeNode> {
  const node = await testNode()
  const cniVersion = release === 'current' ? '1.1.0' : '1.0.0'
  const installation = installDaemon(node, {
    conf: {
      manifests: node.manifests,
      confDir: node.confDir,
      installConflist: true,
      conflistDir: node.confDir,
      runtimeCniVersion: cniVersion,
      ...conf,
    },
    shim: { addWait: '10', delWait: '2', ...shim },
  })
  const pluginDir = dirname(installation.shim)
  const plugins = release === 'current' ? await currentPlugins() : debianPlugins()
  for (const name of readdirSync(plugins)) symlinkSync(join(plugins, name), join(pluginDir, name))
  const only = onlyAddress === undefined ? {} : { rangeStart: onlyAddress, rangeEnd: onlyAddress }
  const ranges = [
    [{ subnet: '10.90.0.0/24', ...only }],
    ...(isDualStack ? [[{ subnet: 'fd00:90::/64' }]] : []),
  ]
  const ipam = { type: 'host-local', dataDir: node.leaseDir, ranges }
  const { cniVersion: _, name: __, ...bridge } = node.bridge(90, { isDefaultGateway: true, ipam })
  const portmap = { type: 'portmap', capabilities: { portMappings: true } }
  const list = { cniVersion, name: 'cluster-net', plugins: [bridge, portmap, ...defaultPlugins] }
  writeFileSync(join(node.confDir, CLUSTER_FILE), JSON.stringify(list))
  const edgeIpam = { type: 'host-local', dataDir: node.leaseDir, ranges: [[{ subnet: '10.92.0.0/24' }]] }
  const networks = {
    data: node.bridge(91, { cniVersion, name: 'data' }),
    edge: { cniVersion, name: 'edge', type: 'macvlan', master: 'uplink0', ipam: edgeIpam },
  }
  for (const [name, config] of Object.entries(networks)) node.write(nad({ name, config }))
  const { host, confDir } = node
  const containerd = await startContainerd({ release, host, binDir: pluginDir, confDir })

  const leftovers = async (): Promise<string[]> => {
    const { lines } = await snapshot({ netns: [host], leases: [node.leaseDir], stateDir: node.stateDir })
    // A pod from before Plexus has one under the name of its network, which no DEL of ours can tell libcni of.
    const results = filesBelow(join(containerd.enclosure.root, 'var/lib/cni/results'))
    const cache = results.filter((file) => !file.startsWith('cluster-net-'))
    return [
      ...lines.filter((line) => !KEPT.some((pattern) => pattern.test(line))),
      ...cache.map((file) => `result ${file}`),
      ...(await containerd.netns()).map((name) => `namespace ${name}`),
    ]
  }
  // What a shim has undone by itself leaves a status until the daemon looks again, every 30 s.
  const assertClean = (): Promise<void> =>
    eventually(async () => assert.equal(await leftovers(), []), 120_000)
  return {
    ...node,
    ...installation,
    containerd,
    networks,
    pluginDir,
    async up(options) {
      const daemon = await installation.start(options)
      await eventually(async () => assert.equal(await containerd.plugins(), ['plexus']), 60_000)
      return daemon
    },
    writePod(options) {
      const manifest = pod(options)
      writeManifests(node.manifests, manifest)
      return manifest
    },
    async invoke(command, keys = {}) {
      const list = JSON.parse(readFileSync(join(confDir, '00-plexus.conflist'), 'utf8'))
      const {
        cniVersion: version,
        name,
        plugins: [plugin],
      } = list
      return containerd.enclosure.run(installation.shim, [], {
        env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', CNI_COMMAND: command, CNI_PATH: pluginDir },
        stdin: JSON.stringify({ ...plugin, cniVersion: version, name, ...keys }),
      })
    },
    assertClean,
    async close(daemon) {
      await assertClean()
      assert.is(await daemon.stop(), 0)
      await containerd.close()
    },
  }
}

/** Environment by which a daemon takes what was recorded a moment ago for old enough for an errand. */
export const LATER = `NODE_OPTIONS=--require=${join(ROOT, 'test/fixtures/clock/later.cjs')}`

/** The default network's file in the runtime's folder. */
export const CLUSTER_FILE = '10-cluster.conflist'

/** What a node keeps on purpose: its own links, bridges, which default network was chosen, the NADs it has seen. */
const KEPT = [
  /^link (lo|uplink0|uplink0-peer|br9\d|tunl0|sit0) in /,
  /^namespace plx-/,
  /\/default-network\.json$/,
  /\/nads\/\w+\.json$/,
]

/** Names of a sandbox's interfaces with their addresses but the kernel's own, `eth0 10.90.0.2`; `lo` left out. */
export async function interfacesOf({ exec }: Pick<Sandbox, 'exec'>): Promise<string[]> {
  const links = JSON.parse(await exec('ip', ['-j', 'addr'])) as {
    ifname: string
    addr_info: { local: string; scope: string }[]
  }[]
  return links
    .filter(({ ifname }) => ifname !== 'lo')
    .map(({ ifname, addr_info }) => {
      const addresses = addr_info.filter(({ scope }) => scope === 'global').map(({ local }) => local)
      return `${ifname} ${addresses.join(' ')}`
    })
}

/** What `ip -j addr` shows in a sandbox, `lo` left out: each interface with its MAC and {@link interfacesOf}'s addresses. */
export async function linksOf({ exec }: Pick<Sandbox, 'exec'>): Promise<string[]> {
  const links = JSON.parse(await exec('ip', ['-j', 'addr'])) as {
    ifname: string
    address: string
    addr_info: { local: string; scope: string }[]
  }[]
  return links
    .filter(({ ifname }) => ifname !== 'lo')
    .map(({ ifname, address, addr_info }) => {
      const ips = addr_info.filter(({ scope }) => scope === 'global').map(({ local }) => local)
      return `${ifname} ${address} ${ips}`
    })
}

/** A pod's network-status in the words of {@link linksOf}. */
export function statusLinks(annotations: Readonly<Record<string, string>> = {}): string[] {
  const status = JSON.parse(annotations['k8s.v1.cni.cncf.io/network-status'] ?? '[]') as {
    interface: string
    mac?: string
    ips?: readonly string[]
  }[]
  return status.map((entry) => `${entry.interface} ${entry.mac} ${entry.ips}`)
}

/** Why a sandbox or a pod cannot be run; `it runs` when it can. */
export async function failureOf(running: Promise<unknown>): Promise<string> {
  try {
    await running
    return 'it runs'
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}
