import * as assert from 'uvu/assert'
import { assertAdded, assertDone, stubNode } from '../plugin/stub-node.ts'
import { eventually, installDaemon } from '../rig/daemon.ts'
import { assertNothingLeft } from '../rig/leftovers.ts'
import type { PlexusRun } from '../rig/plexus.ts'
import type { StubCall } from '../rig/stub.ts'
import { spec } from '../spec.ts'
import { watchEffects } from './effects.ts'
import { memoryOf } from './process-memory.ts'

const PODS = 200
const DELEGATE_MIB = 60
const LIMIT_MIB = 256
/** A runtime gives an ADD about two minutes. */
const LONGEST_MS = 100_000

/** Whether a call began while another one ran, which it does itself. */
function isDuring({ startedNs }: StubCall, other: StubCall): boolean {
  return other.startedNs <= startedNs && (other.endedNs === undefined || startedNs < other.endedNs)
}

spec('memory of the daemon', (it) => {
  it("200 ADDs at once, delegates of 60 MiB each: all succeed, and none of it is the daemon's", async () => {
    const node = await stubNode()
    const { shim: executable, start } = installDaemon(node, { shim: { addWait: '10', delWait: '2' } })
    node.primary.behave({
      add: { occupyMiB: DELEGATE_MIB, sleepMs: 50, lease: node.leaseDir },
      del: { lease: node.leaseDir },
    })
    const pods = await Promise.all(
      Array.from({ length: PODS }, (_, number) => node.pod({ name: `pod-${number}`, networks: '' })),
    )
    const before = await watchEffects(node)
    const daemon = await start()
    const each = async (command: string): Promise<PlexusRun[]> => {
      const runs = await Promise.all(pods.map((pod) => pod.run(command, { executable })))
      for (const { durationMs } of runs) assert.ok(durationMs < LONGEST_MS, `${command}: ${durationMs} ms`)
      return runs
    }
    for (const run of await each('ADD')) assertAdded(run)
    const calls = node.primary.calls().filter(({ command }) => command === 'ADD')
    // Were they in the daemon's cgroup, as with a plugin that starts them there, one of them would be killed.
    const mostAtOnce = Math.max(...calls.map((call) => calls.filter((other) => isDuring(call, other)).length))
    assert.ok(mostAtOnce * DELEGATE_MIB > LIMIT_MIB, `${mostAtOnce} delegates at once`)
    assert.equal(
      calls.filter(({ ppid }) => ppid === daemon.pid),
      [],
      'the daemon has started delegates',
    )
    const { peakMiB } = memoryOf(daemon.pid)
    assert.ok(peakMiB < LIMIT_MIB, `${peakMiB} MiB`)
    for (const run of await each('DEL')) assertDone(run)
    await eventually(() => assertNothingLeft(before))
    assert.is(await daemon.stop(), 0)
  })
})
