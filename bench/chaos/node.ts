import { execFile } from 'node:child_process'
import { chmodSync, copyFileSync, mkdirSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Program } from '../runner.ts'
import { UPLINK } from '../runner.ts'
import { type BenchPod, makeWorkload, pluginCall, type Verb, type Workload } from '../workload.ts'

const run = promisify(execFile)

/** The node that is put through it, in the namespaces that this process is in. */
export interface ChaosNode {
  readonly dir: string
  readonly stateDir: string
  /** Where host-local keeps its leases, a folder for each network. */
  readonly leaseDir: string
  /** Folder of the daemon's socket. */
  readonly socketDir: string
  readonly daemon: readonly [string, ...string[]]
  /** A new sandbox of a pod; the path of its namespace is still to be made. */
  pod(index: number): BenchPod
  program(verb: Verb | 'CHECK', pod: BenchPod): Program
  makeNetns(path: string): Promise<void>
  dropNetns(path: string): Promise<void>
}

/**
 * Room for a kill before and after the work, and a child that must go as well. Its DEL is quicker: it would
 * overtake an ADD that went on after the shim was killed, and leave what that one makes.
 */
const slowPlugin = (plugin: string): string => `#!/bin/sh
if [ "$CNI_COMMAND" = ADD ]; then sleep 0.2; fi
'${plugin}'
status=$?
sleep 0.03
exit $status
`

/**
 * A node with an uplink, a shim, and a daemon that is still to be started. Its pods have the three networks
 * of the benchmark; the macvlan plugin is a slow one.
 *
 * @param count How many pods there are; a pod's next sandbox has the same name.
 */
export async function makeNode(
  dir: string,
  { count, plexus, pluginDir }: { count: number; plexus: string; pluginDir: string },
): Promise<ChaosNode> {
  const folder = (name: string, mode: number): string => {
    const path = join(dir, name)
    mkdirSync(path, { mode })
    return path
  }
  const slowDir = folder('slow', 0o755)
  writeFileSync(join(slowDir, 'macvlan'), slowPlugin(join(pluginDir, 'macvlan')), { mode: 0o755 })
  const binDir = folder('bin', 0o755)
  const socketDir = folder('run', 0o700)
  const stateDir = join(dir, 'state')
  const shim = join(binDir, 'plexus')
  copyFileSync(join(plexus, '../../dist/native/plexus'), shim)
  chmodSync(shim, 0o755)
  const socket = join(socketDir, 'plexus.sock')
  writeFileSync(join(binDir, 'plexus.shim'), `socket=${socket}\nstateDir=${stateDir}\n`, { mode: 0o600 })
  const conf = join(dir, 'daemon.json')
  writeFileSync(conf, JSON.stringify({ socket, stateDir, metricsAddress: '', errandInterval: 1 }))

  await run('sh', ['-c', UPLINK])
  const workload: Workload = makeWorkload(dir, pluginDir)
  const manifests = workload.manifests(count)
  return {
    dir,
    stateDir,
    leaseDir: join(dir, 'ipam'),
    socketDir,
    daemon: [plexus, 'daemon', '--config', conf],
    pod: (index) => workload.pod(index),
    program(verb, pod) {
      const pluginPath = `${slowDir}:${pluginDir}`
      const call = pluginCall(workload, 'ADD', pod, { executable: shim, manifests, pluginDir: pluginPath })
      return { ...call, env: { ...call.env, CNI_COMMAND: verb } }
    },
    async makeNetns(path) {
      writeFileSync(path, '', { flag: 'wx' })
      await run('unshare', [`--net=${path}`, 'true'])
    },
    async dropNetns(path) {
      await run('umount', ['--lazy', path])
      unlinkSync(path)
    },
  }
}
