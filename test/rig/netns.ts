import { execFile, execFileSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import process from 'node:process'
import { promisify } from 'node:util'
import { atEnd, isAlive } from './teardown.ts'

const execFileAsync = promisify(execFile)

/** One link as `ip -j addr` prints it. */
interface Link {
  readonly ifindex: number
  readonly ifname: string
  readonly flags: readonly string[]
  readonly mtu: number
  readonly operstate: string
  /** MAC address, lower case. */
  readonly address?: string
  readonly master?: string
  readonly addr_info: readonly {
    readonly family: 'inet' | 'inet6'
    readonly local: string
    readonly prefixlen: number
    readonly scope: string
  }[]
}

/** One route as `ip -j route` prints it; `dst` is `default` for a default route. */
interface LinkRoute {
  readonly dst: string
  readonly gateway?: string
  readonly dev?: string
  readonly scope?: string
  readonly metric?: number
  readonly prefsrc?: string
  readonly [key: string]: unknown
}

/** A named network namespace of this test process. */
export interface Netns {
  readonly name: string
  /** `/run/netns/<name>`, also there for plugins that run in another namespace. */
  readonly path: string
  /** Runs a program in it and gives its stdout; rejects with the program's words when it fails. */
  exec(command: string, args?: readonly string[]): Promise<string>
  /** All links with their addresses, `lo` included. */
  links(): Promise<Link[]>
  /** The main table; IPv6 routes of the kernel's own (`fe80::/64`, multicast) included. */
  routes(family: 4 | 6): Promise<LinkRoute[]>
  /** Removes the name; the namespace goes with its last user. Twice is once. */
  delete(): Promise<void>
}

let count = 0

function sweepDead(): void {
  if (!existsSync('/run/netns')) return
  for (const name of readdirSync('/run/netns')) {
    const pid = /^plx-(\d+)-/.exec(name)?.[1]
    if (pid === undefined || isAlive(Number(pid))) continue
    try {
      execFileSync('ip', ['netns', 'del', name], { stdio: 'ignore' })
    } catch {
      // Another test process swept it first.
    }
  }
}

/**
 * The argv that runs a program in a network namespace.
 *
 * `nsenter --net` and not `ip netns exec`: the latter also makes a private mount namespace with another
 * /sys, in which a program keeps the mounts of namespaces that are deleted meanwhile. With nsenter the
 * program sees /run/netns as a runtime on a node does; /proc/sys/net follows the task's namespace anyway.
 * It execs in place, so the process id is the program's.
 */
export function enterNetns(path: string, command: string, args: readonly string[]): [string, string[]] {
  return ['nsenter', [`--net=${path}`, '--', command, ...args]]
}

/**
 * Makes a network namespace `plx-<pid>-<n>-<name>` with `lo` up; deleted when the test process ends.
 *
 * @throws When not root.
 */
export async function createNetns(prefix = 'pod'): Promise<Netns> {
  if (process.getuid?.() !== 0) throw new Error('the rig makes network namespaces: run this test as root')
  if (count === 0) sweepDead()
  count += 1
  const name = `plx-${process.pid}-${count}-${prefix}`
  const path = `/run/netns/${name}`
  await execFileAsync('ip', ['netns', 'add', name])
  atEnd(() => {
    if (existsSync(path)) execFileSync('ip', ['netns', 'del', name], { stdio: 'ignore' })
  })
  const exec = async (command: string, args: readonly string[] = []): Promise<string> => {
    const { stdout } = await execFileAsync(...enterNetns(path, command, args), { maxBuffer: 64 * 2 ** 20 })
    return stdout
  }
  await exec('ip', ['link', 'set', 'lo', 'up'])
  return {
    name,
    path,
    exec,
    links: async () => JSON.parse(await exec('ip', ['-j', 'addr'])) as Link[],
    routes: async (family) =>
      JSON.parse(await exec('ip', ['-j', `-${family}`, 'route', 'show'])) as LinkRoute[],
    delete: async () => {
      if (existsSync(path)) await execFileAsync('ip', ['netns', 'del', name])
    },
  }
}

/**
 * A namespace that stands in for a node's own: Plexus and its plugins run inside (`inNetns` of
 * `runPlexus`), so that bridges, host ends of veths and iptables rules land here and the machine's network
 * stays untouched. `uplink0` (veth, up, its other end `uplink0-peer` also here) can be a macvlan's master.
 */
export async function createHostNetns(): Promise<Netns> {
  const host = await createNetns('host')
  await host.exec('ip', ['link', 'add', 'uplink0', 'type', 'veth', 'peer', 'name', 'uplink0-peer'])
  await host.exec('ip', ['link', 'set', 'uplink0', 'up'])
  await host.exec('ip', ['link', 'set', 'uplink0-peer', 'up'])
  return host
}
