import * as assert from 'uvu/assert'
import { assertAdded, assertDone, assertRefused, stubNode } from '../plugin/stub-node.ts'
import { eventually, installDaemon } from '../rig/daemon.ts'
import { stubPlugin } from '../rig/stub.ts'
import { spec } from '../spec.ts'

spec('calls that are handed to the shim together', (it) => {
  it('none is started behind one that failed, and none that was not started gets a DEL', async () => {
    const node = await stubNode()
    const { shim: executable, start } = installDaemon(node)
    const daemon = await start()
    const pod = await node.pod()
    const before = await node.watch(pod)
    node.behave(node.alpha, { add: { error: { code: 105, msg: 'no' } } })
    assertRefused(await pod.run('ADD', { executable }), 105, 'alpha-net')
    assert.equal(node.steps(), ['primary ADD eth0', 'alpha ADD net1', 'alpha DEL net1', 'primary DEL eth0'])
    await eventually(() => node.assertClean(before))
    await daemon.stop()
  })

  it('what has run behind a plugin whose result cannot be read is undone too', async () => {
    const node = await stubNode()
    const { shim: executable, start } = installDaemon(node)
    const daemon = await start()
    const pod = await node.pod()
    const before = await node.watch(pod)
    node.behave(node.primary, { add: { stdout: 'not JSON' } })
    assertRefused(await pod.run('ADD', { executable }), 105, 'not JSON')
    assert.equal(node.steps().slice(-3), ['beta DEL net2', 'alpha DEL net1', 'primary DEL eth0'])
    await eventually(() => node.assertClean(before))
    await daemon.stop()
  })

  it('when the time of the ADD is over the one that runs is ended and the rest not started', async () => {
    const node = await stubNode()
    const { shim: executable, start } = installDaemon(node)
    const daemon = await start()
    const pod = await node.pod()
    const before = await node.watch(pod)
    node.behave(node.alpha, { add: { hang: true } })
    const begun = performance.now()
    const conf = node.conf({ addTimeout: 4 })
    assertRefused(await pod.run('ADD', { executable, conf }), 11, 'alpha-net', 'did not end within')
    assert.ok(performance.now() - begun < 20_000)
    assert.equal(node.steps(), ['primary ADD eth0', 'alpha ADD net1', 'alpha DEL net1', 'primary DEL eth0'])
    await eventually(() => node.assertClean(before))
    await daemon.stop()
  })

  it('the runtime that ends the call in the middle: what runs is ended, the rest not started, all is undone', async () => {
    const node = await stubNode()
    const { shim: executable, start } = installDaemon(node)
    const daemon = await start()
    const pod = await node.pod()
    const before = await node.watch(pod)
    node.behave(node.alpha, { add: { hang: true } })
    const adding = pod.start('ADD', { executable })
    await node.alpha.reached(1, 'ADD')
    adding.kill('SIGTERM')
    assertRefused(await adding.finished, 11, 'alpha-net', 'the runtime ended the call')
    assert.equal(node.steps(), ['primary ADD eth0', 'alpha ADD net1', 'alpha DEL net1', 'primary DEL eth0'])
    await eventually(() => node.assertClean(before))
    await daemon.stop()
  })

  it('an optional network that no time is left for gets no DEL either', async () => {
    const node = await stubNode()
    const { shim: executable, start } = installDaemon(node)
    const daemon = await start()
    const optional = { 'io.plexus-cni.optional': true }
    const pod = await node.pod({
      networks: [
        { name: 'alpha-net', ...optional },
        { name: 'beta-net', ...optional },
      ],
    })
    const before = await node.watch(pod)
    node.behave(node.alpha, { add: { hang: true } })
    const conf = node.conf({ addTimeout: 4 })
    assertAdded(await pod.run('ADD', { executable, conf }))
    assert.equal(node.steps(), ['primary ADD eth0', 'alpha ADD net1', 'alpha DEL net1'])
    assertDone(await pod.run('DEL', { executable, conf }))
    assert.equal(node.steps().slice(3), ['primary DEL eth0'])
    await eventually(() => node.assertClean(before))
    await daemon.stop()
  })

  it('a DEL that hangs is ended and does not keep the others from theirs', async () => {
    const node = await stubNode({ delegateTimeout: 2 })
    const { shim: executable, start } = installDaemon(node)
    const daemon = await start()
    const pod = await node.pod()
    const before = await node.watch(pod)
    assertAdded(await pod.run('ADD', { executable }))
    node.behave(node.beta, { del: { hang: true, calls: [1, 1] } })
    assertRefused(await pod.run('DEL', { executable }), 11, 'beta-net')
    assert.equal(node.steps().slice(-3), ['beta DEL net2', 'alpha DEL net1', 'primary DEL eth0'])
    assertDone(await pod.run('DEL', { executable }))
    assert.is(node.steps().at(-1), 'beta DEL net2')
    await eventually(() => node.assertClean(before))
    await daemon.stop()
  })

  it('a network behind a list or an optional network waits for their results', async () => {
    const node = await stubNode()
    const { shim: executable, start } = installDaemon(node)
    const daemon = await start()
    stubPlugin(node.binDir, 'gamma')
    const list = {
      cniVersion: '1.0.0',
      name: 'cluster-net',
      plugins: [{ type: 'primary' }, { type: 'gamma' }],
    }
    const conf = node.conf({ delegates: [list] })
    const pod = await node.pod({
      networks: [{ name: 'alpha-net', 'io.plexus-cni.optional': true }, { name: 'beta-net' }],
    })
    const before = await node.watch(pod)
    node.behave(node.alpha, { add: { error: { code: 105, msg: 'no' } } })
    assertAdded(await pod.run('ADD', { executable, conf }))
    assert.equal(node.steps(), [
      ...['primary ADD eth0', 'gamma ADD eth0', 'alpha ADD net1', 'alpha DEL net1', 'beta ADD net2'],
    ])
    const [, gamma] = node.calls()
    assert.ok(gamma?.stdin.prevResult !== undefined)
    assertDone(await pod.run('DEL', { executable, conf }))
    assert.equal(node.steps().slice(5), ['beta DEL net2', 'gamma DEL eth0', 'primary DEL eth0'])
    await eventually(() => node.assertClean(before))
    await daemon.stop()
  })
})
