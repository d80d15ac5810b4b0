import * as assert from 'uvu/assert'
import { assertAdded, assertDone, assertRefused, type StubNode, stubNode } from '../plugin/stub-node.ts'
import { eventually, installDaemon } from '../rig/daemon.ts'
import { spec } from '../spec.ts'

/**
 * `bridge` is a type that is known to read its input first; the stub under that name does so too. Calls are told in the
 * order of their ends: one that starts ahead may start before the one before it.
 */
async function bridgeNode(): Promise<{ node: StubNode; conf: object; fed: () => string[] }> {
  const node = await stubNode()
  node.stub('bridge')
  const conf = node.conf({ delegates: [{ cniVersion: '1.0.0', name: 'cluster-net', type: 'bridge' }] })
  const fed = (): string[] =>
    node
      .calls()
      .filter(({ stdinText = '' }) => stdinText !== '')
      .toSorted((one, other) => Number((one.endedNs ?? 0n) - (other.endedNs ?? 0n)))
      .map(({ type, command, ifName }) => `${type} ${command} ${ifName}`)
  return { node, conf, fed }
}

spec('the first plugin starts up while the daemon plans', (it) => {
  it('of a pod that cannot be planned nothing has run, and nothing is left', async () => {
    const { node, conf, fed } = await bridgeNode()
    const { shim: executable, start } = installDaemon(node)
    const daemon = await start()
    const first = await node.pod({ name: 'first' })
    const second = await node.pod({ name: 'second', networks: 'nowhere' })
    const before = await node.watch(first, second)
    assertAdded(await first.run('ADD', { executable, conf }))
    const good = fed()
    assert.equal(good, ['bridge ADD eth0', 'alpha ADD net1', 'beta ADD net2'])
    assertRefused(await second.run('ADD', { executable, conf }), 7, 'nowhere')
    assert.equal(fed(), good)
    for (const pod of [first, second]) assertDone(await pod.run('DEL', { executable, conf }))
    assert.equal(fed().slice(3, 6), ['beta DEL net2', 'alpha DEL net1', 'bridge DEL eth0'])
    await eventually(() => node.assertClean(before))
    await daemon.stop()
  })

  it("CNI-012 the node's own namespace is refused by its own name, not as something that the daemon may not ask", async () => {
    const { node, conf, fed } = await bridgeNode()
    const { shim: executable, start } = installDaemon(node)
    const daemon = await start()
    const pod = await node.pod({ name: 'first' })
    const other = await node.pod({ name: 'second', networks: '' })
    const before = await node.watch(pod, other)
    assertAdded(await pod.run('ADD', { executable, conf }))
    const good = fed()
    assertRefused(await other.run('ADD', { executable, conf, netns: node.host }), 8, "host's own")
    assert.equal(fed(), good)
    assertDone(await pod.run('DEL', { executable, conf }))
    await eventually(() => node.assertClean(before))
    await daemon.stop()
  })

  it('a pod with another default network gets that one alone', async () => {
    const { node, conf, fed } = await bridgeNode()
    const { shim: executable, start } = installDaemon(node)
    const daemon = await start()
    const calls = [
      { pod: await node.pod({ name: 'first' }), conf },
      { pod: await node.pod({ name: 'second' }), conf: node.conf() },
      { pod: await node.pod({ name: 'third' }), conf },
    ]
    const before = await node.watch(...calls.map(({ pod }) => pod))
    for (const { pod, conf } of calls) assertAdded(await pod.run('ADD', { executable, conf }))
    assert.equal(
      fed().filter((step) => step.endsWith('eth0')),
      ['bridge ADD eth0', 'primary ADD eth0', 'bridge ADD eth0'],
    )
    for (const { pod, conf } of calls) assertDone(await pod.run('DEL', { executable, conf }))
    await eventually(() => node.assertClean(before))
    await daemon.stop()
  })
})

spec('parallel networks behind the default network', (it) => {
  it('begin when it has succeeded, together, and are dropped with it', async () => {
    const { node } = await bridgeNode()
    const { shim: executable, start } = installDaemon(node)
    const daemon = await start()
    const conf = node.conf({ parallel: true })
    const first = await node.pod({ name: 'first' })
    const second = await node.pod({ name: 'second' })
    const before = await node.watch(first, second)
    for (const stub of [node.alpha, node.beta]) node.behave(stub, { add: { blockBefore: 'gate' } })
    const adding = first.start('ADD', { executable, conf })
    await node.alpha.reached(1, 'ADD')
    await node.beta.reached(1, 'ADD')
    for (const stub of [node.alpha, node.beta]) stub.release('gate')
    assertAdded(await adding.finished)
    assert.equal(node.steps().slice(0, 1), ['primary ADD eth0'])

    node.behave(node.primary, { add: { error: { code: 105, msg: 'no' } } })
    const steps = node.steps().length
    assertRefused(await second.run('ADD', { executable, conf }), 105, 'no')
    assert.equal(node.steps().slice(steps), ['primary ADD eth0', 'primary DEL eth0'])
    node.behave(node.primary, {})
    assertDone(await first.run('DEL', { executable, conf }))
    await eventually(() => node.assertClean(before))
    await daemon.stop()
  })

  it('an optional one that fails does not keep the pod from its start; another one that fails does', async () => {
    const { node } = await bridgeNode()
    const { shim: executable, start } = installDaemon(node)
    const daemon = await start()
    const conf = node.conf({ parallel: true })
    const optional = await node.pod({
      name: 'optional',
      networks: [{ name: 'alpha-net', 'io.plexus-cni.optional': true }, { name: 'beta-net' }],
    })
    const whole = await node.pod({ name: 'whole' })
    const before = await node.watch(optional, whole)
    node.behave(node.alpha, { add: { error: { code: 105, msg: 'no' } } })
    assertAdded(await optional.run('ADD', { executable, conf }))
    assertRefused(await whole.run('ADD', { executable, conf }), 105, 'alpha-net')
    for (const pod of [optional, whole]) assertDone(await pod.run('DEL', { executable, conf }))
    await eventually(() => node.assertClean(before))
    await daemon.stop()
  })
})
