import { execFileSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import * as assert from 'uvu/assert'
import { createNetns, enterNetns, type Netns } from '../rig/netns.ts'
import { filesBelow } from '../rig/state-files.ts'
import { stubPlugin } from '../rig/stub.ts'
import { spec } from '../spec.ts'
import { assertAdded, assertDone, type StubNode, stubNode } from './stub-node.ts'

/** A plugin that deletes whatever is called CNI_IFNAME in CNI_NETNS, as bridge and macvlan do. */
function deletesByName(node: StubNode, type: string): void {
  stubPlugin(node.binDir, type, {
    add: { link: 'bridge', lease: node.leaseDir },
    del: { link: 'bridge', lease: node.leaseDir },
  })
}

/** Makes another namespace under the same path, with interfaces of somebody else. */
function replaceNetns(netns: Netns, ...ifNames: readonly string[]): void {
  execFileSync('ip', ['netns', 'del', netns.name])
  execFileSync('ip', ['netns', 'add', netns.name])
  for (const ifName of ifNames) {
    const [program, args] = enterNetns(netns.path, 'ip', ['link', 'add', ifName, 'type', 'bridge'])
    execFileSync(program, args)
  }
}

const namesIn = async (netns: Netns): Promise<string[]> =>
  (await netns.links()).map(({ ifname }) => ifname).sort()

spec('DEL when the network namespace is not what it was', (it) => {
  for (const [title, netns] of [
    ['its path is given and leads nowhere', 'same'],
    ['CNI_NETNS is empty', ''],
    ['CNI_NETNS is not set', undefined],
  ] as const) {
    it(`CNI-011 gone, as after a reboot (${title}): the delegates get an empty one and free what they hold`, async () => {
      const node = await stubNode()
      const pod = await node.pod()
      const before = await node.watch(pod)
      assertAdded(await pod.run('ADD'))
      await pod.netns.delete()
      const call = netns === 'same' ? {} : netns === '' ? { netns: '' } : { env: { CNI_NETNS: undefined } }
      assertDone(await pod.run('DEL', call))
      const deleted = node.calls().filter(({ command }) => command === 'DEL')
      assert.equal(
        deleted.map(({ type, env }) => [type, env.CNI_NETNS]),
        [
          ['beta', ''],
          ['alpha', ''],
          ['primary', ''],
        ],
      )
      await node.assertClean(before)
      assertDone(await pod.run('DEL', call))
    })
  }

  it('reused by something that is not ours: its interfaces stay, our leases are freed', async () => {
    const node = await stubNode()
    for (const type of ['primary', 'alpha', 'beta']) deletesByName(node, type)
    const pod = await node.pod()
    assertAdded(await pod.run('ADD'))
    replaceNetns(pod.netns, 'eth0', 'net1', 'net2')
    assertDone(await pod.run('DEL'))
    assert.equal(await namesIn(pod.netns), ['eth0', 'lo', 'net1', 'net2'])
    assert.equal(readdirSync(node.leaseDir), [])
    assert.equal(filesBelow(node.stateDir), [])
  })

  it('reused by another pod of ours: that one stays whole, and its own DEL works', async () => {
    const node = await stubNode()
    for (const type of ['primary', 'alpha', 'beta']) deletesByName(node, type)
    const old = await node.pod({ name: 'old' })
    const young = await node.pod({ name: 'young' })
    const before = await node.watch()
    assertAdded(await old.run('ADD'))
    replaceNetns(old.netns)
    assertAdded(await young.run('ADD', { netns: old.netns }))
    for (let times = 0; times < 2; times++) {
      assertDone(await old.run('DEL'))
      assert.equal(await namesIn(old.netns), ['eth0', 'lo', 'net1', 'net2'])
    }
    assert.equal(
      filesBelow(node.leaseDir).sort(),
      ['eth0', 'net1', 'net2'].map((name) => `${young.containerId}-${name}`),
    )
    assertDone(await young.run('DEL', { netns: old.netns }))
    assert.equal(await namesIn(old.netns), ['lo'])
    await node.assertClean(before)
  })

  it('of a container that we never attached, in the path of a pod of ours: that pod stays whole', async () => {
    const node = await stubNode()
    deletesByName(node, 'primary')
    const pod = await node.pod({ networks: '' })
    const before = await node.watch(pod)
    assertAdded(await pod.run('ADD'))
    assertDone(await pod.run('DEL', { containerId: 'stranger' }))
    assert.equal(await namesIn(pod.netns), ['eth0', 'lo'])
    const [stranger] = node.calls().filter(({ containerId }) => containerId === 'stranger')
    assert.is(stranger?.netns, '')
    assertDone(await pod.run('DEL'))
    await node.assertClean(before)
  })

  it('of a container that we never attached, in a namespace of nobody else: the default network gets it', async () => {
    const node = await stubNode()
    const netns = await createNetns('legacy')
    const pod = await node.pod({ networks: '' })
    assertDone(await pod.run('DEL', { netns, containerId: 'legacy' }))
    assert.equal(node.steps(), ['primary DEL eth0'])
    assert.is(node.calls()[0]?.netns, netns.path)
  })
})
