import { execFileSync } from 'node:child_process'
import * as assert from 'uvu/assert'
import { assertAdded, assertDone, assertRefused, type StubNode, stubNode } from '../plugin/stub-node.ts'
import { eventually, installDaemon } from '../rig/daemon.ts'
import type { Netns } from '../rig/netns.ts'
import { filesBelow, journalFiles } from '../rig/state-files.ts'
import { stubPlugin } from '../rig/stub.ts'
import { spec } from '../spec.ts'
import { assertNothingButStatus } from './after-replay.ts'

/** Plugins that delete whatever is called CNI_IFNAME in CNI_NETNS, as bridge and macvlan do. */
async function nodeThatDeletesByName(): Promise<StubNode> {
  const node = await stubNode()
  for (const type of ['primary', 'alpha', 'beta']) {
    const effects = { link: 'bridge', lease: node.leaseDir } as const
    stubPlugin(node.binDir, type, { add: effects, del: effects })
  }
  return node
}

/** Makes another namespace under the same path. */
function replace(netns: Netns): void {
  execFileSync('ip', ['netns', 'del', netns.name])
  execFileSync('ip', ['netns', 'add', netns.name])
}

const namesIn = async (netns: Netns): Promise<string[]> =>
  (await netns.links()).map(({ ifname }) => ifname).sort()

const WHOLE = ['eth0', 'lo', 'net1', 'net2']

spec('a netns path that another pod has by now', (it) => {
  for (const [who, isServed] of [
    ['the daemon', true],
    ['the shim alone', false],
  ] as const) {
    it(`DEL of the old pod by ${who}: the young one stays whole`, async () => {
      const node = await nodeThatDeletesByName()
      const { shim: executable, start } = installDaemon(node, { shim: { delWait: '0' } })
      const daemon = await start()
      const [old, young] = [await node.pod({ name: 'old' }), await node.pod({ name: 'young' })]
      const before = await node.watch(old, young)
      assertAdded(await old.run('ADD', { executable }))
      replace(old.netns)
      assertAdded(await young.run('ADD', { executable, netns: old.netns }))
      if (!isServed) assert.is(await daemon.stop(), 0)
      for (let times = 0; times < 2; times++) {
        assertDone(await old.run('DEL', { executable }))
        assert.equal(await namesIn(old.netns), WHOLE)
      }
      assert.equal(
        filesBelow(node.leaseDir),
        ['eth0', 'net1', 'net2'].map((name) => `${young.containerId}-${name}`),
      )
      // A daemon removes a record after its answer.
      await eventually(() => assert.equal(journalFiles(node.stateDir), [`${young.containerId}/eth0`]))
      assertDone(await young.run('DEL', { executable, netns: old.netns }))
      assert.equal(await namesIn(old.netns), ['lo'])
      await assertNothingButStatus(node, before, old, young)
      await daemon.stop()
    })
  }

  it('an errand for the old pod: the young one stays whole', async () => {
    const node = await nodeThatDeletesByName()
    const { shim: executable, start } = installDaemon(node, { conf: { errandInterval: 0.2 } })
    const daemon = await start()
    const [old, young] = [await node.pod({ name: 'old' }), await node.pod({ name: 'young' })]
    const before = await node.watch(old, young)
    assertAdded(await old.run('ADD', { executable }))
    const effects = { link: 'bridge', lease: node.leaseDir } as const
    const fails = { error: { code: 117, msg: 'not now' } }
    stubPlugin(node.binDir, 'alpha', { add: effects, del: fails })
    assertRefused(await old.run('DEL', { executable }), 117)
    replace(old.netns)
    assertAdded(await young.run('ADD', { executable, netns: old.netns }))
    stubPlugin(node.binDir, 'alpha', { add: effects, del: effects })
    const conf = node.conf({ cniVersion: '1.1.0' })
    await eventually(async () => {
      assertDone(await young.run('STATUS', { executable, conf }))
      assert.equal(journalFiles(node.stateDir), [`${young.containerId}/eth0`])
    }, 30_000)
    const errands = node.calls().filter((call) => call.command === 'DEL' && call.type === 'alpha')
    assert.is(errands.at(-1)?.containerId, old.containerId)
    assert.is(errands.at(-1)?.netns, '')
    assert.equal(await namesIn(old.netns), WHOLE)
    assertDone(await young.run('DEL', { executable, netns: old.netns }))
    await eventually(() => node.assertClean(before))
    await daemon.stop()
  })
})
