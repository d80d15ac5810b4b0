import * as assert from 'uvu/assert'
import { nad } from '../rig/manifests.ts'
import { journalFiles } from '../rig/state-files.ts'
import type { StubCall } from '../rig/stub.ts'
import { spec } from '../spec.ts'
import { assertAdded, assertDone, assertRefused, type StubNode, stubNode } from './stub-node.ts'

const VALID = 'cni.dev/valid-attachments'
const OLD_VALID = 'cni.dev/attachments'

/** A node of 1.1.0 whose three networks are of 1.1.0 too. */
async function gcNode(): Promise<StubNode> {
  const node = await stubNode({
    cniVersion: '1.1.0',
    delegates: [{ cniVersion: '1.1.0', name: 'cluster-net', type: 'primary' }],
  })
  for (const name of ['alpha', 'beta']) {
    node.write(nad({ name: `${name}-net`, config: { cniVersion: '1.1.0', type: name, own: name } }))
  }
  return node
}

const gcCalls = (node: StubNode): StubCall[] => node.calls().filter(({ command }) => command === 'GC')
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

spec('GC', (it) => {
  it('CNI-062 CNI-064 CNI-069 CNI-087 each network gets its own interfaces of the containers that are valid, by both keys', async () => {
    const node = await gcNode()
    const [one, two] = [await node.pod(), await node.pod({ name: 'two', networks: 'beta-net@data0' })]
    for (const pod of [one, two]) assertAdded(await pod.run('ADD'))
    const steps = node.steps().length
    const valid = [one, two].map(({ containerId }) => ({ containerID: containerId, ifname: 'eth0' }))
    assertDone(await one.run('GC', { conf: node.conf({ [VALID]: valid }) }))
    assert.equal(node.steps().slice(steps).sort(), ['alpha GC', 'beta GC', 'primary GC'])
    const expected: Record<string, [string, string][]> = {
      primary: [
        [one.containerId, 'eth0'],
        [two.containerId, 'eth0'],
      ],
      alpha: [[one.containerId, 'net1']],
      beta: [
        [one.containerId, 'net2'],
        [two.containerId, 'data0'],
      ],
    }
    for (const call of gcCalls(node)) {
      const attachments = (expected[call.type] ?? []).map(([containerID, ifname]) => ({
        containerID,
        ifname,
      }))
      const name = call.type === 'primary' ? 'cluster-net' : `${call.type}-net`
      const own = call.type === 'primary' ? {} : { own: call.type }
      const shared = { cniVersion: '1.1.0', name, type: call.type, ...own }
      assert.equal(plain(call.stdin), { ...shared, [VALID]: attachments, [OLD_VALID]: attachments })
      // CNI-069: no attachment and no namespace.
      assert.equal([call.containerId, call.netns, call.ifName, call.env.CNI_ARGS], ['', '', '', ''])
    }
    for (const pod of [one, two]) assertDone(await pod.run('DEL'))
  })

  for (const key of [VALID, OLD_VALID]) {
    it(`CNI-065 what ${key} does not list is deleted, then GC is handed on`, async () => {
      const node = await gcNode()
      const [live, stale] = [await node.pod(), await node.pod({ name: 'stale' })]
      const before = await node.watch(live, stale)
      assertAdded(await live.run('ADD'))
      assertAdded(await stale.run('ADD'))
      await stale.netns.delete()
      const steps = node.steps().length
      const valid = [{ containerID: live.containerId, ifname: 'eth0' }]
      assertDone(await live.run('GC', { conf: node.conf({ [key]: valid }) }))
      assert.equal(node.steps().slice(steps, steps + 3), [
        'beta DEL net2',
        'alpha DEL net1',
        'primary DEL eth0',
      ])
      for (const { containerId } of node.calls().slice(steps, steps + 3))
        assert.is(containerId, stale.containerId)
      assert.equal(
        node
          .steps()
          .slice(steps + 3)
          .sort(),
        ['alpha GC', 'beta GC', 'primary GC'],
      )
      for (const { stdin } of gcCalls(node)) {
        const containers = (plain(stdin[VALID]) as { containerID: string }[]).map(
          ({ containerID }) => containerID,
        )
        assert.equal(containers, [live.containerId])
      }
      assert.equal(journalFiles(node.stateDir), [`${live.containerId}/eth0`])
      assertDone(await live.run('DEL'))
      await node.assertClean(before)
    })
  }

  it('CNI-063 no key: nothing is touched; [] and null: everything is stale', async () => {
    for (const list of [[], null]) {
      const node = await gcNode()
      const pod = await node.pod()
      const before = await node.watch(pod)
      assertAdded(await pod.run('ADD'))
      assertDone(await pod.run('GC'))
      assert.is(node.steps().length, 3)
      assertDone(await pod.run('GC', { conf: node.conf({ [VALID]: list }) }))
      assert.equal(node.steps().slice(3, 6), ['beta DEL net2', 'alpha DEL net1', 'primary DEL eth0'])
      for (const { stdin } of gcCalls(node)) assert.equal([stdin[VALID], stdin[OLD_VALID]], [[], []])
      await node.assertClean(before)
    }
  })

  it('CNI-062 the newer key wins over the older one', async () => {
    const node = await gcNode()
    const pod = await node.pod()
    assertAdded(await pod.run('ADD'))
    const conf = node.conf({ [VALID]: [{ containerID: pod.containerId, ifname: 'eth0' }], [OLD_VALID]: [] })
    assertDone(await pod.run('GC', { conf }))
    assert.equal(
      node.steps().filter((step) => step.includes('DEL')),
      [],
    )
    assertDone(await pod.run('DEL'))
  })

  it("CNI-062 another network of ours on the node: its attachments are not the list's matter, and stay valid for networks that both use", async () => {
    const node = await gcNode()
    const [stale, other] = [await node.pod(), await node.pod({ name: 'other' })]
    const before = await node.watch(stale, other)
    const otherConf = node.conf({ name: 'other-net' })
    assertAdded(await stale.run('ADD'))
    assertAdded(await other.run('ADD', { conf: otherConf }))
    assertDone(await stale.run('GC', { conf: node.conf({ [VALID]: [] }) }))
    assert.equal(journalFiles(node.stateDir), [`${other.containerId}/eth0`])
    const ifNames: Record<string, string> = { primary: 'eth0', alpha: 'net1', beta: 'net2' }
    assert.is(gcCalls(node).length, 3)
    for (const { type, stdin } of gcCalls(node))
      assert.equal(plain(stdin[VALID]), [{ containerID: other.containerId, ifname: ifNames[type] }])
    assertDone(await other.run('DEL', { conf: otherConf }))
    await node.assertClean(before)
  })

  it('CNI-063 a list that is none is refused and nothing is deleted', async () => {
    const node = await gcNode()
    const pod = await node.pod()
    assertAdded(await pod.run('ADD'))
    for (const list of ['none', [{ containerID: 7, ifname: 'eth0' }], [pod.containerId], { a: 1 }]) {
      assertRefused(await pod.run('GC', { conf: node.conf({ [VALID]: list }) }), 6, VALID)
    }
    assert.is(node.steps().length, 3)
    assertDone(await pod.run('DEL'))
  })

  it('CNI-066 a network whose GC fails does not stop the others; all of it is told', async () => {
    const node = await gcNode()
    node.behave(node.primary, { gc: { error: { code: 190, msg: 'primary cannot collect' } } })
    node.behave(node.beta, { gc: { error: { code: 191, msg: 'beta cannot collect' } } })
    const pod = await node.pod()
    assertAdded(await pod.run('ADD'))
    const valid = [{ containerID: pod.containerId, ifname: 'eth0' }]
    const run = await pod.run('GC', { conf: node.conf({ [VALID]: valid }) })
    assertRefused(run, 190, 'primary cannot collect', 'beta cannot collect')
    assert.is(gcCalls(node).length, 3)
    assertDone(await pod.run('DEL'))
  })

  it('CNI-065 a stale DEL that fails stays recorded, and the others are collected', async () => {
    const node = await gcNode()
    const pod = await node.pod()
    const before = await node.watch(pod)
    assertAdded(await pod.run('ADD'))
    node.alpha.behave({ del: { error: { code: 192, msg: 'alpha is stuck' } } })
    assertRefused(await pod.run('GC', { conf: node.conf({ [VALID]: [] }) }), 192, 'alpha is stuck')
    assert.equal(journalFiles(node.stateDir), [`${pod.containerId}/eth0`])
    node.behave(node.alpha, {})
    assertDone(await pod.run('GC', { conf: node.conf({ [VALID]: [] }) }))
    await node.assertClean(before)
  })

  it('CNI-068 a list with disableGC never sees GC, and one below 1.1.0 never either', async () => {
    const node = await gcNode()
    const plugins = [{ type: 'alpha' }]
    node.write(
      nad({ name: 'alpha-net', config: { cniVersion: '1.1.0', disableGC: true, plugins } }),
      nad({ name: 'beta-net', config: { cniVersion: '1.0.0', type: 'beta' } }),
    )
    const pod = await node.pod()
    assertAdded(await pod.run('ADD'))
    const valid = [{ containerID: pod.containerId, ifname: 'eth0' }]
    assertDone(await pod.run('GC', { conf: node.conf({ [VALID]: valid }) }))
    assert.equal(node.steps().slice(3), ['primary GC'])
    assertDone(await pod.run('DEL'))
  })

  it('CNI-115 a stale attachment is deleted with the config of its ADD, not with that of today', async () => {
    const node = await gcNode()
    const pod = await node.pod()
    assertAdded(await pod.run('ADD'))
    node.write(nad({ name: 'alpha-net', config: { cniVersion: '1.1.0', type: 'alpha', own: 'edited' } }))
    assertDone(await pod.run('GC', { conf: node.conf({ [VALID]: [] }) }))
    const [deleted] = node.alpha.calls().filter(({ command }) => command === 'DEL')
    assert.is(deleted?.stdin.own, 'alpha')
  })
})

spec('STATUS', (it) => {
  it('CNI-059 CNI-087 is handed to each plugin of the default network with name and version, and nothing else', async () => {
    const node = await stubNode({ cniVersion: '1.1.0' })
    const plugins = [{ type: 'primary', own: 1, capabilities: { mac: true } }, { type: 'alpha' }]
    const conf = node.conf({
      delegates: [{ cniVersion: '1.1.0', name: 'cluster-net', plugins }],
      capabilities: { mac: true },
      runtimeConfig: { mac: '02:00:00:00:00:01' },
    })
    const pod = await node.pod()
    assertDone(await pod.run('STATUS', { conf, containerId: 'c1', ifName: 'eth0' }))
    assert.equal(
      node.calls().map(({ type, command }) => `${type} ${command}`),
      ['primary STATUS', 'alpha STATUS'],
    )
    const [first, second] = node.calls()
    assert.equal(plain(first?.stdin), { ...plugins[0], name: 'cluster-net', cniVersion: '1.1.0' })
    assert.equal(plain(second?.stdin), { type: 'alpha', name: 'cluster-net', cniVersion: '1.1.0' })
    for (const call of node.calls()) {
      assert.equal([call.containerId, call.netns, call.ifName, call.env.CNI_ARGS], ['', '', '', ''])
    }
  })

  for (const code of [50, 51, 117]) {
    it(`CNI-059 the first error of a delegate comes back with its code ${code}`, async () => {
      const node = await stubNode({
        cniVersion: '1.1.0',
        delegates: [
          { cniVersion: '1.1.0', name: 'cluster-net', plugins: [{ type: 'primary' }, { type: 'alpha' }] },
        ],
      })
      node.behave(node.primary, { status: { error: { code, msg: 'agent is down' } } })
      const pod = await node.pod()
      assertRefused(await pod.run('STATUS'), code, 'agent is down')
      assert.equal(
        node.calls().map(({ type }) => type),
        ['primary'],
      )
    })
  }

  it('CNI-061 a plugin that does not list 1.1.0 is not asked, and its list below 1.1.0 neither', async () => {
    const node = await stubNode({
      cniVersion: '1.1.0',
      delegates: [{ cniVersion: '1.1.0', name: 'cluster-net', type: 'primary' }],
    })
    node.behave(node.primary, { versions: ['0.4.0', '1.0.0'] })
    const pod = await node.pod()
    assertDone(await pod.run('STATUS'))
    assert.equal(node.calls(), [])
    node.behave(node.primary, { status: { error: { code: 50, msg: 'no' } } })
    const old = { delegates: [{ cniVersion: '1.0.0', name: 'cluster-net', type: 'primary' }] }
    assertDone(await pod.run('STATUS', { conf: node.conf(old) }))
    assert.equal(node.calls(), [])
  })

  it('CNI-058 not ready: no default network, no plugin, a readiness file that is missing', async () => {
    const node = await stubNode({ cniVersion: '1.1.0' })
    const pod = await node.pod()
    const { confDir } = node
    for (const [more, phrase] of [
      [
        { delegates: [{ name: 'x', cniVersion: '1.1.0', type: 'nowhere' }] },
        'failed to find plugin "nowhere"',
      ],
      [{ delegates: undefined }, `no net configurations found in ${confDir}`],
      [{ delegates: [{ type: 'primary' }] }, 'no name'],
      [{ readinessindicatorfile: `${confDir}/ready` }, `${confDir}/ready is missing`],
    ] as const) {
      assertRefused(await pod.run('STATUS', { conf: node.conf(more) }), 50, phrase)
    }
    assert.equal(node.steps(), [])
  })

  it('CNI-060 says nothing about ADD, which is tried all the same', async () => {
    const node = await gcNode()
    node.behave(node.primary, { status: { error: { code: 50, msg: 'not yet' } } })
    const pod = await node.pod()
    assertRefused(await pod.run('STATUS'), 50)
    assertAdded(await pod.run('ADD'))
    assertDone(await pod.run('DEL'))
  })
})
