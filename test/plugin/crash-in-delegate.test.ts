import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { processesOf } from '../rig/crash.ts'
import { eventually } from '../rig/daemon.ts'
import { nad } from '../rig/manifests.ts'
import { type Behaviour, type StubPlugin, stubPlugin } from '../rig/stub.ts'
import { spec } from '../spec.ts'
import { assertAdded, assertDone, type StubNode, stubNode } from './stub-node.ts'

/** Default network, `alpha`, and `beta` with an IPAM plugin of its own, whose leases are in a folder below. */
async function nodeWithPool(): Promise<{ node: StubNode; stubs: readonly StubPlugin[] }> {
  const node = await stubNode()
  const pool = stubPlugin(node.binDir, 'pool')
  mkdirSync(join(node.leaseDir, 'pool'))
  node.write(nad({ name: 'beta-net', config: { cniVersion: '1.0.0', type: 'beta', ipam: { type: 'pool' } } }))
  return { node, stubs: [node.primary, node.alpha, node.beta, pool] }
}

/** Every stub does its work; `blocked` alone waits, before or after its own effects. */
function behave(
  node: StubNode,
  stubs: readonly StubPlugin[],
  verb: 'add' | 'del',
  blocked?: StubPlugin,
  block?: object,
) {
  for (const stub of stubs) {
    const effects: Behaviour =
      stub.type === 'pool'
        ? { lease: join(node.leaseDir, 'pool') }
        : { link: 'veth', lease: node.leaseDir, ipam: stub.type === 'beta' }
    stub.behave({ add: effects, del: effects, [verb]: stub === blocked ? { ...effects, ...block } : effects })
  }
}

/** Nothing may run for the container any more; what was killed may need a moment. */
async function assertIdle(containerId: string, stateDir: string): Promise<void> {
  await eventually(() => assert.equal(processesOf(containerId, stateDir), []))
}

spec('Plexus killed with SIGKILL while a delegate runs', (it) => {
  for (const verb of ['add', 'del'] as const) {
    for (const moment of ['blockBefore', 'blockAfter'] as const) {
      const when = moment === 'blockBefore' ? 'before it has done anything' : 'when it has done all'
      it(`CNI-101 ${verb.toUpperCase()} of each network and of an IPAM child, ${when}: DEL leaves nothing`, async () => {
        const { node, stubs } = await nodeWithPool()
        const command = verb === 'add' ? 'ADD' : 'DEL'
        for (const blocked of stubs) {
          behave(node, stubs, verb)
          const pod = await node.pod()
          const before = await node.watch(pod)
          if (verb === 'del') assertAdded(await pod.run('ADD'))
          behave(node, stubs, verb, blocked, { [moment]: 'gate' })
          const begun = blocked.calls().filter((call) => call.command === command).length
          const running = pod.start(command)
          await blocked.reached(begun + 1, command)
          running.kill('SIGKILL')
          assert.is((await running.finished).signal, 'SIGKILL')
          behave(node, stubs, verb)
          // At once: the guard may not have killed the delegate yet.
          assertDone(await pod.run('DEL'))
          assertDone(await pod.run('DEL', { netns: '' }))
          await assertIdle(pod.containerId, node.stateDir)
          await node.assertClean(before)
        }
      })
    }
  }
})
