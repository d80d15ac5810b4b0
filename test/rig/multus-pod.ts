import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { JsonObject } from '../../src/cni/json.ts'
import { referenceCalls } from '../plugin/reference-library.ts'
import { podArgs } from './manifests.ts'
import { runPlexus } from './plexus.ts'
import type { TestNode, TestPod } from './test-node.ts'

/** A network that Multus attaches. */
export interface MultusNetwork {
  /** `namespace/nad`, or the configuration's name. */
  readonly name: string
  readonly config: JsonObject
  /** What the pod asked for; else by its place. */
  readonly ifName?: string
  /** Further pairs of CNI_ARGS. */
  readonly args?: readonly (readonly [string, string])[]
  /** Values by capability. */
  readonly capabilityArgs?: JsonObject
}

/**
 * How Multus writes its file: with the configuration in base64, only with the keys that it knows itself, or, as the
 * first releases, plain.
 */
export type MultusForm = 'base64' | 'typed' | 'plain'

/** Where Multus and the runtime keep what they know. */
export interface MultusFolders {
  readonly multusCacheDir: string
  readonly cniCacheDir: string
}

/** Makes the folders below `dir`. */
export function multusFolders(dir: string): MultusFolders {
  const folders = { multusCacheDir: join(dir, 'multus'), cniCacheDir: join(dir, 'cni') }
  for (const folder of Object.values(folders)) mkdirSync(join(folder, 'results'), { recursive: true })
  return folders
}

/**
 * Attaches a pod as Multus does: the plugins by themselves, called as the reference library calls them, and then what
 * Multus, its library and the runtime's library keep of it.
 *
 * @param isUnderWay Leaves out the results, as if the last network were still being attached.
 */
export async function attachAsMultus(
  node: TestNode,
  pod: TestPod,
  networks: readonly MultusNetwork[],
  folders: MultusFolders & { readonly path: readonly string[]; readonly form?: MultusForm },
  { isUnderWay = false } = {},
): Promise<void> {
  const { containerId, netns, manifest } = pod
  const { multusCacheDir, cniCacheDir, path, form = 'base64' } = folders
  const base = podArgs(manifest, containerId)
    .split(';')
    .map((pair) => pair.split('=') as [string, string])
  const ifNameOf = ({ ifName }: MultusNetwork, index: number): string =>
    ifName ?? (index === 0 ? 'eth0' : `net${index}`)
  write(
    join(multusCacheDir, containerId),
    networks.map((network, index) => toCached(network, index, form)),
  )
  const keep = (folder: string, ifName: string, config: JsonObject, more: object): void =>
    write(join(folder, 'results', `${String(config.name)}-${containerId}-${ifName}`), {
      kind: 'cniCacheV1',
      containerId,
      config: Buffer.from(JSON.stringify(config)).toString('base64'),
      ifName,
      networkName: config.name,
      netns: netns.path,
      ...more,
    })
  for (const [index, network] of networks.entries()) {
    const { config, args = [], capabilityArgs = {} } = network
    const ifName = ifNameOf(network, index)
    const cniArgs = [...base, ...args]
    const results: unknown[] = []
    const call = {
      ...{ containerId, netns: netns.path, ifName, path: path.join(':'), capabilityArgs },
      args: cniArgs.map((pair) => pair.join('=')).join(';'),
    }
    for (let step = 0; ; step++) {
      const reference = referenceCalls('ADD', config, call, { resultOf: (before) => results[before] })[step]
      if (reference === undefined) break
      const folder = path.find((folder) => existsSync(join(folder, reference.type))) ?? ''
      const run = await runPlexus('ADD', {
        executable: join(folder, reference.type),
        conf: reference.stdin,
        ...{ containerId, netns, ifName, args: call.args, path, inNetns: node.host },
      })
      if (run.status !== 0) throw new Error(`${reference.type}: ${run.stdout}${run.stderr}`)
      results.push(run.json)
    }
    if (isUnderWay && index === networks.length - 1) return
    keep(multusCacheDir, ifName, config, { cniArgs, capabilityArgs, result: results.at(-1) })
  }
  const multus = { cniVersion: '0.3.1', name: 'multus-cni-network', type: 'multus-shim' }
  keep(cniCacheDir, 'eth0', multus, { cniArgs: base, result: { cniVersion: '0.3.1' } })
}

function toCached({ name, config, ifName }: MultusNetwork, index: number, form: MultusForm): object {
  if (form === 'plain') return config
  const isList = Array.isArray(config.plugins)
  const typed = (conf: JsonObject): object => ({
    cniVersion: conf.cniVersion,
    name: conf.name,
    type: conf.type,
  })
  const plugins = (isList ? config.plugins : []) as JsonObject[]
  return {
    Conf: isList ? {} : typed(config),
    ConfList: isList ? { ...typed(config), plugins: plugins.map(typed) } : {},
    Name: name,
    ...(ifName === undefined ? {} : { ifnameRequest: ifName }),
    IsFilterV4Gateway: index > 0,
    IsFilterV6Gateway: false,
    ...(form === 'base64' ? { Bytes: Buffer.from(JSON.stringify(config)).toString('base64') } : {}),
  }
}

function write(path: string, content: unknown): void {
  writeFileSync(path, JSON.stringify(content), { mode: 0o600 })
}
