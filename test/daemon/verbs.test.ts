import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { assertAdded, assertDone, assertRefused, stubNode } from '../plugin/stub-node.ts'
import { eventually, installDaemon } from '../rig/daemon.ts'
import { nad } from '../rig/manifests.ts'
import { leases } from '../rig/state-files.ts'
import { testNode } from '../rig/test-node.ts'
import { spec } from '../spec.ts'

spec('verbs through shim and daemon', (it) => {
  it('ADD, CHECK and DEL run every delegate, and leave nothing', async () => {
    const node = await stubNode()
    const { shim: executable, start } = installDaemon(node)
    const daemon = await start()
    const pod = await node.pod()
    const before = await node.watch(pod)
    assertAdded(await pod.run('ADD', { executable }))
    assert.equal((await pod.netns.links()).map(({ ifname }) => ifname).sort(), ['eth0', 'lo', 'net1', 'net2'])
    assertDone(await pod.run('CHECK', { executable }))
    assertDone(await pod.run('DEL', { executable }))
    await eventually(() => node.assertClean(before))
    assertDone(await pod.run('DEL', { executable }))
    assert.equal(node.steps().slice(0, 9), [
      ...['primary ADD eth0', 'alpha ADD net1', 'beta ADD net2'],
      ...['primary CHECK eth0', 'alpha CHECK net1', 'beta CHECK net2'],
      ...['beta DEL net2', 'alpha DEL net1', 'primary DEL eth0'],
    ])
    assert.is(await daemon.stop(), 0)
  })

  it('CNI-012 a CNI_NETNS that is no network namespace is refused before any delegate', async () => {
    const node = await stubNode()
    const { shim: executable, start } = installDaemon(node)
    const daemon = await start()
    const pod = await node.pod()
    const before = await node.watch(pod)
    for (const netns of ['/etc/passwd', '/proc/self/ns/mnt']) {
      const run = await pod.run('ADD', { executable, netns })
      assertRefused(run, 8, 'pod default/pod-a', `network namespace ${netns} cannot be entered`)
      assert.equal(node.steps(), [])
    }
    await eventually(() => node.assertClean(before))
    assert.is(await daemon.stop(), 0)
  })

  it('STATUS, GC and a net-conf with faults are answered as CNI says', async () => {
    const node = await stubNode()
    const { shim: executable, start } = installDaemon(node)
    const daemon = await start()
    const pod = await node.pod()
    assertDone(await pod.run('STATUS', { executable, conf: node.conf({ cniVersion: '1.1.0' }) }))
    const before = await node.watch(pod)
    assertAdded(await pod.run('ADD', { executable }))
    assertDone(
      await pod.run('GC', {
        executable,
        conf: { ...node.conf(), cniVersion: '1.1.0', 'cni.dev/valid-attachments': [] },
      }),
    )
    assertDone(await pod.run('DEL', { executable }))
    await eventually(() => node.assertClean(before))
    assertRefused(
      await pod.run('ADD', { executable, conf: { ...node.conf(), addTimeout: -1 } }),
      7,
      'addTimeout',
    )
    assert.is(await daemon.stop(), 0)
  })

  it('a call that cannot be understood leaves no lock file, unless something is recorded', async () => {
    const node = await stubNode()
    const { shim: executable, start } = installDaemon(node)
    const daemon = await start()
    const [pod, other] = [await node.pod(), await node.pod({ name: 'other' })]
    const before = await node.watch(pod, other)
    assertAdded(await other.run('ADD', { executable }))
    for (const call of [
      { conf: node.conf({ cniVersion: '9.9.9' }) },
      { conf: node.conf({ addTimeout: -1 }) },
      { conf: 'no json' },
      { args: 'A' },
    ]) {
      for (const each of [pod, other]) {
        const run = await each.run('ADD', { executable, ...call })
        assert.is(run.status, 1, run.stdout)
      }
      await eventually(() => assert.equal(readdirSync(join(node.stateDir, 'locks')), [other.containerId]))
    }
    assertDone(await other.run('DEL', { executable }))
    await eventually(() => node.assertClean(before))
    assert.is(await daemon.stop(), 0)
  })

  it('DEL works although the net-conf has become wrong since ADD', async () => {
    const node = await stubNode()
    const { shim: executable, start } = installDaemon(node)
    const daemon = await start()
    const pod = await node.pod()
    const before = await node.watch(pod)
    assertAdded(await pod.run('ADD', { executable }))
    assertDone(
      await pod.run('DEL', { executable, conf: { ...node.conf(), delegates: 'none', addTimeout: -1 } }),
    )
    await eventually(() => node.assertClean(before))
    assert.is(await daemon.stop(), 0)
  })

  it("the answer is the standalone plugin's, MAC addresses and namespaces aside, with real plugins", async () => {
    const answers: unknown[] = []
    for (const isDaemon of [false, true]) {
      const node = await testNode()
      const { shim, start } = installDaemon(node)
      const daemon = isDaemon ? await start() : undefined
      const executable = isDaemon ? { executable: shim } : {}
      node.write(nad({ name: 'side', config: node.bridge(71) }))
      node.write(
        nad({
          name: 'chain',
          config: {
            cniVersion: '0.4.0',
            plugins: [node.bridge(72, { isDefaultGateway: true }), { type: 'tuning' }],
          },
        }),
      )
      const networks = [
        { name: 'side' },
        { name: 'chain', interface: 'data0', 'default-route': ['10.72.0.1'] },
      ]
      const pod = await node.pod({ networks })
      const added = await pod.run('ADD', executable)
      assertAdded(added)
      answers.push(comparable(added.stdout, pod.netns.path), await pod.netns.routes(4))
      assertDone(await pod.run('CHECK', executable))
      assertDone(await pod.run('DEL', executable))
      assert.equal(leases(node.leaseDir), [])
      await daemon?.stop()
    }
    const [plain, plainRoutes, served, servedRoutes] = answers
    assert.equal(served, plain)
    assert.equal(servedRoutes, plainRoutes)
  })
})

function comparable(stdout: string, netns: string): unknown {
  return JSON.parse(
    stdout
      .replaceAll(netns, 'NETNS')
      .replaceAll(/([0-9a-f]{2}:){5}[0-9a-f]{2}/g, 'MAC')
      .replaceAll(/veth[0-9a-f]{8}/g, 'VETH'),
  )
}
