import * as assert from 'uvu/assert'
import { nad } from '../rig/manifests.ts'
import { stubPlugin } from '../rig/stub.ts'
import { spec } from '../spec.ts'
import { assertAdded, assertDone, assertRefused, stubNode } from './stub-node.ts'

const list = (cniVersion: string, ...types: string[]) => ({
  cniVersion,
  plugins: types.map((type) => ({ type })),
})

spec('CHECK', (it) => {
  it('CNI-055, CNI-026 asks every plugin of every network in the order of ADD, each with its own final result', async () => {
    const node = await stubNode()
    stubPlugin(node.binDir, 'gamma')
    node.write(nad({ name: 'alpha-net', config: list('0.4.0', 'alpha', 'gamma') }))
    const pod = await node.pod()
    assertAdded(await pod.run('ADD'))
    assertDone(await pod.run('CHECK'))
    const checks = node.calls().filter(({ command }) => command === 'CHECK')
    assert.equal(
      checks.map(({ type, ifName }) => `${type} ${ifName}`),
      ['primary eth0', 'alpha net1', 'gamma net1', 'beta net2'],
    )
    for (const check of checks) {
      const last = node
        .calls()
        .findLast(({ command, ifName }) => command === 'ADD' && ifName === check.ifName)
      assert.equal(check.stdin.prevResult, JSON.parse(last?.stdoutText ?? ''), check.type)
    }
    assertDone(await pod.run('DEL'))
  })

  it("CNI-055 stops at the first fault and passes on the plugin's code and words", async () => {
    const node = await stubNode()
    node.behave(node.alpha, { check: { error: { code: 121, msg: 'link net1 is down' } } })
    const pod = await node.pod()
    assertAdded(await pod.run('ADD'))
    assertRefused(await pod.run('CHECK'), 121, 'link net1 is down', 'alpha-net', 'alpha')
    assert.equal(node.steps().slice(3), ['primary CHECK eth0', 'alpha CHECK net1'])
    assertDone(await pod.run('DEL'))
  })

  it('CNI-056 leaves out networks below 0.4.0 and those that disable it', async () => {
    const node = await stubNode()
    node.write(
      nad({ name: 'alpha-net', config: list('0.3.1', 'alpha') }),
      nad({ name: 'beta-net', config: { ...list('1.0.0', 'beta'), disableCheck: true } }),
    )
    const pod = await node.pod()
    assertAdded(await pod.run('ADD'))
    assertDone(await pod.run('CHECK'))
    assert.equal(node.steps().slice(3), ['primary CHECK eth0'])
    assertDone(await pod.run('DEL'))
  })

  it('CNI-054 of a container that was never attached is code 7 without prevResult, and never success', async () => {
    const node = await stubNode()
    const pod = await node.pod()
    assertRefused(await pod.run('CHECK'), 7, 'required prevResult missing')
    const prevResult = { cniVersion: '1.0.0', ips: [{ address: '10.0.0.2/24' }] }
    assertRefused(await pod.run('CHECK', { conf: node.conf({ prevResult }) }), 108, 'is not attached on eth0')
    assert.equal(node.steps(), [])
  })

  it('CNI-057 names the same netns as the result that it is compared with', async () => {
    const node = await stubNode()
    const pod = await node.pod()
    assertAdded(await pod.run('ADD'))
    assertDone(await pod.run('CHECK'))
    for (const { netns, stdin } of node.calls().filter(({ command }) => command === 'CHECK')) {
      assert.is(netns, pod.netns.path)
      assert.match(JSON.stringify(stdin.prevResult), `"sandbox":"${pod.netns.path}"`)
    }
    assertDone(await pod.run('DEL'))
  })
})

spec('STATUS', (it) => {
  it('CNI-060 that says no does not keep an ADD from being tried', async () => {
    const node = await stubNode()
    node.behave(node.primary, { status: { error: { code: 51, msg: 'agent is away' } } })
    const pod = await node.pod()
    const delegates = [{ cniVersion: '1.1.0', name: 'cluster-net', type: 'primary' }]
    const conf = node.conf({ cniVersion: '1.1.0', delegates })
    assertRefused(await pod.run('STATUS', { conf }), 51, 'agent is away')
    assertAdded(await pod.run('ADD', { conf }))
    assertDone(await pod.run('DEL', { conf }))
  })
})
