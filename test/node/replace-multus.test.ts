import { spawn } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { createServer, Socket } from 'node:net'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import type { JsonObject } from '../../src/cni/json.ts'
import { openJournalDir } from '../../src/journal/journal.ts'
import { adoptPods } from '../../src/node/adoption.ts'
import { referenceCalls } from '../plugin/reference-library.ts'
import { stubNode } from '../plugin/stub-node.ts'
import { eventually } from '../rig/daemon.ts'
import { assertNothingLeft, type Snapshot, snapshot } from '../rig/leftovers.ts'
import { podArgs } from '../rig/manifests.ts'
import { attachAsMultus, type MultusFolders, multusFolders } from '../rig/multus-pod.ts'
import { PLEXUS, type PlexusRun, runCli } from '../rig/plexus.ts'
import { debianPlugins } from '../rig/plugin-dirs.ts'
import { filesBelow, journalFiles, leases } from '../rig/state-files.ts'
import { stubPlugin } from '../rig/stub.ts'
import { atEnd } from '../rig/teardown.ts'
import { tempDir } from '../rig/temp-dir.ts'
import { type TestNode, type TestPod, testNode } from '../rig/test-node.ts'
import { spec } from '../spec.ts'

interface Scene<Node extends TestNode> extends MultusFolders {
  readonly node: Node
  readonly binDir: string
  readonly shim: string
  replace(...more: readonly string[]): Promise<PlexusRun>
  /** The same, with another executable. */
  replaceBy(executable: string): Promise<PlexusRun>
  /** What is there now, to be compared with later. */
  watch(...pods: readonly TestPod[]): Promise<Snapshot>
}

/** A node where Multus is at work: its conf file is there, and its caches. */
function scene<Node extends TestNode>(node: Node, conf: object = {}): Scene<Node> {
  const dir = tempDir('multus')
  const folders = multusFolders(dir)
  const binDir = join(dir, 'bin')
  mkdirSync(binDir, { mode: 0o755 })
  const { confDir, stateDir } = node
  const list = { cniVersion: '1.0.0', name: 'cluster-net', plugins: [{ type: 'bridge' }] }
  writeFileSync(join(confDir, '10-cluster.conflist'), JSON.stringify(list))
  const multus = { cniVersion: '0.3.1', name: 'multus-cni-network', type: 'multus-shim', ...conf }
  writeFileSync(join(confDir, '00-multus.conf'), JSON.stringify(multus))
  const args = [
    ...['install', '--no-fallback', '--replace-multus', '--bin-dir', binDir, '--conf-dir', confDir],
    ...['--state-dir', stateDir, '--socket', join(dir, 'run/plexus.sock'), '--del-wait', '0'],
    ...['--plugin-dir', debianPlugins(), '-o', 'json'],
    ...['--multus-cache-dir', folders.multusCacheDir, '--cni-cache-dir', folders.cniCacheDir],
  ]
  return {
    ...{ ...folders, node, binDir, shim: join(binDir, 'plexus') },
    replace: (...more) => runCli([...args, ...more], { inNetns: node.host }),
    replaceBy: (executable) => runCli(args, { inNetns: node.host, executable }),
    watch: (...pods) =>
      snapshot({
        netns: [node.host, ...pods.map(({ netns }) => netns)],
        leases: [node.leaseDir],
        folders: [join(node.stateDir, 'sandboxes'), folders.multusCacheDir, folders.cniCacheDir],
      }),
  }
}

/** Files below a folder that this process has open. */
function openFilesBelow(folder: string): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const path = readlinkSync(join('/proc/self/fd', fd))
      return path.startsWith(`${folder}/`) ? [path] : []
    } catch {
      // The one by which the folder was read.
      return []
    }
  })
}

interface MultusReport {
  readonly adopted: readonly string[]
  readonly waiting: readonly { readonly reason: string }[]
  readonly left: readonly { readonly containerId: string; readonly reason: string }[]
  readonly setAside: readonly string[]
  readonly waitsFor?: string
  readonly daemonConf: JsonObject
}

function reportOf(run: PlexusRun, status = 0): MultusReport {
  assert.is(run.status, status, `stdout ${run.stdout}, stderr ${run.stderr}`)
  return (run.json as { multus: MultusReport }).multus
}

/** The default network with a host port, and a macvlan with a MAC that the pod asked for. */
function realNetworks(node: TestNode) {
  return [
    {
      name: 'cluster-net',
      config: {
        cniVersion: '1.0.0',
        name: 'cluster-net',
        plugins: [
          node.bridge(90, { isGateway: true }),
          { type: 'portmap', capabilities: { portMappings: true }, snat: false },
        ],
      },
      capabilityArgs: { portMappings: [{ hostPort: 18080, containerPort: 80, protocol: 'tcp' }] },
    },
    {
      name: 'telco/n6',
      config: {
        cniVersion: '0.4.0',
        name: 'n6',
        type: 'macvlan',
        master: 'uplink0',
        capabilities: { mac: true },
        ipam: { type: 'host-local', dataDir: node.leaseDir, subnet: '10.91.0.0/24' },
      },
      ifName: 'n6',
      args: [['MAC', '02:00:00:00:00:06']] as const,
      capabilityArgs: { mac: '02:00:00:00:00:06' },
    },
  ]
}

spec('plexus install --replace-multus', (it) => {
  for (const form of ['base64', 'typed', 'plain'] as const) {
    it(`a pod of Multus is deleted through Plexus, and nothing is left (Multus's file: ${form})`, async () => {
      const node = await testNode()
      const { replace, watch, shim, ...folders } = scene(node)
      const pod = await node.pod()
      const path = [debianPlugins()]
      // Bridge and base chains of iptables stay: that is the plugins' way.
      const first = await node.pod({ name: 'first' })
      await attachAsMultus(node, first, realNetworks(node), { ...folders, path, form })
      reportOf(await replace())
      assert.is((await first.run('DEL', { executable: shim })).status, 0)
      reportOf(await replace())
      const before = await watch(pod)
      await attachAsMultus(node, pod, realNetworks(node), { ...folders, path, form })
      const links = async (): Promise<string[]> => (await pod.netns.links()).map(({ ifname }) => ifname)
      assert.equal((await links()).sort(), ['eth0', 'lo', 'n6'])
      assert.is(leases(node.leaseDir).length, 2)
      const report = reportOf(await replace())
      assert.equal(report.adopted, ['default/pod-a'])
      assert.equal([report.waiting, report.left], [[], []])
      assert.equal(reportOf(await replace()).adopted, [], 'what is recorded is left alone')
      const deleted = await pod.run('DEL', { executable: shim })
      assert.is(deleted.status, 0, deleted.stdout + deleted.stderr)
      assert.equal(await links(), ['lo'])
      assert.equal(leases(node.leaseDir), [])
      // What Multus has kept of it goes with the next run.
      reportOf(await replace())
      // A guard may need a moment to end.
      await eventually(() => assertNothingLeft(before))
    })
  }

  it('each plugin is called as the library that attached the pod would, and the pod is shown', async () => {
    const node = await stubNode()
    stubPlugin(node.binDir, 'tuner')
    const { replace, shim, ...folders } = scene(node)
    const pod = await node.pod()
    const path = [node.binDir]
    const networks = [
      {
        name: 'cluster-net',
        config: {
          cniVersion: '1.0.0',
          name: 'cluster-net',
          plugins: [{ type: 'primary', mtu: 1450 }, { type: 'tuner' }],
        },
        capabilityArgs: { portMappings: [] },
      },
      {
        name: 'telco/n6',
        config: { cniVersion: '1.0.0', name: 'n6', type: 'beta', number: 12, capabilities: { ips: true } },
        capabilityArgs: { ips: ['10.1.2.3/24'] },
        args: [['IP', '10.1.2.3']] as const,
      },
    ]
    await attachAsMultus(node, pod, networks, { ...folders, path })
    const attached = node.calls().length
    reportOf(await replace('--plugin-dir', node.binDir))
    const lookup = openJournalDir(node.stateDir).lookup({ containerId: pod.containerId, ifName: 'eth0' })
    assert.ok(lookup.state === 'intact')
    assert.ok(lookup.record.isPublished, 'what Multus has told the cluster of the pod stays')
    const shown = await runCli(['show', 'default/pod-a', '--state-dir', node.stateDir, '-o', 'json'])
    assert.match(shown.stdout, '"network": "n6"')
    assert.is((await pod.run('DEL', { executable: shim, path: [] })).status, 0)
    const resultOf = (name: string, ifName: string): unknown =>
      JSON.parse(
        readFileSync(join(folders.multusCacheDir, 'results', `${name}-${pod.containerId}-${ifName}`), 'utf8'),
      ).result
    const expected = networks
      .map(({ config, args = [], capabilityArgs }, index) => {
        const ifName = index === 0 ? 'eth0' : 'net1'
        const all = [podArgs(pod.manifest, pod.containerId), ...args.map((pair) => pair.join('='))].join(';')
        const call = { containerId: pod.containerId, netns: pod.netns.path, ifName, args: all, path: '' }
        return referenceCalls(
          'DEL',
          config,
          { ...call, capabilityArgs },
          { result: resultOf(config.name, ifName) },
        )
      })
      .reverse()
      .flat()
    const calls = node.calls().slice(attached)
    assert.equal(
      calls.map(({ type, command }) => `${type} ${command}`),
      expected.map(({ type }) => `${type} DEL`),
    )
    for (const [index, call] of calls.entries()) {
      const { env, stdin } = expected[index] ?? { env: {} as Record<string, string>, stdin: {} }
      assert.equal(call.stdin, stdin)
      for (const key of ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME', 'CNI_ARGS']) {
        assert.is(call.env[key], env[key], key)
      }
    }
  })

  it('a pod whose namespace is gone is undone by the next errand; one that is being attached is waited for', async () => {
    const node = await stubNode()
    const { replace, ...folders } = scene(node)
    const path = [node.binDir]
    const networks = [
      { name: 'cluster-net', config: { cniVersion: '1.0.0', name: 'cluster-net', type: 'primary' } },
    ]
    const [gone, young] = [await node.pod({ name: 'gone' }), await node.pod({ name: 'young' })]
    await attachAsMultus(node, gone, networks, { ...folders, path })
    await attachAsMultus(node, young, networks, { ...folders, path }, { isUnderWay: true })
    await gone.netns.delete()
    const first = reportOf(await replace(), 1)
    assert.equal(first.adopted, ['default/gone'])
    assert.equal(
      first.waiting.map(({ reason }) => reason),
      ['its networks are still being attached'],
    )
    const listed = await runCli(['list', '--state-dir', node.stateDir])
    assert.match(listed.stdout, 'netns gone')
    // Two minutes later it is what a failed ADD has left; without a namespace nothing can be said of it.
    const old = Date.now() / 1000 - 600
    utimesSync(join(folders.multusCacheDir, young.containerId), old, old)
    assert.match(String(reportOf(await replace(), 1).left[0]?.reason), 'does not say which network namespace')
  })

  it('a file that cannot be read is named, and holds up no other', async () => {
    const node = await stubNode()
    const { replace, ...folders } = scene(node)
    const pod = await node.pod()
    const config = { cniVersion: '1.0.0', name: 'cluster-net', type: 'primary' }
    await attachAsMultus(node, pod, [{ name: 'cluster-net', config }], { ...folders, path: [node.binDir] })
    writeFileSync(join(folders.multusCacheDir, 'aaa-torn'), '[{"Bytes":"eyJ')
    writeFileSync(join(folders.multusCacheDir, 'aab-no-list'), '{}')
    const { adopted, left } = reportOf(await replace(), 1)
    assert.equal(adopted, ['default/pod-a'])
    assert.equal(
      left.map(({ containerId }) => containerId),
      ['aaa-torn', 'aab-no-list'],
    )
  })

  it('where the namespaces of pods cannot be seen nothing is adopted: they would be taken for gone', async () => {
    const node = await stubNode()
    const { replace, ...folders } = scene(node)
    const pod = await node.pod()
    const config = { cniVersion: '1.0.0', name: 'cluster-net', type: 'primary' }
    await attachAsMultus(node, pod, [{ name: 'cluster-net', config }], { ...folders, path: [node.binDir] })
    for (const folder of [folders.multusCacheDir, folders.cniCacheDir]) {
      for (const name of readdirSync(join(folder, 'results'))) {
        const file = join(folder, 'results', name)
        writeFileSync(file, readFileSync(file, 'utf8').replaceAll('/run/netns/', '/run/netns-elsewhere/'))
      }
    }
    const run = await replace()
    assert.is(run.status, 1)
    assert.match(run.stderr, "the pods' network namespaces cannot be seen")
    assert.match(run.stderr, 'mountPropagation HostToContainer')
    assert.equal(journalFiles(node.stateDir), [])
    assert.ok(existsSync(join(node.confDir, '00-multus.conf')))
  })

  it('one pod whose namespace cannot be seen, or whose interface has no name, holds up no other', async () => {
    const node = await stubNode()
    const { replace, ...folders } = scene(node)
    const config = { cniVersion: '1.0.0', name: 'cluster-net', type: 'primary' }
    const pods = [await node.pod({ name: 'a' }), await node.pod({ name: 'b' }), await node.pod({ name: 'c' })]
    for (const pod of pods)
      await attachAsMultus(node, pod, [{ name: 'cluster-net', config }], { ...folders, path: [node.binDir] })
    const [first, second] = pods.map(({ containerId }) => containerId).sort()
    for (const folder of [folders.multusCacheDir, folders.cniCacheDir]) {
      const results = join(folder, 'results')
      for (const name of readdirSync(results)) {
        const text = readFileSync(join(results, name), 'utf8')
        if (name.includes(String(first)))
          writeFileSync(join(results, name), text.replaceAll('/run/netns/', '/run/netns-elsewhere/'))
        if (name.includes(String(second)))
          writeFileSync(join(results, name), text.replaceAll('"eth0"', '"../../eth0"'))
      }
    }
    for (const adopted of [1, 0]) {
      const report = reportOf(await replace(), 1)
      assert.is(report.adopted.length, adopted)
      assert.equal(
        report.left.map(({ containerId }) => containerId),
        [first, second],
      )
      assert.match(String(report.left[0]?.reason), '/run/netns-elsewhere is not there')
      assert.match(String(report.left[1]?.reason), 'the interface name')
    }
    assert.is(journalFiles(node.stateDir).length, 1)
  })

  it('in a container a pod whose namespace is seen only as a plain file, or as a process, is left for another run', async () => {
    const node = await stubNode()
    const { replace, replaceBy, ...folders } = scene(node)
    const [seen, hidden, ofProcess] = [
      await node.pod({ name: 'seen' }),
      await node.pod({ name: 'hidden' }),
      await node.pod({ name: 'of-process' }),
    ]
    const config = { cniVersion: '1.0.0', name: 'cluster-net', type: 'primary' }
    const networks = [{ name: 'cluster-net', config }]
    const netnsOfProcess = `/proc/${process.pid}/ns/net`
    for (const pod of [seen, hidden, ofProcess])
      await attachAsMultus(node, pod, networks, { ...folders, path: [node.binDir] })
    for (const folder of [folders.multusCacheDir, folders.cniCacheDir]) {
      const results = join(folder, 'results')
      for (const name of readdirSync(results).filter((name) => name.includes(ofProcess.containerId))) {
        const text = readFileSync(join(results, name), 'utf8')
        writeFileSync(join(results, name), text.replaceAll(ofProcess.netns.path, netnsOfProcess))
      }
    }
    const inContainer = join(tempDir('in-container'), 'plexus')
    const script = `#!/bin/sh
export KUBERNETES_SERVICE_HOST=10.96.0.1
exec unshare --mount --pid --fork --kill-child --mount-proc \\
  sh -c 'mount --bind /dev/null ${hidden.netns.path}; exec "$@"' sh ${PLEXUS} "$@"
`
    writeFileSync(inContainer, script, { mode: 0o755 })
    const away = `${folders.multusCacheDir}.away`
    renameSync(folders.multusCacheDir, away)
    const elsewhere = await replaceBy(inContainer)
    renameSync(away, folders.multusCacheDir)
    assert.is(elsewhere.status, 1)
    assert.match(
      elsewhere.stderr,
      `the pods of Multus cannot be seen: ${folders.multusCacheDir} is not there`,
    )
    const run = await replaceBy(inContainer)
    const { adopted, left } = reportOf(run, 1)
    assert.equal(adopted, ['default/seen'])
    assert.equal(
      left.map(({ containerId }) => containerId).sort(),
      [hidden, ofProcess].map(({ containerId }) => containerId).sort(),
    )
    assert.match(run.stdout, `its namespace ${hidden.netns.path} cannot be seen in here; mount the host's`)
    assert.match(run.stdout, `its namespace ${netnsOfProcess} is of a process that is not seen in here`)
    assert.equal([...reportOf(await replace()).adopted].sort(), ['default/hidden', 'default/of-process'])
  })

  it('pods that the runtime has attached to the default network alone are adopted from its own cache', async () => {
    const node = await stubNode()
    const { replace, shim, multusCacheDir, cniCacheDir } = scene(node)
    const pod = await node.pod()
    const config = { cniVersion: '1.0.0', name: 'cluster-net', plugins: [{ type: 'primary' }] }
    // A library's cache is the same whoever uses it.
    const folders = { multusCacheDir: cniCacheDir, cniCacheDir: tempDir('unused'), path: [node.binDir] }
    mkdirSync(join(folders.cniCacheDir, 'results'))
    await attachAsMultus(node, pod, [{ name: 'cluster-net', config }], folders)
    rmSync(join(cniCacheDir, pod.containerId))
    assert.equal(filesBelow(multusCacheDir), [])
    assert.equal(reportOf(await replace('--plugin-dir', node.binDir)).adopted, ['default/pod-a'])
    assert.is((await pod.run('DEL', { executable: shim, path: [] })).status, 0)
    assert.equal(node.steps(), ['primary ADD eth0', 'primary DEL eth0'])
  })

  it('an adopted pod whose record cannot be read holds up no other', async () => {
    const node = await stubNode()
    const { replace, ...folders } = scene(node)
    const path = [node.binDir]
    const config = { cniVersion: '1.0.0', name: 'cluster-net', type: 'primary' }
    const networks = [{ name: 'cluster-net', config }]
    const [torn, later] = [await node.pod({ name: 'torn' }), await node.pod({ name: 'later' })]
    await attachAsMultus(node, torn, networks, { ...folders, path })
    assert.equal(reportOf(await replace()).adopted, ['default/torn'])
    const record = join(node.stateDir, 'sandboxes', torn.containerId, 'eth0')
    rmSync(record)
    mkdirSync(record)
    await attachAsMultus(node, later, networks, { ...folders, path })
    const report = reportOf(await replace(), 1)
    assert.equal(report.adopted, ['default/later'])
    assert.match(String(report.left[0]?.reason), 'cannot be read')
    assert.ok(existsSync(join(folders.multusCacheDir, torn.containerId)))
  })

  it('what is remembered of an adopted pod is damaged: it holds up neither the others nor the uninstall', async () => {
    const node = await stubNode()
    const { replace, shim, binDir, ...folders } = scene(node)
    const config = { cniVersion: '1.0.0', name: 'cluster-net', type: 'primary' }
    const networks = [{ name: 'cluster-net', config }]
    const [torn, whole] = [await node.pod({ name: 'torn' }), await node.pod({ name: 'whole' })]
    for (const pod of [torn, whole])
      await attachAsMultus(node, pod, networks, { ...folders, path: [node.binDir] })
    assert.is(reportOf(await replace('--plugin-dir', node.binDir)).adopted.length, 2)
    const memory = join(node.stateDir, 'adopted', `${torn.containerId}-eth0.json`)
    const odd = join(node.stateDir, 'adopted/odd-eth0.json')
    mkdirSync(odd)
    const remove = async (pod: TestPod): Promise<void> => {
      writeFileSync(memory, '{"containerId":"')
      assert.is((await pod.run('DEL', { executable: shim, path: [] })).status, 0)
    }
    for (const pod of [torn, whole]) await remove(pod)
    // Nobody knows any more that Multus's files of it are those of a pod that is gone.
    assert.equal(reportOf(await replace('--plugin-dir', node.binDir)).adopted, ['default/torn'])
    assert.not.ok(existsSync(join(folders.multusCacheDir, whole.containerId)))
    await remove(torn)
    const gone = await runCli([
      ...['uninstall', '--bin-dir', binDir, '--conf-dir', node.confDir, '--state-dir', node.stateDir],
      ...['--socket', join(binDir, '../run/plexus.sock'), '--dev-info-dir', join(binDir, '../devinfo')],
    ])
    assert.is(gone.status, 0, gone.stdout + gone.stderr)
    assert.match(gone.stderr, `${memory} names stays: it is not JSON`)
    assert.match(gone.stderr, `${odd} names stays: it is no regular file`)
    assert.not.ok(existsSync(node.stateDir))
  })

  it('nothing is recorded of a pod whose result says nothing, and one that cannot be remembered leaves no file open', async () => {
    const node = await stubNode()
    const { stateDir } = node
    const folders = multusFolders(tempDir('caches'))
    const config = { cniVersion: '1.0.0', name: 'cluster-net', type: 'primary' }
    const [mute, odd] = [await node.pod({ name: 'mute' }), await node.pod({ name: 'odd' })]
    for (const pod of [mute, odd])
      await attachAsMultus(node, pod, [{ name: 'cluster-net', config }], { ...folders, path: [node.binDir] })
    const results = join(folders.multusCacheDir, 'results')
    for (const name of readdirSync(results).filter((name) => name.includes(mute.containerId))) {
      const kept = JSON.parse(readFileSync(join(results, name), 'utf8'))
      writeFileSync(
        join(results, name),
        JSON.stringify({ ...kept, result: { cniVersion: '1.0.0', ips: [{ address: 5 }] } }),
      )
    }
    mkdirSync(join(stateDir, 'adopted', `${odd.containerId}-eth0.json`), { recursive: true })
    const options = { stateDir, ...folders, defaultNetwork: undefined, pluginDirs: [] }
    for (let times = 1; times <= 2; times++) {
      const { adopted, left } = await adoptPods(options)
      assert.equal(adopted, [])
      const reasons = new Map(left.map(({ containerId, reason }) => [containerId, reason]))
      assert.match(String(reasons.get(mute.containerId)), '/ips/0/address must be an address')
      assert.match(String(reasons.get(odd.containerId)), 'EISDIR')
    }
    assert.equal(journalFiles(stateDir), [`${odd.containerId}/eth0`])
    await eventually(() => assert.equal(openFilesBelow(stateDir), []))
  })

  it("Multus's file stays until our list is there and served", async () => {
    const node = await stubNode()
    const { replace } = scene(node, { namespaceIsolation: true, globalNamespaces: 'default,telco' })
    const confFile = join(tempDir('conf'), 'daemon.yaml')
    const report = reportOf(await replace('--config', confFile))
    assert.match(String(report.waitsFor), '00-plexus.conflist, which the daemon writes')
    writeFileSync(join(node.confDir, '00-plexus.conflist'), '{}')
    assert.match(String(reportOf(await replace()).waitsFor), 'a daemon at ')
    assert.ok(existsSync(join(node.confDir, '00-multus.conf')))
    const text = readFileSync(confFile, 'utf8')
    for (const line of [
      'namespaceIsolation: true',
      'globalNamespaces: default,telco',
      'strictCapabilities: false',
    ]) {
      assert.match(text, `${line}\n`)
    }
  })

  it("Multus's file stays while a pod has no record for want of a lock, not for one that can never have one", async () => {
    const node = await stubNode()
    const { replace, binDir, ...folders } = scene(node)
    const pod = await node.pod()
    const config = { cniVersion: '1.0.0', name: 'cluster-net', type: 'primary' }
    await attachAsMultus(node, pod, [{ name: 'cluster-net', config }], { ...folders, path: [node.binDir] })
    writeFileSync(join(folders.multusCacheDir, 'aaa-torn'), '[{"Bytes":"eyJ')
    writeFileSync(join(node.confDir, '00-plexus.conflist'), '{}')
    mkdirSync(join(binDir, '../run'), { mode: 0o700 })
    const server = createServer().listen(join(binDir, '../run/plexus.sock')).unref()
    atEnd(() => void server.close())
    const locks = join(node.stateDir, 'locks')
    mkdirSync(locks, { recursive: true, mode: 0o700 })
    const holder = spawn('flock', [join(locks, pod.containerId), 'sh', '-c', 'echo held; read -r end'])
    atEnd(() => void holder.kill('SIGKILL'))
    await new Promise((resolve) => holder.stdout.once('data', resolve))
    // A test that fails must not wait for it.
    holder.unref()
    for (const pipe of [holder.stdin, holder.stdout, holder.stderr]) if (pipe instanceof Socket) pipe.unref()
    const held = reportOf(await replace(), 1)
    assert.equal([held.adopted, held.setAside], [[], []])
    assert.match(String(held.waitsFor), `a record of container ${pod.containerId} (lock of container`)
    assert.match(String(held.waitsFor), 'retry when it has ended')
    assert.not.match(String(held.waitsFor), 'aaa-torn')
    assert.ok(existsSync(join(node.confDir, '00-multus.conf')))
    const released = new Promise((resolve) => holder.once('exit', resolve))
    holder.ref()
    holder.stdin.end()
    await released
    const after = reportOf(await replace(), 1)
    assert.equal(after.adopted, ['default/pod-a'])
    assert.equal(after.setAside, [join(node.confDir, '00-multus.conf.before-plexus')])
    assert.equal(
      after.left.map(({ containerId }) => containerId),
      ['aaa-torn'],
    )
  })

  it('reads Multus’s list, its daemon’s configuration beside it, or another file that is named', async () => {
    const { node, replace } = scene(await stubNode())
    const { confDir } = node
    rmSync(join(confDir, '00-multus.conf'))
    const multus = { type: 'multus', namespaceIsolation: true, globalNamespaces: 'a' }
    const list = { cniVersion: '1.0.0', name: 'multus-cni-network', plugins: [multus] }
    writeFileSync(join(confDir, '00-multus.conflist'), JSON.stringify(list))
    const keysOf = async (...more: string[]): Promise<unknown[]> => {
      const { daemonConf } = reportOf(await replace(...more))
      return [daemonConf.namespaceIsolation, daemonConf.globalNamespaces, daemonConf.multusNamespace]
    }
    assert.equal(await keysOf(), [true, 'a', undefined])
    mkdirSync(join(confDir, 'multus.d'))
    const daemonConfig = join(confDir, 'multus.d/daemon-config.json')
    writeFileSync(daemonConfig, JSON.stringify({ globalNamespaces: 'b', chrootDir: '/hostroot' }))
    assert.equal(await keysOf(), [true, 'b', undefined])
    const other = join(tempDir('configmap'), 'daemon-config.json')
    writeFileSync(other, JSON.stringify({ multusNamespace: 'net' }))
    assert.equal(await keysOf('--multus-conf', other), [true, 'a', 'net'])
    writeFileSync(other, '{"namespaceIsolation": "yes"}')
    const wrong = await replace('--multus-conf', other)
    assert.is(wrong.status, 1)
    assert.match(wrong.stderr, '/namespaceIsolation must be')
  })

  it('options of its own are refused without it', async () => {
    const run = await runCli(['install', '--no-fallback', '--config', '/nonexistent'])
    assert.is(run.status, 2)
    assert.match(run.stderr, 'belong to --replace-multus')
  })
})
