import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { nad } from '../rig/manifests.ts'
import { spec } from '../spec.ts'
import { assertAdded, assertDone, assertRefused, ipsOf, stubNode, warningsOf } from './stub-node.ts'

const OPTIONAL = { 'io.plexus-cni.optional': true }

/** Behaviour of an optional network's plugin, and what is told of it. */
const failing: [title: string, networks: object[], phrase: string][] = [
  ['its plugin fails', [{ name: 'alpha-net', ...OPTIONAL }, { name: 'beta-net' }], 'alpha has no device'],
  ['its NAD does not exist', [{ name: 'nowhere', ...OPTIONAL }, { name: 'beta-net' }], '(nowhere)'],
  ['its NAD is broken', [{ name: 'broken', ...OPTIONAL }, { name: 'beta-net' }], "missing 'type'"],
  [
    'its plugin is missing',
    [{ name: 'bare', ...OPTIONAL }, { name: 'beta-net' }],
    'failed to find plugin "bare"',
  ],
  [
    'its interface name is that of the default network',
    [{ name: 'alpha-net', interface: 'eth0', ...OPTIONAL }, { name: 'beta-net' }],
    'interface name eth0 is asked for twice',
  ],
]

spec('an optional network', (it) => {
  for (const [title, networks, phrase] of failing) {
    it(`${title}: the pod starts without it, the failure is told, nothing of it is left`, async () => {
      const node = await stubNode()
      node.write(nad({ name: 'broken', config: {} }), nad({ name: 'bare', config: { type: 'bare' } }))
      node.behave(node.alpha, { add: { error: { code: 150, msg: 'alpha has no device' } } })
      const pod = await node.pod({ networks })
      const before = await node.watch(pod)
      const added = await pod.run('ADD')
      assertAdded(added)
      assert.is(ipsOf(added).length, 2)
      assert.match(added.stderr, 'optional')
      assert.match(warningsOf(added), phrase)
      // The names of the others do not depend on it.
      assert.ok(node.steps().includes('beta ADD net2'), node.steps().join())
      const runsAlpha = title === 'its plugin fails'
      assert.is(node.steps().includes('alpha DEL net1'), runsAlpha)
      assertDone(await pod.run('CHECK', { conf: node.conf({ cniVersion: '1.0.0' }) }))
      assert.not(node.steps().includes('alpha CHECK net1'))
      assertDone(await pod.run('DEL'))
      assert.is(node.steps().filter((step) => step === 'alpha DEL net1').length, runsAlpha ? 1 : 0)
      await node.assertClean(before)
    })
  }

  it('whose undo fails is kept for the DEL of the pod', async () => {
    const node = await stubNode()
    node.alpha.behave({
      add: { link: 'veth', lease: node.leaseDir, error: { code: 150, msg: 'half made' } },
      del: { calls: [1, 1], error: { code: 151, msg: 'busy' } },
    })
    const pod = await node.pod({ networks: [{ name: 'alpha-net', ...OPTIONAL }] })
    const before = await node.watch(pod)
    const added = await pod.run('ADD')
    assertAdded(added)
    assert.match(added.stderr, 'busy')
    node.behave(node.alpha, {})
    assertDone(await pod.run('DEL'))
    await node.assertClean(before)
  })

  it('does not excuse the others, nor the default network', async () => {
    const node = await stubNode()
    node.behave(node.beta, { add: { error: { code: 152, msg: 'needed' } } })
    const pod = await node.pod({ networks: [{ name: 'alpha-net', ...OPTIONAL }, { name: 'beta-net' }] })
    const before = await node.watch(pod)
    assertRefused(await pod.run('ADD'), 152, 'network "beta-net"')
    assert.equal(node.steps().slice(3), ['beta DEL net2', 'alpha DEL net1', 'primary DEL eth0'])
    await node.assertClean(before)
  })

  it('io.plexus-cni.timeout bounds one network alone', async () => {
    const node = await stubNode()
    node.behave(node.beta, { add: { hang: true } })
    const pod = await node.pod({
      networks: [{ name: 'alpha-net' }, { name: 'beta-net', 'io.plexus-cni.timeout': '300ms' }],
    })
    const before = await node.watch(pod)
    const added = await pod.run('ADD')
    assertRefused(added, 11, 'network "beta-net"', 'did not end within 0.3 s')
    assert.ok(added.durationMs < 15_000)
    await node.assertClean(before)
  })
})

spec('parallel secondaries', (it) => {
  it('start at once after the default network, and the answer keeps the order', async () => {
    const node = await stubNode({ parallel: true })
    node.behave(node.alpha, { add: { blockBefore: 'gate' } })
    const pod = await node.pod()
    const before = await node.watch(pod)
    const adding = pod.start('ADD')
    await node.alpha.reached(1, 'ADD')
    // Were they one after the other, beta would wait for alpha, which waits for us.
    await node.beta.reached(1, 'ADD')
    const primary = node.primary.calls()[0]
    for (const stub of [node.alpha, node.beta]) {
      assert.ok((stub.calls()[0]?.startedNs ?? 0n) > (primary?.endedNs ?? 0n))
    }
    node.alpha.release('gate')
    const added = await adding.finished
    assertAdded(added)
    const { interfaces } = JSON.parse(added.stdout) as { interfaces: { name: string; sandbox?: string }[] }
    const names = interfaces.filter(({ sandbox }) => sandbox !== undefined).map(({ name }) => name)
    assert.equal(names, ['eth0', 'net1', 'net2'])
    assertDone(await pod.run('DEL'))
    assert.equal(node.steps().slice(3), ['beta DEL net2', 'alpha DEL net1', 'primary DEL eth0'])
    await node.assertClean(before)
  })

  for (const [key, value] of [
    ['master', 'net1'],
    ['links', [{ name: 'net1' }]],
    ['linksInContainer', ['net1']],
  ] as const) {
    it(`one whose ${key} names another's interface waits for that one`, async () => {
      const node = await stubNode({ parallel: true })
      node.write(nad({ name: 'beta-net', config: { cniVersion: '1.0.0', type: 'beta', [key]: value } }))
      node.behave(node.alpha, { add: { blockBefore: 'gate' } })
      const gamma = node.stub('gamma')
      node.write(nad({ name: 'gamma-net', config: { cniVersion: '1.0.0', type: 'gamma' } }))
      const pod = await node.pod({ networks: 'alpha-net,beta-net,gamma-net' })
      const before = await node.watch(pod)
      const adding = pod.start('ADD')
      // It waits for nobody.
      await gamma.reached(1, 'ADD')
      node.alpha.release('gate')
      assertAdded(await adding.finished)
      const [alpha, beta] = [node.alpha.calls()[0], node.beta.calls()[0]]
      assert.ok((beta?.startedNs ?? 0n) > (alpha?.endedNs ?? 0n), 'beta started before alpha had ended')
      assertDone(await pod.run('DEL'))
      await node.assertClean(before)
    })
  }

  it('a failure lets those under way end, starts nothing new, and undoes all in reverse', async () => {
    const node = await stubNode({ parallel: true })
    node.write(nad({ name: 'waits', config: { cniVersion: '1.0.0', type: 'beta', master: 'net2' } }))
    node.behave(node.alpha, { add: { sleepMs: 300 } })
    node.behave(node.beta, { add: { error: { code: 150, msg: 'no' } } })
    const pod = await node.pod({ networks: 'alpha-net,beta-net,waits' })
    const before = await node.watch(pod)
    assertRefused(await pod.run('ADD'), 150, 'network "beta-net"')
    assert.not(node.steps().includes('beta ADD net3'))
    assert.equal(node.steps().slice(3), ['beta DEL net2', 'alpha DEL net1', 'primary DEL eth0'])
    assert.ok(node.alpha.calls()[0]?.endedNs !== undefined)
    await node.assertClean(before)
  })

  it('a default network that fails starts none', async () => {
    const node = await stubNode({ parallel: true })
    node.behave(node.primary, { add: { error: { code: 150, msg: 'no' } } })
    const pod = await node.pod()
    assertRefused(await pod.run('ADD'), 150, 'network "cluster-net"')
    assert.equal(node.steps(), ['primary ADD eth0', 'primary DEL eth0'])
  })

  it('network-status is published under the state directory and goes with the pod', async () => {
    const node = await stubNode({ parallel: true })
    const pod = await node.pod()
    assertAdded(await pod.run('ADD'))
    const file = join(node.stateDir, 'status/default/pod-a.json')
    const status = JSON.parse(readFileSync(file, 'utf8')) as {
      networkStatus: { name: string; interface: string }[]
    }
    assert.equal(
      status.networkStatus.map((entry) => [entry.name, entry.interface]),
      [
        ['cluster-net', 'eth0'],
        ['default/alpha-net', 'net1'],
        ['default/beta-net', 'net2'],
      ],
    )
    assertDone(await pod.run('DEL'))
    assert.not(existsSync(file))
  })
})
