import * as assert from 'uvu/assert'
import type { StubNode } from '../plugin/stub-node.ts'
import { processesOf } from '../rig/crash.ts'
import { eventually } from '../rig/daemon.ts'
import type { Snapshot } from '../rig/leftovers.ts'
import type { TestPod } from '../rig/test-node.ts'

/**
 * After a DEL that the shim may have done by itself nothing is left but what the store shows of the pod,
 * which is not the shim's to remove. A guard may need a moment to end.
 */
export async function assertNothingButStatus(
  node: Pick<StubNode, 'watch' | 'stateDir'>,
  before: Snapshot,
  ...pods: readonly TestPod[]
): Promise<void> {
  await eventually(async () => {
    for (const { containerId } of pods) assert.equal(processesOf(containerId, node.stateDir), [])
    const { lines } = await node.watch(...pods)
    assert.equal(
      lines.filter((line) => !before.lines.includes(line) && !line.includes(`${node.stateDir}/status/`)),
      [],
    )
  })
}
