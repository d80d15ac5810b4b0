import { type StubNode, stubNode } from '../plugin/stub-node.ts'
import { type Installation, installDaemon, type TestDaemon } from '../rig/daemon.ts'
import type { PlexusRun } from '../rig/plexus.ts'
import type { TestPod } from '../rig/test-node.ts'
import { type BreakPoint, type FrameRelay, frameRelay } from './frame-relay.ts'

/** A node whose daemon is reached through a relay. */
interface RelayedNode {
  readonly node: StubNode
  readonly installed: Installation
  readonly relay: FrameRelay
}

/** Makes one; a daemon that does not answer is not waited for. */
export async function relayedNode(): Promise<RelayedNode> {
  const node = await stubNode()
  const installed = installDaemon(node, { shim: { addWait: '0', delWait: '0' } })
  const relay = await frameRelay(installed.socket)
  installed.configure({ socket: relay.daemonSocket })
  return { node, installed, relay }
}

/** Runs a verb whose daemon is killed at the point; `false` when the conversation ended before it. */
export async function killedAt(
  point: BreakPoint,
  verb: string,
  pod: TestPod,
  daemon: TestDaemon,
  { installed, relay }: RelayedNode,
): Promise<{ run: PlexusRun; isKilled: boolean }> {
  let isKilled = false
  relay.breakAt(point, () => {
    isKilled = true
    daemon.kill('SIGKILL')
  })
  const run = await pod.run(verb, { executable: installed.shim, timeoutMs: 15_000 })
  relay.breakAt(undefined, () => {})
  daemon.kill('SIGKILL')
  await daemon.ended
  return { run, isKilled }
}

/** Every frame of a conversation without end, half and whole. */
export function* breakPoints(): Generator<BreakPoint> {
  for (let frame = 1; ; frame++) {
    yield { frame, part: 'half' }
    yield { frame, part: 'whole' }
  }
}
