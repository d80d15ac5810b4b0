import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { toCniError } from '../../cni/cni-error.ts'
import { needProgram } from './program.ts'
import { UPLINK } from './scenario.ts'

const NETNS_DIR = '/run/netns'

/** Where the demo takes place: namespaces and folders of its own. */
export interface Stage {
  /** Folder of everything that is written. */
  readonly dir: string
  /** First part of the names of all namespaces of this demo. */
  readonly prefix: string
  /** Makes a network namespace `<prefix>-<name>`, `lo` up as a runtime does, and gives its path. */
  createNetns(name: string): Promise<string>
  /** Runs a program inside a network namespace; it has to succeed. Gives its stdout. */
  runInside(netns: string, command: string, ...args: string[]): Promise<string>
  /** Namespaces of this demo that exist. */
  namespaces(): string[]
  /** Removes the namespaces, with all that is in them, and the folder; says what could not be removed. */
  clear(): Promise<string[]>
}

/**
 * Opens a stage with a folder below the system's temporary one; nothing of the machine's own network
 * is touched, and demos that run at the same time have other names.
 *
 * @param signal Aborted: what runs inside is ended; `clear` works all the same.
 */
export function openStage(signal: AbortSignal): Stage {
  const prefix = `plexus-demo-${randomBytes(4).toString('hex')}`
  const dir = mkdtempSync(join(tmpdir(), `${prefix}-`))
  const namespaces = (): string[] =>
    existsSync(NETNS_DIR) ? readdirSync(NETNS_DIR).filter((name) => name.startsWith(`${prefix}-`)) : []
  const inside: Stage['runInside'] = (netns, command, ...args) =>
    needProgram('nsenter', [`--net=${netns}`, '--', command, ...args], { signal })
  return {
    dir,
    prefix,
    namespaces,
    async createNetns(name) {
      await needProgram('ip', ['netns', 'add', `${prefix}-${name}`], { signal })
      const path = `${NETNS_DIR}/${prefix}-${name}`
      await inside(path, 'ip', 'link', 'set', 'lo', 'up')
      return path
    },
    runInside: inside,
    async clear() {
      const faults: string[] = []
      for (const name of namespaces()) {
        try {
          await needProgram('ip', ['netns', 'delete', name])
        } catch (error) {
          faults.push(`network namespace ${name}: ${toCniError(error).message}`)
        }
      }
      try {
        rmSync(dir, { recursive: true, force: true })
      } catch (error) {
        faults.push(`folder ${dir}: ${toCniError(error).message}`)
      }
      return faults
    },
  }
}

/** Makes the namespace that stands in for a node, with a veth pair in place of its network card. */
export async function createNode(stage: Stage): Promise<string> {
  const node = await stage.createNetns('node')
  const peer = `${UPLINK}-peer`
  await stage.runInside(node, 'ip', 'link', 'add', UPLINK, 'type', 'veth', 'peer', 'name', peer)
  for (const end of [UPLINK, peer]) await stage.runInside(node, 'ip', 'link', 'set', end, 'up')
  return node
}

/** Makes a folder of the stage and gives its path. */
export function createFolder(stage: Stage, name: string): string {
  const path = join(stage.dir, name)
  mkdirSync(path, { recursive: true, mode: 0o700 })
  return path
}
