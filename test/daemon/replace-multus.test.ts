import { type ChildProcess, spawn } from 'node:child_process'
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { Socket } from 'node:net'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { openJournalDir } from '../../src/journal/journal.ts'
import { sweepAdopted } from '../../src/node/adopted-pods.ts'
import { assertAdded, assertDone, type StubNode, stubNode } from '../plugin/stub-node.ts'
import { type Crash, crash, type KillPoint } from '../rig/crash.ts'
import { eventually, startDaemonAt } from '../rig/daemon.ts'
import { attachAsMultus, type MultusFolders, multusFolders } from '../rig/multus-pod.ts'
import { PLEXUS, runCli } from '../rig/plexus.ts'
import { filesBelow, leases } from '../rig/state-files.ts'
import { atEnd, TEST_RUN } from '../rig/teardown.ts'
import { tempDir } from '../rig/temp-dir.ts'
import type { TestPod } from '../rig/test-node.ts'
import { spec } from '../spec.ts'

interface Scene extends MultusFolders {
  readonly node: StubNode
  readonly shim: string
  readonly confFile: string
  /** Its arguments. */
  readonly uninstall: readonly string[]
  /** Arguments of `plexus install --replace-multus`. */
  readonly install: readonly string[]
}

const MULTUS = '00-multus.conf'
const MULTUS_TEXT = JSON.stringify({
  cniVersion: '0.3.1',
  name: 'multus-cni-network',
  type: 'multus',
  delegates: [{ cniVersion: '1.0.0', name: 'cluster-net', plugins: [{ type: 'primary' }] }],
})
const NETWORKS = [
  {
    name: 'cluster-net',
    config: { cniVersion: '1.0.0', name: 'cluster-net', plugins: [{ type: 'primary' }] },
  },
  { name: 'default/alpha-net', config: { cniVersion: '1.0.0', name: 'alpha-net', type: 'alpha' } },
]

async function scene(): Promise<Scene> {
  const node = await stubNode()
  const dir = tempDir('multus')
  const binDir = join(dir, 'bin')
  mkdirSync(binDir, { mode: 0o755 })
  mkdirSync(join(dir, 'run'), { mode: 0o700 })
  const { confDir, stateDir } = node
  writeFileSync(join(confDir, '10-cluster.conflist'), JSON.stringify(NETWORKS[0]?.config))
  writeFileSync(join(confDir, MULTUS), MULTUS_TEXT)
  const caches = multusFolders(dir)
  const confFile = join(dir, 'daemon.yaml')
  const folders = [
    ...['--bin-dir', binDir, '--conf-dir', confDir, '--state-dir', stateDir],
    ...['--socket', join(dir, 'run/plexus.sock')],
  ]
  const install = [
    ...['install', '--no-fallback', '--replace-multus', ...folders, '--plugin-dir', node.binDir],
    ...['--multus-cache-dir', caches.multusCacheDir, '--cni-cache-dir', caches.cniCacheDir],
    ...['--config', confFile],
  ]
  const uninstall = ['uninstall', ...folders, '--dev-info-dir', join(dir, 'k8s/devinfo'), '-o', 'json']
  return { ...caches, node, shim: join(binDir, 'plexus'), confFile, uninstall, install }
}

function start(args: readonly string[]): { child: ChildProcess; said(): string } {
  const child = spawn(PLEXUS, args, {
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', PLEXUS_TEST_RUN: TEST_RUN },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  atEnd(() => child.kill('SIGKILL'))
  let text = ''
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk
  })
  // A test that fails must not wait for it.
  child.unref()
  if (child.stderr instanceof Socket) child.stderr.unref()
  return { child, said: () => text }
}

/** A busy machine is slow to start programs. */
const soon = (check: () => void | Promise<void>): Promise<void> => eventually(check, 20_000)

async function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const end = new Promise((resolve) => child.once('exit', resolve))
  child.ref()
  child.kill(signal)
  await end
}

spec('a node that changes from Multus to Plexus', (it) => {
  it('old pods are adopted, the runtime turns to us when we serve, and uninstall brings Multus back', async () => {
    const { node, shim, confFile, uninstall, install, ...caches } = await scene()
    const { confDir, stateDir } = node
    const [old, young] = [await node.pod({ name: 'old' }), await node.pod({ name: 'young' })]
    const path = [node.binDir]
    await attachAsMultus(node, old, NETWORKS, { ...caches, path })
    const { child, said } = start([...install, '--watch'])
    await soon(() => assert.match(said(), 'adopted 1 pods: default/old'))
    await soon(() => assert.match(said(), "Multus's file stays until there is"))
    // Multus is still in force, and attaches another one.
    await attachAsMultus(node, young, NETWORKS, { ...caches, path })
    await soon(() => assert.match(said(), 'adopted 1 pods: default/young'))
    assert.ok(existsSync(join(confDir, MULTUS)))
    await ended(child, 'SIGTERM')
    const { manifests } = node
    const rest = { metricsAddress: '127.0.0.1:0', manifests, multusAutoconfigDir: confDir }
    for (const [key, value] of Object.entries(rest)) appendFileSync(confFile, `${key}: ${value}\n`)
    const daemon = await startDaemonAt(confFile)
    await soon(() => assert.ok(existsSync(join(confDir, '00-plexus.conflist'))))
    const switched = await runCli(install.filter((word) => word !== '--config' && word !== confFile))
    assert.is(switched.status, 0, switched.stdout + switched.stderr)
    assert.match(switched.stdout, `Multus's file is now ${join(confDir, MULTUS)}.before-plexus`)
    assert.equal(readdirSync(confDir).sort(), [
      '00-multus.conf.before-plexus',
      '00-plexus.conflist',
      '10-cluster.conflist',
    ])
    await soon(async () => assert.is((await daemon.get('/readyz')).status, 200))
    const { plugins, name, cniVersion } = JSON.parse(
      readFileSync(join(confDir, '00-plexus.conflist'), 'utf8'),
    )
    const call = { executable: shim, conf: { ...plugins[0], name, cniVersion }, path }
    const fresh = await node.pod({ name: 'fresh', networks: 'beta-net' })
    assertAdded(await fresh.run('ADD', call))
    assertDone(await old.run('DEL', call))
    assertDone(await fresh.run('DEL', call))
    assert.equal(node.steps().slice(-6), [
      ...['primary ADD eth0', 'beta ADD net1'],
      ...['alpha DEL net1', 'primary DEL eth0', 'beta DEL net1', 'primary DEL eth0'],
    ])
    // Multus that starts once more writes its file anew.
    const again = start([...install, '--watch'])
    writeFileSync(join(confDir, MULTUS), MULTUS_TEXT)
    await soon(() => assert.not.ok(existsSync(join(confDir, MULTUS))))
    await ended(again.child, 'SIGTERM')
    await daemon.stop()
    await young.netns.delete()
    writeFileSync(join(shim, '../multus'), '', { mode: 0o755 })
    const gone = await runCli(uninstall, { inNetns: node.host })
    assert.is(gone.status, 0, gone.stdout + gone.stderr)
    assert.equal(gone.json?.restored, [join(confDir, MULTUS)])
    assert.is(readFileSync(join(confDir, MULTUS), 'utf8'), MULTUS_TEXT)
    assert.equal(readdirSync(confDir).sort(), [MULTUS, '10-cluster.conflist'])
    assert.equal(leases(node.leaseDir), [])
    assert.equal([existsSync(stateDir), filesBelow(caches.multusCacheDir)], [false, []])
    assert.match(readFileSync(confFile, 'utf8'), 'metricsAddress', 'what somebody has changed since stays')
  })

  it('a Multus whose plugin is gone does not come back: no pod would start', async () => {
    const { node, confFile, uninstall, install } = await scene()
    const { confDir } = node
    for (let times = 1; times <= 2; times++) assert.is((await runCli(install)).status, 0)
    assert.ok(existsSync(confFile))
    renameSync(join(confDir, MULTUS), join(confDir, `${MULTUS}.before-plexus`))
    const gone = await runCli(uninstall, { inNetns: node.host })
    assert.is(gone.status, 0, gone.stdout + gone.stderr)
    assert.equal(gone.json?.restored, [])
    assert.not.ok(existsSync(confFile), 'what was written for the daemon is not the node’s own')
    assert.equal(readdirSync(confDir).sort(), [`${MULTUS}.before-plexus`, '10-cluster.conflist'])
  })

  it('an adoption that is killed at any step is finished by the next run, and Multus’s files go after the pods', async () => {
    const { node, install, multusCacheDir, confFile } = await scene()
    const pod = await node.pod()
    const key = { containerId: pod.containerId, ifName: 'eth0' }
    const journal = openJournalDir(node.stateDir)
    const killed = async (point: KillPoint | undefined): Promise<Crash> => {
      rmSync(node.stateDir, { recursive: true, force: true })
      rmSync(confFile, { force: true })
      writeCaches(multusCacheDir, pod)
      return await crash(point, ({ executable = '', env = {} }) => runCli(install, { executable, env }))
    }
    // The first run has the shim to put in place as well.
    await killed(undefined)
    const { effects } = await killed(undefined)
    const points = effects.flatMap((effect, index) => (effect.includes(node.stateDir) ? [index + 1] : []))
    assert.ok(points.length > 10, effects.join('\n'))
    const faults: string[] = []
    for (const effect of points) {
      try {
        await killed({ effect, when: 'before' })
        const next = await runCli(install)
        assert.is(next.status, 0, next.stdout + next.stderr)
        const lookup = journal.lookup(key)
        assert.ok(lookup.state === 'intact' && lookup.record.complete !== undefined, 'not adopted')
        // As a DEL does when all is undone.
        journal.remove(key)
        sweepAdopted(node.stateDir)
        assert.equal(filesBelow(multusCacheDir), [], 'files of Multus are left')
      } catch (error) {
        faults.push(`${effects[effect - 1]}: ${error instanceof Error ? error.message : error}`)
      }
    }
    assert.equal(faults, [])
    rmSync(node.stateDir, { recursive: true })
  })
})

/** What Multus has of a pod with {@link NETWORKS}. */
function writeCaches(multusCacheDir: string, { containerId, netns }: TestPod): void {
  const list = NETWORKS.map(({ name, config }) => ({
    Name: name,
    Bytes: Buffer.from(JSON.stringify(config)).toString('base64'),
  }))
  writeFileSync(join(multusCacheDir, containerId), JSON.stringify(list))
  for (const [index, { config }] of NETWORKS.entries()) {
    const ifName = index === 0 ? 'eth0' : 'net1'
    writeFileSync(
      join(multusCacheDir, 'results', `${config.name}-${containerId}-${ifName}`),
      JSON.stringify({
        kind: 'cniCacheV1',
        ...{ containerId, ifName, networkName: config.name, netns: netns.path },
        result: { cniVersion: '1.0.0' },
      }),
    )
  }
}
