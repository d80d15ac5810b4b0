import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { assertNothingLeft, type Snapshot, snapshot } from '../rig/leftovers.ts'
import { nad } from '../rig/manifests.ts'
import { enterNetns } from '../rig/netns.ts'
import { filesBelow, journalFiles, leases } from '../rig/state-files.ts'
import { type TestNode, type TestPod, testNode } from '../rig/test-node.ts'
import { spec } from '../spec.ts'
import { assertAdded, assertDone, assertRefused } from './stub-node.ts'

/** What is there; the bridges, which the bridge plugin keeps on purpose, are made before. */
async function watch(node: TestNode, ...pods: readonly TestPod[]): Promise<Snapshot> {
  for (const name of ['br90', 'br91']) {
    await node.host.exec('ip', ['link', 'add', name, 'type', 'bridge']).catch(() => undefined)
  }
  const netns = [node.host, ...pods.map((pod) => pod.netns)]
  return snapshot({ netns, leases: [node.leaseDir], stateDir: node.stateDir })
}

/** Secondary networks of real plugins that fail, the code that is answered and their words. */
const failing: [
  title: string,
  config: (node: TestNode) => object,
  code: number,
  phrases: (string | RegExp)[],
][] = [
  [
    'an address pool that is full',
    (node) => ({
      ipam: {
        type: 'host-local',
        dataDir: node.leaseDir,
        ranges: [
          [{ subnet: '10.91.0.0/24', rangeStart: '10.91.0.9', rangeEnd: '10.91.0.9', gateway: '10.91.0.9' }],
        ],
      },
    }),
    999,
    ['plugin "bridge"', /no IP addresses available in range set/],
  ],
  [
    'a bridge that is no bridge',
    () => ({ bridge: 'uplink0' }),
    999,
    ['uplink0" already exists but is not a bridge'],
  ],
  [
    'an IPAM binary that is missing',
    () => ({ ipam: { type: 'whereabouts' } }),
    101,
    ['failed to find plugin "whereabouts"'],
  ],
  [
    'a version that the plugin does not have',
    () => ({ cniVersion: '1.1.0' }),
    1,
    ['plugin "bridge"', 'CNI version 1.1.0 was asked', 'it supports 0.1.0, 0.2.0'],
  ],
  [
    'portmap that is not chained',
    () => ({ type: 'portmap', capabilities: { portMappings: true } }),
    999,
    ['plugin "portmap"', 'must be called as chained plugin'],
  ],
]

spec('real plugins that fail', (it) => {
  for (const [title, config, code, phrases] of failing) {
    it(`${title}: its words in ours, and nothing is left of any network`, async () => {
      const node = await testNode()
      node.write(nad({ name: 'data', config: node.bridge(91, config(node)) }))
      const pod = await node.pod({ networks: 'data' })
      const before = await watch(node, pod)
      assertRefused(await pod.run('ADD'), code, 'pod default/pod-a', 'NAD default/data', ...phrases)
      await assertNothingLeft(before)
      assert.equal(filesBelow(node.stateDir), [])
      assertDone(await pod.run('DEL'))
      await assertNothingLeft(before)
    })
  }

  it('a config that the plugin cannot read, at its DEL neither: told at once, success after delAttempts', async () => {
    const node = await testNode()
    const ipam = { type: 'host-local', dataDir: node.leaseDir, subnet: 'x' }
    node.write(nad({ name: 'data', config: node.bridge(91, { ipam }) }))
    const pod = await node.pod({ networks: 'data' })
    const before = await watch(node, pod)
    const conf = node.conf({ delAttempts: 2 })
    assertRefused(await pod.run('ADD', { conf }), 999, 'invalid CIDR address: x', 'the undo failed too')
    assert.equal(journalFiles(node.stateDir), [`${pod.containerId}/eth0`])
    assertRefused(await pod.run('DEL', { conf }), 999, 'invalid CIDR address: x')
    assertDone(await pod.run('DEL', { conf }))
    const { places } = before
    await assertNothingLeft({ ...before, places: { ...places, stateDir: `${node.stateDir}/none` } })
  })

  it('CNI-155 the namespace is gone: leases are freed all the same', async () => {
    const node = await testNode()
    node.write(nad({ name: 'data', config: node.bridge(91) }))
    const pod = await node.pod({ networks: 'data' })
    const before = await watch(node)
    assertAdded(await pod.run('ADD'))
    assert.is(leases(node.leaseDir).length, 2)
    await pod.netns.delete()
    assertDone(await pod.run('DEL'))
    await assertNothingLeft(before)
  })

  it("the namespace's path is another pod's by now: its interfaces and addresses stay", async () => {
    const node = await testNode()
    node.write(nad({ name: 'data', config: node.bridge(91) }))
    const [old, young] = [
      await node.pod({ networks: 'data' }),
      await node.pod({ name: 'young', networks: 'data' }),
    ]
    const before = await watch(node)
    assertAdded(await old.run('ADD'))
    execFileSync('ip', ['netns', 'del', old.netns.name])
    execFileSync('ip', ['netns', 'add', old.netns.name])
    const [program, args] = enterNetns(old.netns.path, 'ip', ['link', 'set', 'lo', 'up'])
    execFileSync(program, args)
    assertAdded(await young.run('ADD', { netns: old.netns }))
    const links = await old.netns.links()
    assertDone(await old.run('DEL'))
    assert.equal(await old.netns.links(), links)
    assert.is(leases(node.leaseDir).length, 2)
    assertDone(await young.run('DEL', { netns: old.netns }))
    await assertNothingLeft(before)
  })

  it('CNI-047 NAD, pod and net-conf are gone: DEL frees links and leases of all networks', async () => {
    const node = await testNode()
    node.write(nad({ name: 'data', config: node.bridge(91) }))
    const pod = await node.pod({ networks: 'data' })
    const before = await watch(node, pod)
    assertAdded(await pod.run('ADD'))
    for (const file of filesBelow(node.manifests)) writeFileSync(join(node.manifests, file), '{}')
    assertDone(await pod.run('DEL', { conf: node.conf({ delegates: undefined }) }))
    await assertNothingLeft(before)
    assert.equal(filesBelow(node.stateDir), [])
  })

  it('DEL of a container that never was: success, as often as asked', async () => {
    const node = await testNode()
    const pod = await node.pod({ networks: 'data' })
    const before = await watch(node, pod)
    for (const netns of [pod.netns, pod.netns, '', '/run/netns/nowhere'])
      assertDone(await pod.run('DEL', { netns }))
    await assertNothingLeft(before)
    assert.equal(filesBelow(node.stateDir), [])
  })
})
