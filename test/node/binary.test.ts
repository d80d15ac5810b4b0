import { execFileSync, spawnSync } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import * as assert from 'uvu/assert'
import { deviceNode, devicesOf, VF } from '../plugin/device-node.ts'
import { assertAdded, assertDone, assertRefused, ipsOf } from '../plugin/stub-node.ts'
import { stopKubelets, testKubelet } from '../rig/kubelet.ts'
import { assertNothingLeft, snapshot } from '../rig/leftovers.ts'
import { nad, pod, writeManifests } from '../rig/manifests.ts'
import { PLEXUS, ROOT } from '../rig/plexus.ts'
import { singleFile } from '../rig/single-file.ts'
import { tempDir } from '../rig/temp-dir.ts'
import { testNode } from '../rig/test-node.ts'
import { spec } from '../spec.ts'

const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string }

interface Call {
  readonly env?: Readonly<Record<string, string>>
  readonly stdin?: string
}

/** Runs a program with nothing in its environment but what is given. */
function call([program = '', ...args]: readonly string[], { env = {}, stdin = '' }: Call = {}) {
  const run = spawnSync(program, args, { env, input: stdin, encoding: 'utf8', timeout: 60_000 })
  return { status: run.status, stdout: run.stdout, stderr: run.stderr }
}

/** A root with the executable and the libraries that its loader asks for, and nothing else. */
function emptyRoot(): string {
  const root = tempDir('root')
  const libraries = execFileSync('ldd', [singleFile()], { encoding: 'utf8' }).match(/\/\S+/g) ?? []
  for (const library of libraries) {
    mkdirSync(join(root, dirname(library)), { recursive: true })
    copyFileSync(library, join(root, library))
  }
  copyFileSync(singleFile(), join(root, 'plexus'))
  return root
}

/** `chroot`, with the root read-only. */
const IN_ROOT = ['unshare', '--mount', '/bin/sh', '-c']
const ENTER = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec chroot "$0" /plexus "$@"'

spec('the single-file executable', (it) => {
  it.after(stopKubelets)

  it('runs in a read-only root where nothing else is, without /proc, /dev and /tmp', () => {
    const root = emptyRoot()
    const manifest = pod({ networks: 'nowhere' })
    writeManifests(join(root), manifest)
    const PATH = '/usr/sbin:/usr/bin:/sbin:/bin'
    const run = (args: readonly string[], { env = {}, stdin = '' }: Call = {}) =>
      call([...IN_ROOT, ENTER, root, ...args], { env: { PATH, ...env }, stdin })
    assert.equal(run(['--version']), { status: 0, stdout: `${version}\n`, stderr: '' })
    const answered = run([], { env: { CNI_COMMAND: 'VERSION' } })
    assert.is(answered.status, 0, answered.stderr)
    assert.ok(JSON.parse(answered.stdout).supportedVersions.includes('1.1.0'))
    const explained = run(['explain', '/', '--output', 'json'])
    assert.is(explained.status, 1, explained.stderr)
    assert.match(explained.stdout, 'default/nowhere')
    const daemon = run(['daemon', '--config', '/absent.yaml'])
    assert.is(daemon.status, 1)
    assert.match(daemon.stderr, '/absent.yaml')
  })

  it('attaches and deletes with real plugins, and leaves nothing', async () => {
    const executable = singleFile()
    const node = await testNode()
    node.write(
      nad({ name: 'one', config: node.bridge(41) }),
      nad({ name: 'two', config: node.bridge(42, { cniVersion: '0.3.1' }) }),
    )
    const attached = await node.pod({ networks: 'one,two@data0' })
    const before = await snapshot({
      netns: [attached.netns],
      leases: [node.leaseDir],
      stateDir: node.stateDir,
    })
    const added = await attached.run('ADD', { executable })
    assert.is(added.status, 0, added.stdout)
    assert.equal(
      ipsOf(added).map(({ address }) => address),
      ['10.90.0.2/24', '10.41.0.2/24', '10.42.0.2/24'],
    )
    assertDone(await attached.run('CHECK', { executable }))
    assertDone(await attached.run('DEL', { executable }))
    await assertNothingLeft(before)
  })

  it('takes nothing from the environment of the runtime, and writes nothing beside itself', () => {
    const dir = tempDir('alone')
    const executable = join(dir, 'plexus')
    copyFileSync(singleFile(), executable)
    const plain = call([executable], { env: { CNI_COMMAND: 'VERSION' } })
    assert.is(plain.status, 0)
    for (const NODE_OPTIONS of ['--no-such-option', '--require=/absent.cjs', '--inspect=0']) {
      assert.equal(call([executable], { env: { CNI_COMMAND: 'VERSION', NODE_OPTIONS } }), plain)
    }
    assert.equal(readdirSync(dir), ['plexus'])
  })

  it('answers a runtime with its standard streams closed and its working directory gone', () => {
    const executable = singleFile()
    const gone = join(tempDir('cwd'), 'gone')
    const run = (script: string, env: Readonly<Record<string, string>>) => {
      mkdirSync(gone)
      return call(['/bin/sh', '-c', `cd "$1" && rmdir "$1" && ${script}`, executable, gone], { env })
    }
    const answered = run('exec "$0" <&- 2>&-', { CNI_COMMAND: 'VERSION' })
    assert.is(answered.status, 0)
    assert.ok(JSON.parse(answered.stdout).supportedVersions.includes('1.1.0'))
    assert.is(run('exec "$0" >&-', { CNI_COMMAND: 'VERSION' }).status, 0)
  })

  it('is refused as a delegate of itself, under whatever name', async () => {
    for (const executable of [singleFile(), PLEXUS]) {
      const node = await testNode()
      symlinkSync(executable, join(node.binDir, 'other-name'))
      const attached = await node.pod()
      const conf = node.conf({ delegates: [{ cniVersion: '1.0.0', name: 'n', type: 'other-name' }] })
      assertRefused(await attached.run('ADD', { executable, conf }), 102, 'is a meta-plugin')
      const confFile = join(node.confDir, 'plexus.conf')
      writeFileSync(confFile, JSON.stringify(conf))
      const args = ['--conf', confFile, '--bin-dir', node.binDir]
      const { status, stdout } = call([executable, 'explain', node.manifests, ...args], { env: {} })
      assert.is(status, 1, stdout)
      assert.match(stdout, 'is a meta-plugin')
    }
  })

  it('asks the kubelet for devices: what the bundles load later is in it', async () => {
    const kubelet = testKubelet()
    const node = await deviceNode(kubelet)
    kubelet.setPods({ name: 'pod-a', containers: [{ [VF]: ['0000:03:02.1'] }] })
    await kubelet.start()
    const pod = await node.pod({ networks: 'vf-a' })
    const executable = singleFile()
    assertAdded(await pod.run('ADD', { executable }))
    assert.equal(devicesOf(node.calls()), ['alpha 0000:03:02.1'])
    assertDone(await pod.run('DEL', { executable }))
  })

  it('takes Plexus off a node, itself included', () => {
    const dir = tempDir('node')
    const [binDir, stateDir] = [join(dir, 'bin'), join(dir, 'state')]
    for (const folder of [binDir, stateDir]) mkdirSync(folder)
    const own = join(binDir, 'plexus-standalone')
    copyFileSync(singleFile(), own)
    chmodSync(own, 0o755)
    for (const name of ['plexus', 'plexus.shim', 'bridge']) writeFileSync(join(binDir, name), '')
    const folders = [
      '--bin-dir',
      binDir,
      '--state-dir',
      stateDir,
      '--conf-dir',
      dir,
      '--socket',
      join(dir, 's'),
    ]
    const { status, stdout, stderr } = call([own, 'uninstall', ...folders], {
      env: { PATH: '/usr/bin:/bin' },
    })
    assert.is(status, 0, stdout + stderr)
    assert.equal([readdirSync(binDir), readdirSync(dir)], [['bridge'], ['bin']])
  })
})
