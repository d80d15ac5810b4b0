import { readdirSync } from 'node:fs'
import { basename, join } from 'node:path'
import { BRIDGES, UPLINK } from './scenario.ts'
import type { Stage } from './stage.ts'

/** Something that ADD makes and DEL has to take away. */
export interface Remains {
  /** For the reader, for example `address leases`. */
  readonly what: string
  /** What is there now, one line each. */
  readonly found: readonly string[]
}

/** Where to look. */
export interface Places {
  readonly node: string
  readonly pods: readonly string[]
  readonly leaseDir: string
  readonly stateDir: string
}

/** Looks at everything that attaching a pod makes, in the same order each time. */
export async function findRemains(
  stage: Stage,
  { node, pods, leaseDir, stateDir }: Places,
): Promise<Remains[]> {
  const inPods: string[] = []
  for (const pod of pods) {
    for (const name of await readLinkNames(stage, pod)) if (name !== 'lo') inPods.push(`${name} in ${pod}`)
  }
  const own = ['lo', UPLINK, `${UPLINK}-peer`, ...BRIDGES]
  const onNode = (await readLinkNames(stage, node)).filter((name) => !own.includes(name))
  const rules = (await stage.runInside(node, 'iptables-save', '-t', 'nat'))
    .split('\n')
    // The chain that portmap and the bridge plugin make for one pod ends in a hash.
    .filter((line) => line.startsWith('-A') && /\bCNI-(?:DN-)?[0-9a-f]{16,}/.test(line))
  const state = filesBelow(stateDir)
  return [
    { what: 'interfaces in the pods', found: inPods },
    { what: 'ends of pod interfaces on the node', found: onNode },
    { what: 'address leases', found: filesBelow(leaseDir).filter((file) => !isHostLocalsOwn(file)) },
    { what: 'NAT and port-forwarding rules', found: rules },
    { what: 'journal and lock files', found: state.filter((file) => !file.includes('/status/')) },
    { what: 'published network-status files', found: state.filter((file) => file.includes('/status/')) },
  ]
}

async function readLinkNames(stage: Stage, netns: string): Promise<string[]> {
  const links: { ifname: string }[] = JSON.parse(await stage.runInside(netns, 'ip', '-json', 'link', 'show'))
  return links.map(({ ifname }) => ifname)
}

/** host-local keeps a lock and the last address it gave, whoever comes and goes. */
function isHostLocalsOwn(file: string): boolean {
  return /^(lock|last_reserved_ip\.\d+)$/.test(basename(file))
}

/** Paths of the files below a folder; none when it is not there. */
function filesBelow(dir: string): string[] {
  try {
    return readdirSync(dir, { recursive: true, withFileTypes: true })
      .filter((entry) => !entry.isDirectory())
      .map((entry) => join(entry.parentPath, entry.name))
      .sort()
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return []
    throw error
  }
}
