import * as assert from 'uvu/assert'
import { nad } from '../rig/manifests.ts'
import type { StubCall } from '../rig/stub.ts'
import { spec } from '../spec.ts'
import { assertAdded, assertDone, assertRefused, ipsOf, stubNode } from './stub-node.ts'

const VERSIONS = ['0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0']

/** The version that a call was asked in. */
const askedVersion = ({ stdin }: StubCall): unknown => stdin.cniVersion

spec("our cniVersion and the delegates'", (it) => {
  for (const ours of VERSIONS) {
    it(`CNI-039 net-conf ${ours} with a network of every version: each is asked in its own`, async () => {
      const node = await stubNode({
        cniVersion: ours,
        delegates: [{ cniVersion: '1.0.0', name: 'cluster-net', type: 'primary' }],
      })
      const names = VERSIONS.map((version) => `v${version.replaceAll('.', '-')}`)
      for (const [index, cniVersion] of VERSIONS.entries()) {
        node.write(nad({ name: names[index] ?? '', config: { cniVersion, type: 'alpha' } }))
      }
      const pod = await node.pod({ networks: names.join(',') })
      const before = await node.watch(pod)
      const added = await pod.run('ADD')
      assertAdded(added)
      assert.is(added.json?.cniVersion, ours)
      const isFamilyA = ours === '0.2.0'
      assert.is(added.json?.ip4 !== undefined, isFamilyA)
      if (!isFamilyA) {
        const ips = ipsOf(added)
        assert.is(ips.length, 7)
        // The key `version` belongs to 0.3 and 0.4 alone.
        for (const { version } of ips) assert.is(version, ours < '1' ? '4' : undefined)
      }
      assert.equal(node.alpha.calls().map(askedVersion), VERSIONS)
      if (ours >= '0.4.0') {
        assertDone(await pod.run('CHECK'))
        const checked = node.alpha.calls().filter(({ command }) => command === 'CHECK')
        assert.equal(checked.map(askedVersion), ['0.4.0', '1.0.0', '1.1.0'])
      }
      assertDone(await pod.run('DEL'))
      const deleted = node.alpha.calls().filter(({ command }) => command === 'DEL')
      assert.equal(deleted.map(askedVersion), VERSIONS.toReversed())
      await node.assertClean(before)
    })
  }

  for (const asked of VERSIONS) {
    it(`CNI-033 network ${asked}, plugin of every one version: works, or names network, plugin and both`, async () => {
      const node = await stubNode()
      for (const spoken of VERSIONS) {
        const type = `speaks-${spoken}`
        node.stub(type, { versions: [spoken] })
        node.write(nad({ name: 'skewed', config: { cniVersion: asked, type } }))
        const pod = await node.pod({ name: `pod-${spoken}`, networks: 'skewed' })
        const before = await node.watch(pod)
        const added = await pod.run('ADD')
        if (asked === spoken) {
          assertAdded(added)
        } else {
          const plugin = `plugin "${type}"`
          assertRefused(added, 1, 'network "skewed"', 'NAD default/skewed', plugin, `CNI version ${asked}`)
          assertRefused(added, 1, `it supports ${spoken}`)
          assert.not.match(added.stdout, 'invalid version \\"\\"')
          const primary = node.primary.calls().filter(({ containerId }) => containerId === pod.containerId)
          assert.equal(
            primary.map(({ command }) => command),
            ['ADD', 'DEL'],
          )
          // The plugin refuses its DEL in the same way, and there is nothing of it to be undone.
          await node.assertClean(before)
        }
        assertDone(await pod.run('DEL'))
        await node.assertClean(before)
      }
    })
  }
})

spec('a cniVersion that nobody supports', (it) => {
  for (const version of ['9.9.9', '0.3', '1.0', '1.0.0-rc1', 'v1.0.0']) {
    it(`CNI-033 in our net-conf: ${version}`, async () => {
      const node = await stubNode({ cniVersion: version })
      const pod = await node.pod()
      const before = await node.watch(pod)
      const run = await pod.run('ADD')
      assertRefused(run, 1, 'network "plexus-net"', `"${version}"`, 'plexus', '0.1.0', '1.1.0')
      assert.equal(node.steps(), [])
      await node.assertClean(before)
    })
  }

  it("in a network's config: network, plugin, the version asked and those supported", async () => {
    const node = await stubNode()
    node.write(nad({ name: 'future', config: { cniVersion: '2.0.0', type: 'alpha' } }))
    const pod = await node.pod({ networks: 'future' })
    const run = await pod.run('ADD')
    assertRefused(run, 1, 'NAD default/future', 'network "future"', '"alpha"', '"2.0.0"', '0.3.1', '1.1.0')
    assert.equal(node.steps(), [])
  })

  it('CNI-037 a list of versions with one that we know is called in the highest of these', async () => {
    const node = await stubNode()
    const config = {
      cniVersion: '0.3.1',
      cniVersions: ['0.4.0', '1.0.0', '2.0.0'],
      plugins: [{ type: 'alpha' }],
    }
    node.write(nad({ name: 'many', config }))
    const pod = await node.pod({ networks: 'many' })
    assertAdded(await pod.run('ADD'))
    assert.equal(node.alpha.calls().map(askedVersion), ['1.0.0'])
  })

  it('CNI-023 no cniVersion is 0.1.0, for us and for a delegate', async () => {
    const node = await stubNode({ cniVersion: undefined })
    node.write(nad({ name: 'old', config: { type: 'alpha' } }))
    const pod = await node.pod({ networks: 'old' })
    const run = await pod.run('ADD')
    assertAdded(run)
    assert.is(run.json?.cniVersion, '0.1.0')
    assert.ok(run.json?.ip4)
    assert.equal(node.alpha.calls().map(askedVersion), ['0.1.0'])
    assertDone(await pod.run('DEL'))
    assert.equal(node.alpha.calls().map(askedVersion), ['0.1.0', '0.1.0'])
  })

  it('CNI-036 a plugin of before VERSION is said to support 0.1.0', async () => {
    const node = await stubNode()
    node.behave(node.alpha, { legacy: true, add: { error: { code: 1, msg: 'incompatible CNI versions' } } })
    const pod = await node.pod({ networks: 'alpha-net' })
    assertRefused(
      await pod.run('ADD'),
      1,
      'incompatible CNI versions',
      'it supports 0.1.0',
      'CNI version 1.0.0',
    )
  })

  it('CNI-038 VERSION is not asked of a delegate whose ADD or DEL works', async () => {
    const node = await stubNode()
    const pod = await node.pod()
    assertAdded(await pod.run('ADD'))
    assertDone(await pod.run('DEL'))
    const commands = [node.primary, node.alpha, node.beta].flatMap((stub) =>
      stub.calls().map(({ command }) => command),
    )
    assert.equal(commands.sort(), ['ADD', 'ADD', 'ADD', 'DEL', 'DEL', 'DEL'])
  })
})
