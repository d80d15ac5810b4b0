import { copyFileSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { nad } from '../rig/manifests.ts'
import { PLEXUS } from '../rig/plexus.ts'
import { tempDir } from '../rig/temp-dir.ts'
import { spec } from '../spec.ts'
import { assertAdded, assertDone, assertRefused, stubNode } from './stub-node.ts'

/** Networks of which one binary is not there. */
const missing: [title: string, plugin: string, config: object][] = [
  ['the plugin', 'nowhere', { type: 'nowhere' }],
  ['its IPAM plugin', 'no-ipam', { type: 'alpha', ipam: { type: 'no-ipam' } }],
  ['a nested delegate', 'no-nested', { type: 'alpha', delegate: { type: 'no-nested' } }],
  [
    "a nested delegate's IPAM",
    'no-ipam',
    { type: 'alpha', delegate: { type: 'beta', ipam: { type: 'no-ipam' } } },
  ],
  ['the last of a list', 'nowhere', { plugins: [{ type: 'alpha' }, { type: 'beta' }, { type: 'nowhere' }] }],
]

spec('a binary that is missing', (it) => {
  for (const [title, plugin, config] of missing) {
    it(`CNI-091 ${title}: binary, directories and network are named, and no delegate runs`, async () => {
      const node = await stubNode()
      node.write(nad({ name: 'bare', config: { cniVersion: '1.0.0', ...config } }))
      const pod = await node.pod({ networks: 'alpha-net,bare' })
      const before = await node.watch(pod)
      const call = { path: [node.binDir, '/nonexistent/bin'] }
      assertRefused(
        await pod.run('ADD', call),
        101,
        'pod default/pod-a: network "bare" (NAD default/bare)',
        `failed to find plugin "${plugin}" in path [${node.binDir} /nonexistent/bin]`,
      )
      assert.equal(node.steps(), [])
      await node.assertClean(before)
      assertDone(await pod.run('DEL', call))
    })
  }

  it('CNI-091 a directory of that name is no plugin, a link to one is', async () => {
    const node = await stubNode()
    mkdirSync(join(node.binDir, 'folder'))
    symlinkSync(node.alpha.path, join(node.binDir, 'linked'))
    node.write(
      nad({ name: 'folder', config: { type: 'folder' } }),
      nad({ name: 'linked', config: { type: 'linked' } }),
    )
    const pod = await node.pod({ networks: 'folder' })
    assertRefused(await pod.run('ADD'), 101, 'failed to find plugin "folder"')
    const other = await node.pod({ name: 'other', networks: 'linked' })
    assertAdded(await other.run('ADD'))
    // The stub knows itself by its own file.
    assert.ok(node.steps().includes('alpha ADD net1'), node.steps().join())
  })

  it('CNI-091 a file that cannot be executed is named when it is started, and the rest undone', async () => {
    const node = await stubNode()
    writeFileSync(join(node.binDir, 'plain'), 'no program', { mode: 0o644 })
    node.write(nad({ name: 'plain', config: { cniVersion: '1.0.0', type: 'plain' } }))
    const pod = await node.pod({ networks: 'alpha-net,plain' })
    const before = await node.watch(pod)
    assertRefused(await pod.run('ADD'), 5, 'network "plain"', join(node.binDir, 'plain'), 'cannot be started')
    assert.equal(node.steps().slice(0, 2), ['primary ADD eth0', 'alpha ADD net1'])
    assert.equal(node.steps().slice(2), ['alpha DEL net1', 'primary DEL eth0'])
    await node.assertClean(before)
    assertDone(await pod.run('DEL'))
  })

  it('CNI-013 an empty element of CNI_PATH is not the working directory', async () => {
    const node = await stubNode()
    const cwd = tempDir('cwd')
    copyFileSync(node.alpha.path, join(cwd, 'here'))
    node.write(nad({ name: 'here', config: { type: 'here' } }))
    const pod = await node.pod({ networks: 'here' })
    const run = await pod.run('ADD', { cwd, path: ['', '', node.binDir] })
    assertRefused(run, 101, `failed to find plugin "here" in path [${node.binDir}]`)
  })

  it('CNI-004 binDir is searched, with CNI_PATH or without', async () => {
    const node = await stubNode()
    const pod = await node.pod()
    const conf = node.conf({ binDir: node.binDir })
    assertAdded(await pod.run('ADD', { conf, env: { CNI_PATH: undefined } }))
    assertDone(await pod.run('DEL', { conf, env: { CNI_PATH: undefined } }))
    assertRefused(await pod.run('ADD', { env: { CNI_PATH: undefined } }), 4, 'CNI_PATH')
  })

  it('CNI-052 a binary that is gone at DEL is an error until it is back, and the rest is undone', async () => {
    const node = await stubNode()
    const pod = await node.pod()
    const before = await node.watch(pod)
    assertAdded(await pod.run('ADD'))
    rmSync(node.alpha.path)
    assertRefused(await pod.run('DEL'), 101, 'failed to find plugin "alpha"', 'pod default/pod-a', 'net1')
    assert.equal(node.steps().slice(3), ['beta DEL net2', 'primary DEL eth0'])
    node.stub('alpha')
    assertDone(await pod.run('DEL'))
    assert.equal(node.steps().slice(5), ['alpha DEL net1'])
    await node.assertClean(before)
  })
})

spec('a plugin that may not run', (it) => {
  for (const type of ['plexus', 'multus', 'multus-shim']) {
    it(`type ${type} is refused whether it is there or not`, async () => {
      const node = await stubNode()
      node.write(nad({ name: 'again', config: { cniVersion: '1.0.0', type } }))
      const pod = await node.pod({ networks: 'alpha-net,again' })
      assertRefused(await pod.run('ADD'), 102, 'network "again"', `plugin "${type}" is a meta-plugin`)
      assert.equal(node.steps(), [])
    })
  }

  it('a link to our own executable is refused under any name, as plugin and as IPAM', async () => {
    const node = await stubNode()
    symlinkSync(PLEXUS, join(node.binDir, 'innocent'))
    symlinkSync('innocent', join(node.binDir, 'more-innocent'))
    for (const config of [
      { type: 'innocent' },
      { type: 'more-innocent' },
      { type: 'alpha', ipam: { type: 'innocent' } },
    ]) {
      node.write(nad({ name: 'again', config: { cniVersion: '1.0.0', ...config } }))
      const pod = await node.pod({ networks: 'again' })
      const before = await node.watch(pod)
      assertRefused(await pod.run('ADD'), 102, 'network "again"', 'innocent" is a meta-plugin')
      assert.equal(node.steps(), [])
      await node.assertClean(before)
    }
  })

  it('ourselves as the default network is refused, too', async () => {
    const node = await stubNode({ delegates: [{ name: 'loop', type: 'plexus' }] })
    const pod = await node.pod()
    assertRefused(await pod.run('ADD'), 102, 'network "loop"', 'meta-plugin')
  })

  it('allowedPluginTypes is what may run, IPAM and list members included', async () => {
    const node = await stubNode({ allowedPluginTypes: ['primary', 'alpha'] })
    node.stub('pool')
    node.write(
      nad({ name: 'with-ipam', config: { type: 'alpha', ipam: { type: 'pool' } } }),
      nad({ name: 'with-beta', config: { plugins: [{ type: 'alpha' }, { type: 'beta' }] } }),
    )
    const pod = await node.pod({ networks: 'with-ipam,with-beta' })
    const run = await pod.run('ADD')
    assertRefused(run, 102, 'plugin "pool" is not in allowedPluginTypes', 'allowed are primary, alpha')
    assertRefused(run, 102, 'network "with-beta"', 'plugin "beta" is not in allowedPluginTypes')
    assert.equal(node.steps(), [])
    const other = await node.pod({ name: 'other', networks: 'alpha-net' })
    assertAdded(await other.run('ADD'))
  })
})
