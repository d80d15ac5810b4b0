import * as assert from 'uvu/assert'
import { crash, type KillPoint, processesOf } from '../rig/crash.ts'
import { eventually } from '../rig/daemon.ts'
import { nad } from '../rig/manifests.ts'
import { filesBelow, leases } from '../rig/state-files.ts'
import { type TestNode, type TestPod, testNode } from '../rig/test-node.ts'
import { spec } from '../spec.ts'
import { assertAdded, assertDone } from './stub-node.ts'

/** Nodes that work side by side, one for each core of a small machine. */
const NODES = 2

/** What one kill is followed by: whatever it needs until nothing of the pod may be left. */
type Aftermath = (pod: TestPod, point: KillPoint) => Promise<void>

/** A node with real plugins; its pods get a bridge, and a chain that takes the default route over. */
async function realNode(): Promise<TestNode> {
  const node = await testNode('crash')
  const plugins = [{ ...node.bridge(91, { isGateway: true }) }, { type: 'tuning', mtu: 1400 }]
  node.write(nad({ name: 'data', config: { cniVersion: '1.0.0', name: 'data', plugins } }))
  return node
}

const newPod = (node: TestNode): Promise<TestPod> =>
  node.pod({ networks: [{ name: 'data', interface: 'data0', 'default-route': ['10.91.0.1'] }] })

/** Nothing of the pod is left: process, link, lease, and no file at all below the state directory. */
async function assertGone(node: TestNode, pod: TestPod, bridges: readonly string[]): Promise<void> {
  const left = (): string[] => processesOf(pod.containerId, node.stateDir)
  // Their master is dead, and they die with it: soon, not at once.
  await eventually(() => assert.equal(left(), [], 'processes are left'))
  assert.equal(await linkNames(node), bridges, 'links are left on the node')
  const inPod = (await pod.netns.links()).map(({ ifname }) => ifname)
  assert.equal(inPod, ['lo'], 'links are left in the pod')
  assert.equal(leases(node.leaseDir), [], 'leases are left')
  assert.equal(filesBelow(node.stateDir), [], 'files are left in the state directory')
}

async function linkNames(node: TestNode): Promise<string[]> {
  return (await node.host.links()).map(({ ifname }) => ifname).sort()
}

/** What a runtime does about a sandbox that failed: DEL, and once more when the namespace is gone. */
async function deleteTwice(pod: TestPod): Promise<void> {
  assertDone(await pod.run('DEL'))
  assertDone(await pod.run('DEL', { netns: '' }))
}

/**
 * Kills `verb` at one point after the other, on two nodes at once, until a call has no further effect, and
 * looks each time at what is left. All faults are reported together.
 *
 * @returns The effects of a call that nobody killed.
 */
async function killEverywhere(verb: 'ADD' | 'DEL', aftermath: Aftermath): Promise<readonly string[]> {
  const faults: string[] = []
  let effects: readonly string[] = []
  let points = 0
  const work = async (): Promise<void> => {
    const node = await realNode()
    const first = await newPod(node)
    assertAdded(await first.run('ADD'))
    assertDone(await first.run('DEL'))
    const bridges = await linkNames(node)
    while (effects.length === 0) {
      const point: KillPoint = {
        effect: 1 + Math.floor(points / 2),
        when: points % 2 === 0 ? 'before' : 'after',
      }
      points += 1
      const pod = await newPod(node)
      if (verb === 'DEL') assertAdded(await pod.run('ADD'))
      const killed = await crash(point, (call) => pod.run(verb, call))
      try {
        assert.is(killed.run.signal, killed.isKilled ? 'SIGKILL' : undefined)
        await aftermath(pod, point)
        await deleteTwice(pod)
        await assertGone(node, pod, bridges)
      } catch (error) {
        const where = `${verb} killed ${point.when} effect ${point.effect} (${killed.effects.at(-1)})`
        faults.push(`${where}: ${error instanceof Error ? error.message : String(error)}`)
        return
      }
      if (!killed.isKilled) effects = killed.effects
      await pod.netns.delete()
    }
    // Whatever happened before, another pod is served.
    const last = await newPod(node)
    assertAdded(await last.run('ADD'))
    assertDone(await last.run('DEL'))
  }
  await Promise.all(Array.from({ length: NODES }, work))
  assert.equal(faults, [])
  return effects
}

/** The effects that make up a call are among those at which it was killed. */
function assertSeen(effects: readonly string[], expected: readonly RegExp[]): void {
  for (const effect of expected) {
    assert.ok(
      effects.some((line) => effect.test(line)),
      `${effect} is not among:\n${effects.join('\n')}`,
    )
  }
}

spec('Plexus killed with SIGKILL', (it) => {
  it('CNI-101 at any effect of ADD: the DEL that follows leaves nothing', async () => {
    const effects = await killEverywhere('ADD', async (pod, { effect }) => {
      // Some runtimes try again at once: what is left is undone first, and a live attachment is refused.
      if (effect % 7 !== 0) return
      const again = await pod.run('ADD')
      if (again.json?.code !== 103) assertAdded(again)
    })
    assertSeen(effects, [
      /^open .*\/locks\//,
      /^fork/,
      /^rename .*\/sandboxes\//,
      /^fsync .*\/sandboxes\//,
      /^write socket:/,
      /^rename .*\/status\//,
    ])
  })

  it('CNI-101 at any effect of DEL: the next DEL does the rest', async () => {
    const effects = await killEverywhere('DEL', async () => {})
    assertSeen(effects, [
      /^fork/,
      /^write .*\/sandboxes\//,
      /^unlink .*\/status\//,
      /^unlink .*\/sandboxes\//,
      /^unlink .*\/locks\//,
    ])
  })
})
