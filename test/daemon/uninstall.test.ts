import { type ChildProcess, spawn } from 'node:child_process'
import {
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import * as assert from 'uvu/assert'
import { assertAdded, assertDone, type StubNode, stubNode } from '../plugin/stub-node.ts'
import { eventually, startDaemonAt, type TestDaemon } from '../rig/daemon.ts'
import { PLEXUS, type PlexusRun, runCli } from '../rig/plexus.ts'
import { leases } from '../rig/state-files.ts'
import { atEnd, TEST_RUN } from '../rig/teardown.ts'
import { tempDir } from '../rig/temp-dir.ts'
import type { TestPod } from '../rig/test-node.ts'
import { spec } from '../spec.ts'

/** A busy machine is slow to start programs. */
const soon = (check: () => void | Promise<void>): Promise<void> => eventually(check, 20_000)

interface Scene {
  readonly node: StubNode
  readonly shim: string
  readonly conflist: string
  readonly daemon: TestDaemon
  install(): Promise<void>
  /** Arguments of `plexus uninstall`. */
  args(...more: readonly string[]): string[]
  uninstall(...more: readonly string[]): Promise<PlexusRun>
  call(pod: TestPod, command: 'ADD' | 'DEL'): Promise<PlexusRun>
  /** Everything in the node's folders: names, modes, contents. */
  listing(): string[]
}

/** A node on which Plexus is installed as a cluster does it: `plexus install`, and a daemon that writes the list. */
async function scene(): Promise<Scene & { readonly before: readonly string[] }> {
  const node = await stubNode()
  const dir = tempDir('installed')
  const binDir = join(dir, 'bin')
  mkdirSync(binDir, { mode: 0o755 })
  mkdirSync(join(dir, 'var'))
  writeFileSync(join(binDir, 'other'), 'another plugin', { mode: 0o755 })
  const stateDir = join(dir, 'var/plexus')
  const socket = join(dir, 'run/plexus.sock')
  const { confDir } = node
  const devInfoDir = join(dir, 'var/k8s.cni.cncf.io/devinfo')
  const list = { cniVersion: '1.0.0', name: 'cluster-net', plugins: [{ type: 'primary' }] }
  writeFileSync(join(confDir, '10-primary.conflist'), JSON.stringify(list))
  const folders = ['--bin-dir', binDir, '--state-dir', stateDir, '--socket', socket]
  const listing = (): string[] =>
    [confDir, dir].flatMap((folder) =>
      (readdirSync(folder, { recursive: true }) as string[]).sort().map((name) => {
        const stat = lstatSync(join(folder, name))
        const content = stat.isFile() ? readFileSync(join(folder, name), 'latin1') : ''
        return [join(folder, name), stat.mode.toString(8), stat.isFile() ? stat.mtimeMs : '', content].join(
          ' ',
        )
      }),
    )
  const before = listing()
  const install = async (): Promise<void> => {
    const waits = ['--add-wait', '10', '--del-wait', '10']
    const run = await runCli(['install', '--no-fallback', ...folders, ...waits, '--plugin-dir', node.binDir])
    assert.is(run.status, 0, run.stderr)
  }
  await install()
  const confFile = join(tempDir('daemon-conf'), 'daemon.yaml')
  const { manifests } = node
  const conf = { socket, stateDir, confDir, manifests, installConflist: true, conflistDir: confDir }
  writeFileSync(confFile, JSON.stringify({ ...conf, metricsAddress: '127.0.0.1:0' }))
  mkdirSync(join(dir, 'run'), { mode: 0o700 })
  mkdirSync(join(devInfoDir, 'cni'), { recursive: true })
  const daemon = await startDaemonAt(confFile)
  const conflist = join(confDir, '00-plexus.conflist')
  await soon(() => assert.ok(existsSync(conflist)))
  const shim = join(binDir, 'plexus')
  const args = (...more: readonly string[]): string[] => [
    ...['uninstall', ...folders, '--conf-dir', confDir, '--dev-info-dir', devInfoDir],
    ...more,
  ]
  const netConf = (): object => {
    const { plugins, name, cniVersion } = JSON.parse(readFileSync(conflist, 'utf8'))
    return { ...plugins[0], name, cniVersion }
  }
  let known: object = {}
  return {
    ...{ node, shim, conflist, daemon, install, args, listing, before },
    uninstall: (...more) => runCli(args('-o', 'json', ...more), { inNetns: node.host }),
    call(pod, command) {
      if (command === 'ADD') known = netConf()
      return pod.run(command, { executable: shim, conf: known, path: [node.binDir] })
    },
  }
}

interface Report {
  readonly isDone: boolean
  readonly removed: readonly string[]
  readonly remaining: readonly { readonly pod: string; readonly reason: string }[]
  readonly obstacle?: string
}

function reportOf(run: PlexusRun, status: number): Report {
  assert.is(run.status, status, `stdout ${run.stdout}, stderr ${run.stderr}`)
  return run.json as unknown as Report
}

function begin(node: StubNode, args: readonly string[]): ChildProcess {
  const child = spawn('nsenter', [`--net=${node.host.path}`, PLEXUS, ...args], {
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', PLEXUS_TEST_RUN: TEST_RUN },
    stdio: ['ignore', 'ignore', 'ignore'],
  })
  atEnd(() => child.kill('SIGKILL'))
  return child
}

spec('plexus uninstall', (it) => {
  it('the list goes at once and stays away, the rest with the last pod and the daemon; the node is as before', async () => {
    const { node, shim, conflist, daemon, uninstall, call, listing, before } = await scene()
    const pod = await node.pod()
    assertAdded(await call(pod, 'ADD'))
    const first = reportOf(await uninstall(), 1)
    assert.equal(first.removed, [conflist])
    assert.equal(
      first.remaining.map(({ pod, reason }) => [pod, reason]),
      [['default/pod-a', 'it is attached']],
    )
    await soon(() =>
      assert.ok(daemon.log().some(({ msg }) => String(msg).includes('is not put back: Plexus is being'))),
    )
    // Whatever happens in the folder: the daemon looks, and leaves it at that.
    writeFileSync(join(node.confDir, 'note'), '')
    await delay(700)
    assert.not.ok(existsSync(conflist))
    rmSync(join(node.confDir, 'note'))
    assert.ok(existsSync(shim))
    assertDone(await call(pod, 'DEL'))
    const second = reportOf(await uninstall(), 1)
    assert.equal(second.remaining, [])
    assert.match(String(second.obstacle), 'a daemon serves at')
    const waiting = uninstall('--wait', '60s')
    await daemon.stop()
    assert.is(reportOf(await waiting, 0).isDone, true)
    assert.equal(listing(), before)
    assert.equal(reportOf(await uninstall(), 0), { isDone: true, removed: [], restored: [], remaining: [] })
    assert.equal(listing(), before)
  })

  it('pods that the runtime no longer deletes through us are undone when their namespace is gone', async () => {
    const { node, daemon, uninstall, call, listing, before } = await scene()
    const [gone, live] = [await node.pod({ name: 'gone' }), await node.pod({ name: 'live' })]
    for (const pod of [gone, live]) assertAdded(await call(pod, 'ADD'))
    await daemon.stop()
    await gone.netns.delete()
    // In a container: what is not seen there may be alive.
    const { obstacle } = reportOf(await uninstall('--host-bin-dir', '/opt/cni/bin'), 1)
    assert.match(String(obstacle), 'nsenter -t 1 -m -n')
    assert.is(leases(node.leaseDir).length, 6)
    const { remaining } = reportOf(await uninstall(), 1)
    assert.equal(
      remaining.map(({ pod }) => pod),
      ['default/live'],
    )
    assert.is(leases(node.leaseDir).filter((path) => path.includes(gone.containerId)).length, 0)
    assert.is(leases(node.leaseDir).filter((path) => path.includes(live.containerId)).length, 3)
    assert.equal(node.steps().slice(-3), ['beta DEL net2', 'alpha DEL net1', 'primary DEL eth0'])
    const waiting = uninstall('--wait', '60s')
    await delay(300)
    await live.netns.delete()
    assert.is(reportOf(await waiting, 0).isDone, true)
    assert.equal(leases(node.leaseDir), [])
    assert.equal(listing(), before)
  })

  it('an undo that fails keeps shim and state until it succeeds', async () => {
    const { node, daemon, uninstall, call, listing, before } = await scene()
    const pod = await node.pod()
    assertAdded(await call(pod, 'ADD'))
    await daemon.stop()
    await pod.netns.delete()
    node.behave(node.alpha, { del: { error: { code: 11, msg: 'switch is down' } } })
    const failed = await uninstall()
    assert.match(failed.stderr, 'switch is down')
    assert.equal(
      reportOf(failed, 1).remaining.map(({ reason }) => reason),
      ['its undo has failed 1 time'],
    )
    node.behave(node.alpha, {})
    assert.is(reportOf(await uninstall(), 0).isDone, true)
    assert.equal(listing(), before)
  })

  it('killed at any moment it is finished by the next run', async () => {
    const { node, daemon, install, args, uninstall, listing, before, conflist } = await scene()
    await daemon.stop()
    for (let kills = 0; kills < 3; kills++) {
      await install()
      writeFileSync(conflist, '{}')
      const pod = await node.pod({ name: `pod-${kills}` })
      assertAdded(await pod.run('ADD', { conf: node.conf({ stateDir: args()[4] }) }))
      await pod.netns.delete()
      const child = begin(node, args())
      const ended = new Promise((resolve) => child.once('exit', resolve))
      await delay(100 + kills * 80)
      child.kill('SIGKILL')
      await ended
      assert.is(reportOf(await uninstall('--wait', '60s'), 0).isDone, true)
      assert.equal(listing(), before)
      assert.equal(leases(node.leaseDir), [])
    }
  })

  it('installing again takes it back; what is not ours stays where it is', async () => {
    const { daemon, node, uninstall, install, conflist, args } = await scene()
    reportOf(await uninstall(), 1)
    assert.not.ok(existsSync(conflist))
    await install()
    await soon(() => assert.ok(existsSync(conflist)))
    await daemon.stop()
    const stateDir = args()[4] ?? ''
    writeFileSync(join(stateDir, 'notes.txt'), 'mine')
    writeFileSync(`${conflist}.bak`, 'mine')
    assert.is(reportOf(await uninstall(), 0).isDone, true)
    assert.equal(readdirSync(stateDir), ['notes.txt'])
    assert.equal(readdirSync(node.confDir).sort(), ['00-plexus.conflist.bak', '10-primary.conflist'])
  })

  it('the list goes also when the state directory cannot be written', async () => {
    const { daemon, uninstall, conflist, args } = await scene()
    await daemon.stop()
    const stateDir = args()[4] ?? ''
    renameSync(stateDir, `${stateDir}.away`)
    writeFileSync(stateDir, 'in its place')
    const run = await uninstall()
    assert.is(run.status, 1, run.stdout)
    assert.match(run.stderr, `${stateDir} cannot be written`)
    assert.not.ok(existsSync(conflist))
  })

  it('what a killed writer has left in the state directory goes; what is odd beside it holds nothing up', async () => {
    const { daemon, node, uninstall, args } = await scene()
    await daemon.stop()
    const stateDir = args()[4] ?? ''
    for (const name of ['default-network.json', 'uninstalling', 'written-config.json'])
      writeFileSync(join(stateDir, `.${name}.0123456789ab.plexus-new`), '{')
    // Since it was written somebody has put a folder in its place.
    writeFileSync(
      join(stateDir, 'written-config.json'),
      JSON.stringify({ path: node.confDir, sha256: 'of a file' }),
    )
    const aside = join(node.confDir, '00-multus.conf.before-plexus')
    symlinkSync(join(node.confDir, 'gone'), aside)
    const report = reportOf(await uninstall(), 0)
    assert.is(report.isDone, true)
    assert.not.ok(existsSync(stateDir))
    assert.equal(readdirSync(node.confDir).sort(), ['00-multus.conf.before-plexus', '10-primary.conflist'])
  })

  it('a copy that Cilium has renamed goes as well, another of that name does not', async () => {
    const { daemon, node, uninstall, conflist } = await scene()
    await daemon.stop()
    copyFileSync(conflist, `${conflist}.cilium_bak`)
    writeFileSync(`${conflist}.old.cilium_bak`, '{"plugins":[{"type":"other"}]}')
    assert.is(reportOf(await uninstall(), 0).isDone, true)
    assert.equal(readdirSync(node.confDir).sort(), [
      '00-plexus.conflist.old.cilium_bak',
      '10-primary.conflist',
    ])
  })

  it('in a container it finds the node’s paths below --root', async () => {
    const root = tempDir('root')
    const devInfo = join(root, 'run/k8s.cni.cncf.io/devinfo/cni')
    for (const folder of ['opt/cni/bin', 'etc/cni/net.d', 'var/lib/cni/plexus/sandboxes', 'run/plexus'])
      mkdirSync(join(root, folder), { recursive: true })
    mkdirSync(devInfo, { recursive: true })
    const binDir = join(root, 'opt/cni/bin')
    const installed = await runCli([
      'install',
      '--no-fallback',
      '--bin-dir',
      binDir,
      '--state-dir',
      join(root, 'state'),
    ])
    assert.is(installed.status, 0, installed.stderr)
    const report = reportOf(await runCli(['uninstall', '--root', root, '-o', 'json']), 0)
    assert.equal(report.removed.map((path) => path.slice(root.length)).sort(), [
      '/opt/cni/bin/plexus',
      '/opt/cni/bin/plexus.shim',
      '/var/lib/cni/plexus',
    ])
    assert.equal((readdirSync(root, { recursive: true }) as string[]).sort(), [
      ...['etc', 'etc/cni', 'etc/cni/net.d', 'opt', 'opt/cni', 'opt/cni/bin'],
      ...['run', 'var', 'var/lib', 'var/lib/cni'],
    ])
  })
})
