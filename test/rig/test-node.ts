import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { type Manifest, type PodOptions, pod, podArgs, writeManifests } from './manifests.ts'
import { createHostNetns, createNetns, type Netns } from './netns.ts'
import { type PlexusCall, type PlexusRun, type RunningPlexus, runPlexus, startPlexus } from './plexus.ts'
import { debianPlugins } from './plugin-dirs.ts'
import { tempDir } from './temp-dir.ts'

/** A node to attach pods on: its own network namespace, folders, and a net-conf that names them. */
export interface TestNode {
  readonly host: Netns
  readonly stateDir: string
  readonly manifests: string
  /** Folder for host-local's and the stubs' leases. */
  readonly leaseDir: string
  /** Folder of stubs, searched before the distribution's plugins. */
  readonly binDir: string
  /** Folder of conf files. */
  readonly confDir: string
  /** The net-conf: `manifests`, `stateDir`, `confDir` and a bridge as default network, unless overridden. */
  conf(overrides?: object): object
  /** A bridge with host-local; its subnet is `10.<network>.0.0/24`, its bridge `br<network>`. */
  bridge(network: number, overrides?: object): Record<string, unknown>
  /** Writes the pod's manifest and makes its namespace. */
  pod(options?: PodOptions): Promise<TestPod>
  write(...objects: readonly Manifest[]): void
}

/** A pod of a {@link TestNode}. */
export interface TestPod {
  readonly netns: Netns
  readonly containerId: string
  readonly manifest: Manifest
  /** Runs a verb for it; `overrides` replaces parts of the call. */
  run(command: string, overrides?: PlexusCall): Promise<PlexusRun>
  start(command: string, overrides?: PlexusCall): RunningPlexus
}

let pods = 0

/** Makes a {@link TestNode}; all of it goes when the test process ends. */
export async function testNode(name = 'node'): Promise<TestNode> {
  const host = await createHostNetns()
  const dir = tempDir(name)
  const folder = (leaf: string): string => {
    const path = join(dir, leaf)
    mkdirSync(path, { mode: 0o700 })
    return path
  }
  const stateDir = join(dir, 'state')
  const manifests = folder('manifests')
  const leaseDir = folder('leases')
  const binDir = folder('bin')
  const confDir = folder('net.d')

  const bridge = (network: number, overrides: object = {}): Record<string, unknown> => ({
    cniVersion: '1.0.0',
    name: `bridge-${network}`,
    type: 'bridge',
    bridge: `br${network}`,
    ipam: { type: 'host-local', dataDir: leaseDir, ranges: [[{ subnet: `10.${network}.0.0/24` }]] },
    ...overrides,
  })
  const conf = (overrides: object = {}): object => ({
    cniVersion: '1.0.0',
    name: 'plexus-net',
    type: 'plexus',
    manifests,
    stateDir,
    confDir,
    delegates: [bridge(90, { name: 'default-net', isDefaultGateway: true })],
    ...overrides,
  })
  return {
    host,
    stateDir,
    manifests,
    leaseDir,
    binDir,
    confDir,
    conf,
    bridge,
    write: (...objects) => void writeManifests(manifests, ...objects),
    async pod(options = {}) {
      pods += 1
      const number = pods
      const manifest = pod(options)
      writeManifests(manifests, manifest)
      const netns = await createNetns(`pod${number}`)
      const containerId = `container-${process.pid}-${number}`
      const call = (overrides: PlexusCall): PlexusCall => ({
        conf: conf(),
        containerId,
        netns,
        ifName: 'eth0',
        args: podArgs(manifest, containerId),
        path: [binDir, debianPlugins()],
        inNetns: host,
        ...overrides,
      })
      return {
        netns,
        containerId,
        manifest,
        run: (command, overrides = {}) => runPlexus(command, call(overrides)),
        start: (command, overrides = {}) => startPlexus(command, call(overrides)),
      }
    },
  }
}
