import { mkdirSync, readdirSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { nad } from '../rig/manifests.ts'
import { currentPlugins } from '../rig/plugin-dirs.ts'
import { journalFiles, leases } from '../rig/state-files.ts'
import { stubPlugin } from '../rig/stub.ts'
import { tempDir } from '../rig/temp-dir.ts'
import { testNode } from '../rig/test-node.ts'
import { spec } from '../spec.ts'

const plugins = await currentPlugins()

spec('CNI 1.1.0 with the current reference plugins', (it) => {
  it('ADD, CHECK and DEL in 1.1.0', async () => {
    const node = await testNode()
    const path = [node.binDir, plugins]
    node.write(nad({ name: 'data', config: node.bridge(51, { cniVersion: '1.1.0', mtu: 1400 }) }))
    const pod = await node.pod({ networks: 'data' })
    const conf = node.conf({ cniVersion: '1.1.0', delegates: [node.bridge(50, { cniVersion: '1.1.0' })] })
    const added = await pod.run('ADD', { conf, path })
    assert.is(added.status, 0, added.stdout)
    assert.is(added.json?.cniVersion, '1.1.0')
    assert.is((await pod.netns.links()).find(({ ifname }) => ifname === 'net1')?.mtu, 1400)
    assert.is((await pod.run('CHECK', { conf, path })).status, 0)
    assert.is((await pod.run('DEL', { conf, path })).status, 0)
    assert.equal(leases(node.leaseDir), [])
  })

  it('CNI-058 CNI-059 STATUS is ready with the default network, 50 without its IPAM plugin, and asks the plugin', async () => {
    const node = await testNode()
    const conf = node.conf({ cniVersion: '1.1.0', delegates: [node.bridge(50, { cniVersion: '1.1.0' })] })
    const pod = await node.pod()
    const ready = await pod.run('STATUS', { conf, path: [plugins] })
    assert.is(ready.status, 0, ready.stdout)
    assert.is(ready.stdout, '')

    const partial = join(tempDir('partial'), 'bin')
    mkdirSync(partial)
    for (const name of readdirSync(plugins)) symlinkSync(join(plugins, name), join(partial, name))
    rmSync(join(partial, 'host-local'))
    const missing = await pod.run('STATUS', { conf, path: [partial] })
    assert.is(missing.json?.code, 50)
    assert.match(missing.stdout, /host-local/)

    stubPlugin(node.binDir, 'overlay', { status: { error: { code: 51, msg: 'agent is away' } } })
    const limited = await pod.run('STATUS', {
      conf: node.conf({
        cniVersion: '1.1.0',
        delegates: [{ cniVersion: '1.1.0', name: 'o', type: 'overlay' }],
      }),
    })
    assert.is(limited.json?.code, 51)
    assert.match(limited.stdout, /agent is away/)
  })

  it('CNI-061 a plugin that does not list 1.1.0 has no opinion on STATUS', async () => {
    const node = await testNode()
    const stub = stubPlugin(node.binDir, 'old', {
      versions: ['0.4.0', '1.0.0'],
      status: { error: { code: 4, msg: 'unknown CNI_COMMAND: STATUS' } },
    })
    const pod = await node.pod()
    const conf = node.conf({
      cniVersion: '1.1.0',
      delegates: [{ cniVersion: '1.1.0', name: 'o', type: 'old' }],
    })
    assert.is((await pod.run('STATUS', { conf })).status, 0)
    assert.equal(
      stub.calls().filter(({ command }) => command === 'STATUS'),
      [],
    )
  })

  it('CNI-064 CNI-065 CNI-156 GC frees the stale container, keeps the live one on every network', async () => {
    const node = await testNode()
    const path = [node.binDir, plugins]
    const conf = node.conf({ cniVersion: '1.1.0', delegates: [node.bridge(50, { cniVersion: '1.1.0' })] })
    node.write(nad({ name: 'data', config: node.bridge(51, { cniVersion: '1.1.0' }) }))
    const live = await node.pod({ name: 'live', networks: 'data' })
    const stale = await node.pod({ name: 'stale', networks: 'data' })
    for (const pod of [live, stale]) assert.is((await pod.run('ADD', { conf, path })).status, 0)
    const valid = [{ containerID: live.containerId, ifname: 'eth0' }]

    assert.is((await live.run('GC', { conf, path })).status, 0, 'CNI-063 without a list nothing is stale')
    assert.is(leases(node.leaseDir).length, 4)

    const collected = await live.run('GC', { conf: { ...conf, 'cni.dev/valid-attachments': valid }, path })
    assert.is(collected.status, 0, collected.stdout)
    assert.is(collected.stdout, '')
    assert.is(leases(node.leaseDir).length, 2)
    assert.equal(journalFiles(node.stateDir), [`${live.containerId}/eth0`])
    assert.equal(
      (await live.netns.links()).map(({ ifname }) => ifname),
      ['lo', 'eth0', 'net1'],
    )
    assert.equal(
      (await stale.netns.links()).map(({ ifname }) => ifname),
      ['lo'],
    )
    assert.is((await live.run('DEL', { conf, path })).status, 0)
    assert.equal(leases(node.leaseDir), [])
  })
})
