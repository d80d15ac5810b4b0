import { execFile } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { ChaosNode } from './node.ts'
import { runningProcesses } from './processes.ts'

const run = promisify(execFile)
const SETTLE_MS = 20_000

/** What was there before the first pod, and may be there after the last one. */
export interface Baseline {
  readonly links: ReadonlySet<string>
  readonly mounts: number
}

/** Looks at the node before its first cycle, when its bridges are there. */
export async function look(): Promise<Baseline> {
  return { links: new Set(await linkNames()), mounts: countNetnsMounts() }
}

/**
 * Looks again while something is there: guards, errands and the kernel go on after the last answer.
 *
 * @param daemons The process ids of the daemons that may run.
 * @returns A line for each thing that stays.
 */
export async function findLeaks(
  node: ChaosNode,
  baseline: Baseline,
  daemons: readonly number[],
): Promise<string[]> {
  for (const end = performance.now() + SETTLE_MS; ; await delay(200)) {
    const isLast = performance.now() >= end
    try {
      const leaks = await lookForLeaks(node, baseline, daemons)
      if (leaks.length === 0 || isLast) return leaks
    } catch (error) {
      // A file may go while it is read.
      if (isLast) throw error
    }
  }
}

/** Everything that is left of sandboxes now. */
async function lookForLeaks(
  node: ChaosNode,
  baseline: Baseline,
  daemons: readonly number[],
): Promise<string[]> {
  const leaks: string[] = []
  for (const path of leaseFiles(node)) {
    const holder = readFileSync(path, 'latin1').trim()
    if (holder !== '') leaks.push(`lease ${path} of ${holder}`)
  }
  for (const link of await linkNames()) if (!baseline.links.has(link)) leaks.push(`link ${link}`)
  for (const path of entriesBelow(node.stateDir)) {
    if (!/^(sandboxes|locks|damaged|status)$/.test(path)) leaks.push(`state file ${path}`)
  }
  const mounts = countNetnsMounts() - baseline.mounts
  if (mounts > 0) leaks.push(`${mounts} mounts of network namespaces`)
  for (const name of readdirSync(join(node.dir, 'netns'))) leaks.push(`namespace ${name}`)
  const own = new Set([1, process.pid, ...daemons])
  for (const { pid, parent, name } of runningProcesses()) {
    if (!own.has(pid) && parent !== process.pid) leaks.push(`process ${pid} ${name} ${environmentOf(pid)}`)
  }
  for (const name of readdirSync(node.socketDir)) if (name !== 'plexus.sock') leaks.push(`socket ${name}`)
  for (const pid of daemons) {
    const connections = countConnections(pid, node.socketDir)
    if (connections > 0) leaks.push(`${connections} connections of the daemon`)
  }
  return leaks
}

/**
 * Leases that name nobody: host-local makes the file and then writes into it, and was killed between the two.
 * No DEL ever finds such a lease; `plexus doctor --fix` frees the address.
 */
export function countEmptyLeases(node: ChaosNode): number {
  return leaseFiles(node).filter((path) => readFileSync(path, 'latin1').trim() === '').length
}

/** Without the files that host-local keeps for itself. */
function leaseFiles(node: ChaosNode): string[] {
  return filesBelow(node.leaseDir).filter((path) => !/\/(lock|last_reserved_ip\..*)$/.test(path))
}

async function linkNames(): Promise<string[]> {
  const { stdout } = await run('ip', ['-json', 'link'])
  return (JSON.parse(stdout) as { ifname: string }[]).map(({ ifname }) => ifname)
}

function countNetnsMounts(): number {
  return readFileSync('/proc/self/mountinfo', 'utf8').split(' - nsfs ').length - 1
}

/** Paths below a folder, those of folders included. */
function entriesBelow(folder: string): string[] {
  return existsSync(folder) ? (readdirSync(folder, { recursive: true }) as string[]).sort() : []
}

function filesBelow(folder: string): string[] {
  return existsSync(folder)
    ? readdirSync(folder, { recursive: true, withFileTypes: true })
        .filter((entry) => !entry.isDirectory())
        .map((entry) => join(entry.parentPath, entry.name))
    : []
}

/** Connected ends, by the names that unix(7) shows for accepted sockets; the one that listens is none. */
function countConnections(pid: number, socketDir: string): number {
  const accepted = new Set(
    readFileSync(`/proc/${pid}/net/unix`, 'utf8')
      .split('\n')
      .filter((line) => line.includes(socketDir) && !/ 00010000 /.test(line))
      .map((line) => `socket:[${line.trim().split(/\s+/)[6]}]`),
  )
  try {
    return readdirSync(`/proc/${pid}/fd`).filter((fd) => accepted.has(readlinkSync(`/proc/${pid}/fd/${fd}`)))
      .length
  } catch {
    // A descriptor was closed while we looked; the next look tells.
    return 0
  }
}

function environmentOf(pid: number): string {
  try {
    const entries = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0')
    return entries.filter((entry) => /^CNI_(COMMAND|CONTAINERID|IFNAME)=/.test(entry)).join(' ')
  } catch {
    return ''
  }
}
