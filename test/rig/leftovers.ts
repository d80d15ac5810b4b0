import { AssertionError } from 'node:assert'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import process from 'node:process'
import type { Netns } from './netns.ts'
import { filesBelow, leases } from './state-files.ts'
import { markedProcesses } from './teardown.ts'

/** Where a test's Plexus can leave something. */
export interface Places {
  /** The namespaces to look into: the one that stands in for the node, and the pods'. Deleted ones are left out. */
  readonly netns?: readonly Netns[]
  /** Folders of leases: host-local's `dataDir`, a stub's `lease`. */
  readonly leases?: readonly string[]
  /** Plexus's state directory; all files in it count save the lock files, which stay on purpose. */
  readonly stateDir?: string
  /** Further folders whose files count. */
  readonly folders?: readonly string[]
}

/** What is there at one moment: one line for each thing, sorted. */
export interface Snapshot {
  readonly places: Places
  readonly lines: readonly string[]
}

/**
 * What is there now: this process's namespaces, links, CNI's iptables rules, leases, state files, and
 * processes started by this test run.
 */
export async function snapshot(places: Places = {}): Promise<Snapshot> {
  const lines: string[] = []
  for (const name of existsSync('/run/netns') ? readdirSync('/run/netns') : []) {
    if (name.startsWith(`plx-${process.pid}-`)) lines.push(`namespace ${name}`)
  }
  for (const netns of places.netns ?? []) {
    if (!existsSync(netns.path)) continue
    for (const { ifname } of await netns.links()) lines.push(`link ${ifname} in ${netns.name}`)
    for (const rule of await containerRules(netns)) lines.push(`rule ${rule} in ${netns.name}`)
  }
  for (const dir of places.leases ?? []) for (const file of leases(dir)) lines.push(`lease ${dir}/${file}`)
  for (const file of places.stateDir === undefined ? [] : filesBelow(places.stateDir)) {
    if (!file.startsWith('locks/')) lines.push(`state file ${places.stateDir}/${file}`)
  }
  for (const dir of places.folders ?? [])
    for (const file of filesBelow(dir)) lines.push(`file ${dir}/${file}`)
  for (const pid of markedProcesses()) lines.push(`process ${pid} ${commandLine(pid)}`)
  return { places, lines: lines.sort() }
}

/**
 * Takes a new look at the places of `before` and compares.
 *
 * @param after The later snapshot; taken now when absent.
 * @throws {AssertionError} Naming everything that was not there before.
 */
export async function assertNothingLeft(before: Snapshot, after?: Snapshot): Promise<void> {
  const later = after ?? (await snapshot(before.places))
  const left = later.lines.filter((line) => !before.lines.includes(line))
  if (left.length === 0) return
  throw new AssertionError({
    message: `left behind:\n  ${left.join('\n  ')}`,
    actual: left,
    expected: [],
    operator: 'nothing left',
  })
}

/**
 * iptables rules that a plugin made for one container. The base chains that portmap and firewall make once
 * and keep on purpose, and the jumps to them, are none.
 */
async function containerRules(netns: Netns): Promise<string[]> {
  const rules: string[] = []
  for (const save of ['iptables-save', 'ip6tables-save']) {
    const text = await netns.exec(save)
    for (const line of text.split('\n')) {
      const base =
        /-j CNI-(HOSTPORT-(DNAT|MASQ|SETMARK)|FORWARD|ADMIN)$/.test(line) ||
        /^-A CNI-HOSTPORT-(SETMARK|MASQ) /.test(line)
      const keptChain = /^:CNI-(HOSTPORT-(DNAT|MASQ|SETMARK)|FORWARD|ADMIN) /.test(line)
      if (/^-A .*\bCNI\b|^-A CNI-/i.test(line) && !base) rules.push(line)
      if (/^:CNI-/.test(line) && !keptChain) rules.push(line.replace(/ \[.*/, ''))
    }
  }
  return rules
}

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()
  } catch {
    return '(ended)'
  }
}
