import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseAllDocuments } from 'yaml'
import { isJsonObject, type JsonObject } from '../../src/cni/json.ts'
import { assertNothingLeft, type Snapshot, snapshot } from '../rig/leftovers.ts'
import { type Manifest, podArgs, writeManifests } from '../rig/manifests.ts'
import { createHostNetns, createNetns, type Netns } from '../rig/netns.ts'
import { type PlexusRun, ROOT, runPlexus } from '../rig/plexus.ts'
import { debianPlugins } from '../rig/plugin-dirs.ts'
import { tempDir } from '../rig/temp-dir.ts'

/** Folder of all examples. */
export const EXAMPLES = join(ROOT, 'examples')

/** An example on a node of its own. */
export interface Example {
  readonly host: Netns
  /** Folder of device-info. */
  readonly devInfoDir: string
  /** Directory searched before the distribution's plugins, for stubs. */
  readonly binDir: string
  /** Makes the namespace of a pod of `pod.yaml`. */
  pod(name: string): Promise<ExamplePod>
  /** Everything but the bridges, which stay, is as it was before the first ADD. */
  assertNothingLeft(): Promise<void>
}

/** A pod of an {@link Example}. */
interface ExamplePod {
  readonly netns: Netns
  readonly containerId: string
  add(): Promise<PlexusRun>
  check(): Promise<PlexusRun>
  del(): Promise<PlexusRun>
  /** Addresses of an interface with their prefix lengths, link-local ones left out. */
  addresses(ifName: string): Promise<string[]>
}

/**
 * Opens an example: its manifests and its net-conf as they are, save the folders (`manifests`, `stateDir`,
 * host-local's `dataDir`, `devInfoDir`), on a node that has a second network card `eth1`.
 *
 * @param podResourcesSocket Socket of a stand-in for the kubelet.
 */
export async function openExample(name: string, podResourcesSocket?: string): Promise<Example> {
  const folder = join(EXAMPLES, name)
  const dir = tempDir(name)
  const leaseDir = join(dir, 'leases')
  const stateDir = join(dir, 'state')
  const manifestDir = join(dir, 'manifests')
  const binDir = join(dir, 'bin')
  const devInfoDir = join(dir, 'devinfo')
  const objects = ['nad.yaml', 'pod.yaml'].flatMap((file) => readManifests(join(folder, file)))
  writeManifests(manifestDir, ...objects.map((object) => withLeaseDir(object, leaseDir)))
  const written = readJson(join(folder, 'net-conf.json'))
  const runtimeConfig = join(folder, 'runtime-config.json')
  const conf = {
    ...moveLeases(written, leaseDir),
    manifests: manifestDir,
    stateDir,
    devInfoDir,
    ...(podResourcesSocket === undefined ? {} : { podResourcesSocket }),
    ...(existsSync(runtimeConfig) ? { runtimeConfig: readJson(runtimeConfig) } : {}),
  }
  const host = await createHostNetns()
  await host.exec('ip', ['link', 'add', 'eth1', 'type', 'veth', 'peer', 'name', 'eth1-peer'])
  for (const end of ['eth1', 'eth1-peer']) await host.exec('ip', ['link', 'set', end, 'up'])
  const bridges = bridgesOf([written, ...objects])
  const netns: Netns[] = [host]
  let before: Snapshot | undefined
  return {
    host,
    devInfoDir,
    binDir,
    async pod(podName) {
      const manifest = objects.find(({ kind, metadata }) => kind === 'Pod' && metadata.name === podName)
      if (manifest === undefined) throw new Error(`pod.yaml of ${name} has no pod ${podName}`)
      const own = await createNetns(podName.slice(0, 8))
      netns.push(own)
      const containerId = `example-${process.pid}-${podName}`
      const run = async (command: string): Promise<PlexusRun> => {
        before ??= await snapshot({ netns, leases: [leaseDir], stateDir })
        return await runPlexus(command, {
          conf,
          containerId,
          netns: own,
          ifName: 'eth0',
          args: podArgs(manifest, containerId),
          path: [binDir, debianPlugins()],
          inNetns: host,
        })
      }
      return {
        netns: own,
        containerId,
        add: () => run('ADD'),
        check: () => run('CHECK'),
        del: () => run('DEL'),
        addresses: async (ifName) => {
          const link = (await own.links()).find(({ ifname }) => ifname === ifName)
          if (link === undefined) throw new Error(`no interface ${ifName} in pod ${podName}`)
          const global = link.addr_info.filter(({ scope }) => scope === 'global')
          return global.map(({ local, prefixlen }) => `${local}/${prefixlen}`)
        },
      }
    },
    async assertNothingLeft() {
      if (before === undefined) throw new Error('nothing was attached')
      const after = await snapshot(before.places)
      const lines = after.lines.filter(
        (line) => !bridges.some((bridge) => line === `link ${bridge} in ${host.name}`),
      )
      await assertNothingLeft(before, { ...after, lines })
    },
  }
}

/** The objects of a manifest file, none when the example has no such file. */
function readManifests(path: string): Manifest[] {
  if (!existsSync(path)) return []
  return parseAllDocuments(readFileSync(path, 'utf8')).map((document) => document.toJS() as Manifest)
}

function readJson(path: string): JsonObject {
  const value: unknown = JSON.parse(readFileSync(path, 'utf8'))
  if (!isJsonObject(value)) throw new Error(`${path} is no JSON object`)
  return value
}

function withLeaseDir(manifest: Manifest, leaseDir: string): Manifest {
  const { spec } = manifest
  if (!isJsonObject(spec) || typeof spec.config !== 'string') return manifest
  return { ...manifest, spec: { config: JSON.stringify(moveLeases(JSON.parse(spec.config), leaseDir)) } }
}

/** Sets `dataDir` of every host-local in it. */
function moveLeases<T>(value: T, leaseDir: string): T {
  return JSON.parse(JSON.stringify(value), (_, inner: unknown) =>
    isJsonObject(inner) && inner.type === 'host-local' ? { ...inner, dataDir: leaseDir } : inner,
  )
}

/** Names that any `bridge` key in it has; NADs carry theirs in a text. */
function bridgesOf(value: unknown): string[] {
  return [...JSON.stringify(value).matchAll(/\\?"bridge\\?": ?\\?"([\w-]+)/g)].map((match) => match[1] ?? '')
}
