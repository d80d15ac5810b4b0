import { rmSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { nad } from '../rig/manifests.ts'
import { journalFiles } from '../rig/state-files.ts'
import { spec } from '../spec.ts'
import { assertAdded, assertDone, assertRefused, stubNode } from './stub-node.ts'

const REFUSES = { error: { code: 150, msg: 'device is busy' } }

spec('the undo of an ADD that failed', (it) => {
  it('CNI-044 the failed one too, list members that were never reached too, all in reverse', async () => {
    const node = await stubNode()
    const plugins = [{ type: 'alpha' }, { type: 'beta' }, { type: 'gamma' }]
    node.stub('gamma')
    node.write(nad({ name: 'chain', config: { cniVersion: '1.0.0', plugins } }))
    node.beta.behave({ add: REFUSES })
    const pod = await node.pod({ networks: 'alpha-net,chain,alpha-net' })
    const before = await node.watch(pod)
    assertRefused(await pod.run('ADD'), 150, 'network "chain"', 'plugin "beta"', 'device is busy')
    assert.equal(node.steps(), [
      ...['primary ADD eth0', 'alpha ADD net1', 'alpha ADD net2', 'beta ADD net2'],
      ...['gamma DEL net2', 'beta DEL net2', 'alpha DEL net2', 'alpha DEL net1', 'primary DEL eth0'],
    ])
    await node.assertClean(before)
  })

  it('NPWG-110 what follows the failed one is not tried, and not deleted', async () => {
    const node = await stubNode()
    node.behave(node.alpha, { add: REFUSES })
    const pod = await node.pod()
    assertRefused(await pod.run('ADD'), 150, 'network "alpha-net"')
    assert.equal(node.steps(), ['primary ADD eth0', 'alpha ADD net1', 'alpha DEL net1', 'primary DEL eth0'])
  })

  it('CNI-044 the default network itself fails: its own words, its own DEL, nothing else', async () => {
    const node = await stubNode()
    node.behave(node.primary, { add: REFUSES })
    const pod = await node.pod()
    const before = await node.watch(pod)
    assertRefused(await pod.run('ADD'), 150, 'network "cluster-net"', 'device is busy')
    assert.equal(node.steps(), ['primary ADD eth0', 'primary DEL eth0'])
    await node.assertClean(before)
  })

  it('CNI-044 an undo that fails does not hide the first cause, and stays for the DEL (CNI-045)', async () => {
    const node = await stubNode()
    node.behave(node.beta, { add: REFUSES })
    node.behave(node.alpha, { del: { error: { code: 151, msg: 'alpha will not let go' } } })
    const pod = await node.pod()
    const before = await node.watch(pod)
    const added = await pod.run('ADD')
    assertRefused(added, 150, 'device is busy', 'alpha will not let go', 'stays recorded for DEL')
    assert.match(String(added.json?.msg), 'device is busy')
    assert.equal(node.steps().slice(3), ['beta DEL net2', 'alpha DEL net1', 'primary DEL eth0'])
    assert.equal(journalFiles(node.stateDir), [`${pod.containerId}/eth0`])
    node.behave(node.alpha, {})
    assertDone(await pod.run('DEL'))
    assert.equal(node.steps().slice(6), ['alpha DEL net1'])
    await node.assertClean(before)
  })

  it('CNI-123 an answer that the version cannot express fails the pod and is undone', async () => {
    const node = await stubNode({ cniVersion: '0.2.0' })
    node.behave(node.primary, { add: { result: { cniVersion: '1.0.0', interfaces: [{ name: 'eth0' }] } } })
    const pod = await node.pod({ networks: '' })
    const before = await node.watch(pod)
    const added = await pod.run('ADD')
    assert.is(added.status, 1)
    assert.match(added.stdout, 'no valid IP addresses')
    assert.equal(node.steps(), ['primary ADD eth0', 'primary DEL eth0'])
    await node.assertClean(before)
  })
})

spec('DEL', (it) => {
  it('CNI-049 goes in reverse: the last network first, its last plugin first, the default network last', async () => {
    const node = await stubNode()
    node.write(
      nad({ name: 'chain', config: { cniVersion: '1.0.0', plugins: [{ type: 'alpha' }, { type: 'beta' }] } }),
    )
    node.behave(node.beta, { add: { stdout: '{{prevResult}}' } })
    const pod = await node.pod({ networks: 'chain,alpha-net' })
    const before = await node.watch(pod)
    assertAdded(await pod.run('ADD'))
    assertDone(await pod.run('DEL'))
    assert.equal(node.steps(), [
      ...['primary ADD eth0', 'alpha ADD net1', 'beta ADD net1', 'alpha ADD net2'],
      ...['alpha DEL net2', 'beta DEL net1', 'alpha DEL net1', 'primary DEL eth0'],
    ])
    await node.assertClean(before)
  })

  it('CNI-051 goes on after failures, tells all of them, and retries only what is left (NPWG-113)', async () => {
    const node = await stubNode()
    const pod = await node.pod()
    const before = await node.watch(pod)
    assertAdded(await pod.run('ADD'))
    node.beta.behave({ del: { error: { code: 160, msg: 'beta is stuck' } } })
    node.primary.behave({ del: { error: { code: 161, msg: 'primary is stuck' } } })
    const first = await pod.run('DEL')
    assertRefused(first, 160, 'pod default/pod-a', 'beta is stuck', 'primary is stuck', 'network "beta-net"')
    assert.equal(node.steps().slice(3), ['beta DEL net2', 'alpha DEL net1', 'primary DEL eth0'])
    node.behave(node.beta, {})
    assertRefused(await pod.run('DEL'), 161, 'primary is stuck')
    assert.equal(node.steps().slice(6), ['beta DEL net2', 'primary DEL eth0'])
    node.behave(node.primary, {})
    assertDone(await pod.run('DEL'))
    assert.equal(node.steps().slice(8), ['primary DEL eth0'])
    await node.assertClean(before)
  })

  it('CNI-096 of a delegate that hangs, dies or speaks garbage does not stop the others', async () => {
    const node = await stubNode({ delegateTimeout: 2 })
    const pod = await node.pod()
    const before = await node.watch(pod)
    assertAdded(await pod.run('ADD'))
    node.beta.behave({ del: { hang: true } })
    node.alpha.behave({ del: { stdout: 'garbage', exit: 2 } })
    node.primary.behave({ del: { signal: 'SIGKILL' } })
    assertRefused(await pod.run('DEL'), 11, 'did not end within', '"garbage"', 'signal: SIGKILL')
    for (const stub of [node.primary, node.alpha, node.beta]) node.behave(stub, {})
    assertDone(await pod.run('DEL'))
    await node.assertClean(before)
  })

  it('CNI-097 with garbage on stdout and status 0 has worked', async () => {
    const node = await stubNode()
    const pod = await node.pod()
    const before = await node.watch(pod)
    assertAdded(await pod.run('ADD'))
    node.beta.behave({ del: { lease: node.leaseDir, link: 'veth', stdout: 'bye' } })
    assertDone(await pod.run('DEL'))
    await node.assertClean(before)
  })

  it('fails to the runtime until delAttempts, then the pod can go and the undo stays ours', async () => {
    const node = await stubNode({ delAttempts: 3 })
    const pod = await node.pod()
    const before = await node.watch(pod)
    assertAdded(await pod.run('ADD'))
    node.alpha.behave({ del: { error: { code: 170, msg: 'for ever stuck' } } })
    assertRefused(await pod.run('DEL'), 170, 'for ever stuck')
    assertRefused(await pod.run('DEL'), 170, 'for ever stuck')
    const last = await pod.run('DEL')
    assertDone(last)
    assert.match(last.stderr, 'for ever stuck')
    assert.match(last.stderr, 'failed 3 times')
    assert.equal(journalFiles(node.stateDir), [`${pod.containerId}/eth0`])
    node.behave(node.alpha, {})
    assertDone(await pod.run('DEL'))
    await node.assertClean(before)
  })

  it('CNI-110 uses what ADD recorded, whatever NAD, pod and net-conf say now', async () => {
    const node = await stubNode()
    node.write(nad({ name: 'alpha-net', config: { cniVersion: '0.4.0', type: 'alpha', mark: 'old' } }))
    const pod = await node.pod()
    const before = await node.watch(pod)
    assertAdded(await pod.run('ADD'))
    node.write(nad({ name: 'alpha-net', config: { cniVersion: '1.1.0', type: 'beta', mark: 'new' } }))
    const conf = { delegates: [{ cniVersion: '1.0.0', name: 'other-net', type: 'beta' }], parallel: true }
    assertDone(await pod.run('DEL', { conf: node.conf(conf) }))
    const [call] = node.alpha.calls().filter(({ command }) => command === 'DEL')
    assert.equal([call?.stdin.mark, call?.stdin.cniVersion], ['old', '0.4.0'])
    await node.assertClean(before)
  })

  it('CNI-047 CNI-053 works when NADs, pod, manifests and conf files are gone', async () => {
    const node = await stubNode()
    const pod = await node.pod()
    const before = await node.watch(pod)
    assertAdded(await pod.run('ADD'))
    rmSync(node.manifests, { recursive: true })
    assertDone(await pod.run('DEL', { conf: node.conf({ delegates: undefined, defaultNetwork: 'gone' }) }))
    assert.equal(node.steps().slice(3), ['beta DEL net2', 'alpha DEL net1', 'primary DEL eth0'])
    await node.assertClean(before)
  })

  it('CNI-047 finds plugins of a directory that ADD was told and DEL is not', async () => {
    const node = await stubNode()
    const pod = await node.pod()
    const before = await node.watch(pod)
    assertAdded(await pod.run('ADD'))
    assertDone(await pod.run('DEL', { path: [join(node.binDir, 'elsewhere')] }))
    await node.assertClean(before)
  })

  it('CNI-048 without ADD, and any number of times after one, is success', async () => {
    const node = await stubNode()
    const pod = await node.pod()
    const before = await node.watch(pod)
    assertDone(await pod.run('DEL'))
    await node.assertClean(before)
    assertAdded(await pod.run('ADD'))
    for (let times = 0; times < 3; times++) assertDone(await pod.run('DEL'))
    await node.assertClean(before)
    assertDone(await pod.run('DEL', { netns: '' }))
    await node.assertClean(before)
  })
})
