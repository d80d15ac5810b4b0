import { execFileSync } from 'node:child_process'
import * as assert from 'uvu/assert'
import { enterNetns } from '../rig/netns.ts'
import { journalFiles } from '../rig/state-files.ts'
import { spec } from '../spec.ts'
import { assertAdded, assertDone, assertRefused, stubNode } from './stub-node.ts'

spec('several calls for one container', (it) => {
  it('CNI-046 ADD on a live attachment is refused and changes nothing; DEL still cleans', async () => {
    const node = await stubNode()
    const pod = await node.pod()
    const before = await node.watch(pod)
    assertAdded(await pod.run('ADD'))
    const attached = await node.watch(pod)
    const steps = node.steps()
    assertRefused(await pod.run('ADD'), 103, pod.containerId, 'already attached on eth0')
    assert.equal(node.steps(), steps)
    await node.watch(pod).then((now) => assert.equal(now.lines, attached.lines))
    assertDone(await pod.run('DEL'))
    await node.assertClean(before)
  })

  it('CNI-102 two ADDs at once: one wins, the other waits and is refused', async () => {
    const node = await stubNode()
    node.behave(node.alpha, { add: { sleepMs: 300 } })
    const pod = await node.pod()
    const before = await node.watch(pod)
    const runs = await Promise.all([pod.run('ADD'), pod.run('ADD')])
    const won = runs.filter(({ status }) => status === 0)
    const lost = runs.filter(({ status }) => status !== 0)
    assert.equal([won.length, lost.length], [1, 1])
    for (const run of won) assertAdded(run)
    for (const run of lost) assertRefused(run, 103, 'already attached')
    assert.equal(node.steps(), ['primary ADD eth0', 'alpha ADD net1', 'beta ADD net2'])
    assertDone(await pod.run('DEL'))
    await node.assertClean(before)
  })

  it('CNI-102 DEL during ADD waits for its end, then undoes all of it', async () => {
    const node = await stubNode()
    node.behave(node.alpha, { add: { blockBefore: 'gate' } })
    const pod = await node.pod()
    const before = await node.watch(pod)
    const adding = pod.start('ADD')
    await node.alpha.reached(1, 'ADD')
    const deleting = pod.start('DEL')
    await new Promise((resolve) => setTimeout(resolve, 300))
    assert.equal(node.steps(), ['primary ADD eth0', 'alpha ADD net1'])
    node.alpha.release('gate')
    assertAdded(await adding.finished)
    assertDone(await deleting.finished)
    assert.equal(node.steps().slice(3), ['beta DEL net2', 'alpha DEL net1', 'primary DEL eth0'])
    await node.assertClean(before)
  })

  it('CNI-102 what waits for the lock too long says so and may be retried', async () => {
    const node = await stubNode({ lockTimeout: 0.3 })
    node.behave(node.alpha, { add: { blockBefore: 'gate' } })
    const pod = await node.pod()
    const before = await node.watch(pod)
    const adding = pod.start('ADD')
    await node.alpha.reached(1, 'ADD')
    for (const verb of ['ADD', 'DEL', 'CHECK'])
      assertRefused(await pod.run(verb), 11, pod.containerId, 'another call')
    const gc = { conf: node.conf({ cniVersion: '1.1.0', 'cni.dev/valid-attachments': [] }) }
    assertRefused(await pod.run('GC', gc), 11, 'another call')
    node.alpha.release('gate')
    assertAdded(await adding.finished)
    assertDone(await pod.run('DEL'))
    await node.assertClean(before)
  })

  it('CNI-067 an ADD that comes during a slow GC waits for it', async () => {
    const node = await stubNode({ cniVersion: '1.1.0' })
    const delegates = [{ cniVersion: '1.1.0', name: 'cluster-net', type: 'primary' }]
    const conf = node.conf({ delegates })
    const pod = await node.pod({ networks: '' })
    const other = await node.pod({ name: 'other', networks: '' })
    assertAdded(await pod.run('ADD', { conf }))
    node.behave(node.primary, { gc: { blockBefore: 'gate' } })
    const collecting = pod.start('GC', { conf: { ...conf, 'cni.dev/valid-attachments': [] } })
    await node.primary.reached(1, 'GC')
    const adding = other.start('ADD', { conf })
    await new Promise((resolve) => setTimeout(resolve, 300))
    assert.is(node.steps().at(-1), 'primary GC')
    node.primary.release('gate')
    assertDone(await collecting.finished)
    assertAdded(await adding.finished)
    assertDone(await other.run('DEL', { conf }))
  })

  it('CNI-102 other containers do not wait', async () => {
    const node = await stubNode()
    node.behave(node.alpha, { add: { onlyIfName: 'net1', calls: [1, 1], blockBefore: 'gate' } })
    const [slow, quick] = [await node.pod(), await node.pod({ name: 'quick' })]
    const adding = slow.start('ADD')
    await node.alpha.reached(1, 'ADD')
    assertAdded(await quick.run('ADD'))
    node.alpha.release('gate')
    assertAdded(await adding.finished)
    for (const pod of [slow, quick]) assertDone(await pod.run('DEL'))
  })

  it('ADD after one that was killed undoes its remains first', async () => {
    const node = await stubNode()
    node.behave(node.alpha, { add: { calls: [1, 1], lease: node.leaseDir, link: 'veth', hang: true } })
    const pod = await node.pod()
    const before = await node.watch(pod)
    const adding = pod.start('ADD')
    await node.alpha.reached(1, 'ADD')
    while (!(await node.watch(pod)).lines.some((line) => line.includes('-net1')))
      await new Promise((r) => setTimeout(r, 5))
    adding.kill('SIGKILL')
    await adding.finished
    assert.equal(journalFiles(node.stateDir), [`${pod.containerId}/eth0`])
    node.behave(node.alpha, {})
    assertAdded(await pod.run('ADD'))
    assert.equal(node.steps().slice(2), [
      ...['alpha DEL net1', 'primary DEL eth0'],
      ...['primary ADD eth0', 'alpha ADD net1', 'beta ADD net2'],
    ])
    assertDone(await pod.run('DEL'))
    await node.assertClean(before)
  })

  it('ADD after one whose remains cannot be undone is refused, to be retried, and starts nothing new', async () => {
    const node = await stubNode()
    node.behave(node.beta, { add: { error: { code: 150, msg: 'no' } } })
    node.alpha.behave({
      add: { link: 'veth', lease: node.leaseDir },
      del: { error: { code: 151, msg: 'stuck' } },
    })
    const pod = await node.pod()
    const before = await node.watch(pod)
    assertRefused(await pod.run('ADD'), 150, 'stuck')
    const steps = node.steps().length
    assertRefused(await pod.run('ADD'), 11, 'remains of an earlier ADD', 'stuck')
    assert.equal(node.steps().slice(steps), ['alpha DEL net1'])
    for (const stub of [node.alpha, node.beta]) node.behave(stub, {})
    assertAdded(await pod.run('ADD'))
    assertDone(await pod.run('DEL'))
    await node.assertClean(before)
  })

  it('ADD when the netns of the recorded one is gone undoes that and attaches anew', async () => {
    const node = await stubNode()
    const pod = await node.pod()
    const before = await node.watch(pod)
    assertAdded(await pod.run('ADD'))
    execFileSync('ip', ['netns', 'del', pod.netns.name])
    execFileSync('ip', ['netns', 'add', pod.netns.name])
    const [program, args] = enterNetns(pod.netns.path, 'ip', ['link', 'set', 'lo', 'up'])
    execFileSync(program, args)
    assertAdded(await pod.run('ADD'))
    assert.equal(
      node
        .calls()
        .slice(3, 6)
        .map(({ command, netns }) => [command, netns]),
      [
        ['DEL', ''],
        ['DEL', ''],
        ['DEL', ''],
      ],
    )
    assertDone(await pod.run('DEL'))
    await node.assertClean(before)
  })
})
