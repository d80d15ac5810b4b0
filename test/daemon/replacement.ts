import { rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import * as assert from 'uvu/assert'
import { eventually, installDaemon } from '../rig/daemon.ts'
import { assertNothingLeft } from '../rig/leftovers.ts'
import { nad } from '../rig/manifests.ts'
import { type PackageCopy, packageCopy } from '../rig/package-copy.ts'
import { type PlexusRun, runCli } from '../rig/plexus.ts'
import { stubPlugin } from '../rig/stub.ts'
import { testNode } from '../rig/test-node.ts'
import { watchEffects } from './effects.ts'

/**
 * How a daemon gives way: `restart` stops it before the next one starts, `take-over` after. `upgrade` installs another
 * release of the shim in the place of the one that is there.
 */
type Replacement = 'restart' | 'take-over' | 'upgrade'

/** A stream of pods, and what happens to the daemon meanwhile. */
interface Stream {
  readonly pods: number
  readonly perSecond: number
  /** Spread evenly over the stream. */
  readonly replacements: readonly Replacement[]
}

/** What the waits of production allow: `addWait` 10 s and `delWait` 2 s, and a busy machine. */
const LONGEST_MS = { ADD: 20_000, DEL: 15_000 }

/**
 * Adds and deletes pods at an even pace, whatever the ones before do, while the daemon is replaced. Each has
 * a real bridge with host-local and a second network of a stub that takes a lease.
 *
 * @throws {AssertionError} Naming every request that failed or took too long, and what is left at the end.
 */
export async function assertReplaced({ pods, perSecond, replacements }: Stream): Promise<void> {
  const node = await testNode('stream')
  stubPlugin(node.binDir, 'second', { add: { lease: node.leaseDir }, del: { lease: node.leaseDir } })
  node.write(nad({ name: 'second-net', config: { cniVersion: '1.0.0', type: 'second' } }))
  const { shim: executable, socket, start } = installDaemon(node, { shim: { addWait: '10', delWait: '2' } })
  const releases = replacements.includes('upgrade') ? [packageCopy('9.9.9'), packageCopy()] : []
  const install = async (release: PackageCopy | undefined): Promise<void> => {
    const folders = ['--bin-dir', dirname(executable), '--state-dir', node.stateDir, '--socket', socket]
    const args = ['install', '--no-fallback', ...folders, '-o', 'json']
    const run = await runCli(args, release === undefined ? {} : { executable: release.plexus })
    assert.is(run.status, 0, run.stderr)
    assert.match(run.stdout, '"replaced"')
  }
  let daemon = await start()

  const faults: string[] = []
  const answers = { ADD: 0, DEL: 0 }
  const judge = (name: string, command: 'ADD' | 'DEL', run: PlexusRun): void => {
    const isAnswered = command === 'ADD' ? Array.isArray(run.json?.ips) : run.stdout === ''
    if (run.status === 0 && isAnswered) answers[command] += 1
    else faults.push(`${name}: ${command}: status ${run.status}, ${run.stdout}${run.stderr}`)
    if (run.durationMs > LONGEST_MS[command]) faults.push(`${name}: ${command} took ${run.durationMs} ms`)
  }
  const live = async (name: string): Promise<void> => {
    const pod = await node.pod({ name, networks: 'second-net' })
    judge(name, 'ADD', await pod.run('ADD', { executable }))
    judge(name, 'DEL', await pod.run('DEL', { executable }))
    rmSync(join(node.manifests, `pod-default-${name}.json`))
    await pod.netns.delete()
  }
  // Its bridge stays: that is the plugin's way.
  await live('first')
  const before = await watchEffects(node)

  const streamMs = (pods / perSecond) * 1000
  const stream = async (): Promise<void> => {
    const begin = performance.now()
    const lives: Promise<void>[] = []
    for (let number = 1; number <= pods; number++) {
      await delay(Math.max(0, begin + (number * 1000) / perSecond - performance.now()))
      lives.push(live(`pod-${number}`))
    }
    await Promise.all(lives)
  }
  const replace = async (): Promise<void> => {
    const begin = performance.now()
    let upgrades = 0
    for (const [index, way] of replacements.entries()) {
      const at = ((index + 1) / (replacements.length + 1)) * streamMs
      await delay(Math.max(0, begin + at - performance.now()))
      if (way === 'upgrade') {
        await install(releases[upgrades++ % 2])
        continue
      }
      const old = daemon
      if (way === 'restart') assert.is(await old.stop(), 0, 'requests were cut off')
      daemon = await start()
      if (way === 'take-over') assert.is(await old.stop(), 0, 'requests were cut off')
    }
  }
  await Promise.all([stream(), replace()])

  assert.equal(faults, [])
  assert.equal(answers, { ADD: pods + 1, DEL: pods + 1 })
  await eventually(() => assertNothingLeft(before))
  assert.is(await daemon.stop(), 0)
}
