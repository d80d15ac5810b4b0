import { closeSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import * as assert from 'uvu/assert'
import { eventually } from '../rig/daemon.ts'
import { nad } from '../rig/manifests.ts'
import { runPlexus } from '../rig/plexus.ts'
import { stubPlugin } from '../rig/stub.ts'
import { markedProcesses } from '../rig/teardown.ts'
import { spec } from '../spec.ts'
import { assertAdded, assertDone, assertRefused, type StubNode, stubNode } from './stub-node.ts'

/** Waits until no process of this test run is left; a killed one may need a moment. */
const assertAllEnded = (): Promise<void> => eventually(() => assert.equal(markedProcesses(), []))

/** `beta` runs an IPAM plugin that waits for ever, in ADD or in DEL, and takes no notice of SIGTERM. */
function hangInIpam(node: StubNode, verb: 'add' | 'del') {
  const pool = stubPlugin(node.binDir, 'pool', { [verb]: { hang: true, ignoreTerm: true } })
  node.write(nad({ name: 'beta-net', config: { cniVersion: '1.0.0', type: 'beta', ipam: { type: 'pool' } } }))
  node.behave(node.beta, { [verb]: { ipam: true } })
  return pool
}

spec('a call that the runtime ends', (it) => {
  it('CNI-028 SIGTERM during ADD: one error, delegate and its IPAM child are gone, all is undone', async () => {
    const node = await stubNode()
    const pool = hangInIpam(node, 'add')
    const pod = await node.pod()
    const before = await node.watch(pod)
    const adding = pod.start('ADD')
    await pool.reached(1, 'ADD')
    adding.kill('SIGTERM')
    const run = await adding.finished
    assertRefused(run, 11, 'network "beta-net"', 'the runtime ended the call')
    assert.equal(
      node
        .steps()
        .filter((step) => !step.startsWith('pool'))
        .slice(3),
      ['beta DEL net2', 'alpha DEL net1', 'primary DEL eth0'],
    )
    await assertAllEnded()
    await node.assertClean(before)
    assertDone(await pod.run('DEL'))
  })

  it('CNI-101 SIGKILL during ADD: delegate and IPAM child die with us, DEL undoes all of it', async () => {
    const node = await stubNode()
    const pool = hangInIpam(node, 'add')
    const pod = await node.pod()
    const before = await node.watch(pod)
    const adding = pod.start('ADD')
    await pool.reached(1, 'ADD')
    adding.kill('SIGKILL')
    assert.is((await adding.finished).signal, 'SIGKILL')
    const steps = node.steps().length
    assertDone(await pod.run('DEL'))
    await assertAllEnded()
    assert.equal(node.steps().slice(steps), ['beta DEL net2', 'alpha DEL net1', 'primary DEL eth0'])
    await node.assertClean(before)
  })

  it('SIGTERM during DEL: it ends its work, which is bounded', async () => {
    const node = await stubNode({ delegateTimeout: 3 })
    const pool = hangInIpam(node, 'del')
    const pod = await node.pod()
    const before = await node.watch(pod)
    assertAdded(await pod.run('ADD'))
    const deleting = pod.start('DEL')
    await pool.reached(1, 'DEL')
    deleting.kill('SIGTERM')
    assertRefused(await deleting.finished, 11, 'network "beta-net"')
    await assertAllEnded()
    assert.ok(node.steps().includes('primary DEL eth0'))
    node.behave(node.beta, {})
    assertDone(await pod.run('DEL'))
    await node.assertClean(before)
  })

  it('SIGKILL during DEL: delegate and IPAM child die with us, the next DEL does the rest', async () => {
    const node = await stubNode()
    const pool = hangInIpam(node, 'del')
    const pod = await node.pod()
    const before = await node.watch(pod)
    assertAdded(await pod.run('ADD'))
    const deleting = pod.start('DEL')
    await pool.reached(1, 'DEL')
    deleting.kill('SIGKILL')
    await deleting.finished
    node.behave(node.beta, {})
    assertDone(await pod.run('DEL'))
    await assertAllEnded()
    await node.assertClean(before)
  })

  it('SIGKILL: a DEL that follows at once waits until the delegate is gone', async () => {
    const node = await stubNode()
    node.behave(node.beta, { add: { blockBefore: 'gate', lease: node.leaseDir, link: 'veth' } })
    const pod = await node.pod()
    const before = await node.watch(pod)
    const adding = pod.start('ADD')
    await node.beta.reached(1, 'ADD')
    adding.kill('SIGKILL')
    await adding.finished
    const deleting = pod.start('DEL')
    // A delegate that still lived would now take its lease.
    node.beta.release('gate')
    assertDone(await deleting.finished)
    await node.assertClean(before)
  })

  it('CNI-100 a delegate runs in its own process group, with clean signals and only its three descriptors', async () => {
    const node = await stubNode()
    const pod = await node.pod()
    // What the shell that started the tests left open is there for everybody.
    const alone = stubPlugin(node.binDir, 'alone')
    await runPlexus('STATUS', { executable: alone.path, conf: {} })
    const [expected] = alone.calls()
    assertAdded(await pod.run('ADD'))
    for (const call of node.calls().filter(({ type }) => type !== 'alone')) {
      assert.is(call.pgid, call.pid)
      assert.is(BigInt(`0x${call.blockedSignals}`), 0n)
      // Node ignores SIGPIPE and leaves it so to nobody.
      assert.is(BigInt(`0x${call.ignoredSignals}`), 0n)
      assert.equal(call.fds, expected?.fds)
    }
    assertDone(await pod.run('DEL'))
  })
})

spec('a plugin that is being installed (ETXTBSY)', (it) => {
  it('CNI-099 released within 2 s: works, with the whole stdin', async () => {
    const node = await stubNode()
    const held = holdForWriting(node)
    const pod = await node.pod()
    const adding = pod.start('ADD')
    await setTimeout(1500)
    closeSync(held)
    assertAdded(await adding.finished)
    assert.is(node.beta.calls()[0]?.stdin.type, 'beta')
    assertDone(await pod.run('DEL'))
  })

  it('CNI-099 for ever: error 11 names plugin and file, and what was attached is undone', async () => {
    const node = await stubNode({ delegateTimeout: 3 })
    const pod = await node.pod()
    const before = await node.watch(pod)
    const held = holdForWriting(node)
    assertRefused(await pod.run('ADD'), 11, 'plugin "beta" is busy', node.beta.path, 'network "beta-net"')
    // `beta` never began, so that its DEL, which is not possible either, is not missed.
    await node.assertClean(before)
    closeSync(held)
    assertDone(await pod.run('DEL'))
    await node.assertClean(before)
  })
})

/** Opens the executable of `beta`, a file of its own, for writing. */
function holdForWriting(node: StubNode): number {
  const { path } = node.beta
  const bytes = readFileSync(path)
  rmSync(path) // a link to the stub that all share
  writeFileSync(path, bytes, { mode: 0o755 })
  return openSync(path, 'r+')
}
