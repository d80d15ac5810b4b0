import {
  appendFileSync,
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import * as assert from 'uvu/assert'
import { FINDINGS } from '../../src/node/doctor/finding.ts'
import { freeLeases, leasesIn } from '../../src/node/doctor/lease-probe.ts'
import { recordSandbox } from '../cli/recorded-sandbox.ts'
import { eventually as within } from '../rig/daemon.ts'
import { nad } from '../rig/manifests.ts'
import { tempDir } from '../rig/temp-dir.ts'
import { spec } from '../spec.ts'
import { type DoctorRun, type DoctorScene, doctorScene, writeOldFile } from './doctor-scene.ts'
import { defaultList } from './keeper.ts'

/** Faults that were injected by any test of this file. */
const injected = new Set<string>()

/** The finding is there, with its severity and everything that a person needs. */
function assertFound(run: DoctorRun, id: keyof typeof FINDINGS, evidence?: string): void {
  const finding = run.finding(id)
  assert.ok(finding, `no ${id} in ${run.stdout}${run.stderr}`)
  assert.is(finding.severity, FINDINGS[id])
  assert.ok(finding.what.length > 10)
  assert.ok(finding.fix !== null && finding.fix !== '', `${id} has no fix`)
  if (evidence !== undefined) assert.ok(JSON.stringify(finding).includes(evidence), JSON.stringify(finding))
  injected.add(id)
}

/** A loaded machine takes its time. */
const eventually = (check: () => void | Promise<void>): Promise<void> => within(check, 20_000)

spec('plexus doctor where the daemon runs', (it) => {
  let scene: DoctorScene

  it.before(async () => {
    scene = await doctorScene()
  })

  it('a healthy node has no finding above info; the default network and why it is that is one', async () => {
    const run = await scene.examine()
    assert.equal(run.ids, ['default-network'], run.stdout + run.stderr)
    assert.is(run.status, 0)
    const finding = run.finding('default-network')
    assert.match(finding?.what ?? '', 'the default network is "cluster-net" of')
    assert.match(finding?.evidence.join() ?? '', 'chosen because it is remembered in')
  })

  it('table and YAML say the same', async () => {
    const table = await scene.examine({ format: 'table' })
    assert.match(table.stdout, /^info: the default network is .* \[default-network\]$/m)
    assert.match(table.stdout, /^This node: good$/m)
    const yaml = await scene.examine({ format: 'yaml' })
    assert.match(yaml.stdout, /^isGood: true$/m)
    assert.match(yaml.stdout, /- id: default-network$/m)
  })

  it('files of an installation: open to others, missing, broken, of another version', async () => {
    const { installation, examine, binDir } = scene
    const { shim, socket } = installation
    const settings = join(binDir, 'plexus.shim')
    const aside = `${shim}.aside`

    chmodSync(shim, 0o777)
    chmodSync(settings, 0o666)
    chmodSync(dirname(socket), 0o755)
    const open = await examine()
    assertFound(open, 'shim-insecure', 'root 0777')
    assertFound(open, 'shim-conf-insecure', 'root 0666')
    assertFound(open, 'socket-dir-insecure', 'root 0755')
    assert.is(open.status, 1)
    const fixed = await examine({ args: ['--fix'] })
    assert.equal(fixed.finding('shim-insecure')?.fixed, [`chmod 0755 ${shim}`])
    assert.equal((await examine()).ids, ['default-network'])

    renameSync(shim, aside)
    assertFound(await examine(), 'shim-missing', shim)
    writeFileSync(shim, '#!/bin/sh\nexit 3\n', { mode: 0o755 })
    assertFound(await examine(), 'shim-broken', 'exit status 3')
    const old = `#!/bin/sh\nif [ "$1" = --version ]; then echo plexus 0.0.1; else exec ${aside}; fi\n`
    writeFileSync(shim, old, { mode: 0o755 })
    const before = readFileSync(settings)
    const lines = ['fallback=/nonexistent/plexus', 'nonsense', 'socket=/elsewhere/s', 'stateDir=/elsewhere']
    appendFileSync(settings, `${lines.join('\n')}\n`)
    const wrong = await examine()
    assertFound(wrong, 'version-skew', `shim ${shim}: 0.0.1`)
    assertFound(wrong, 'fallback-missing', '/nonexistent/plexus')
    assertFound(wrong, 'shim-conf-invalid', 'line 7')
    assertFound(wrong, 'shim-socket-differs', '/elsewhere/s')
    assertFound(wrong, 'shim-state-differs', '/elsewhere')
    renameSync(aside, shim)
    writeFileSync(settings, before)
  })

  it('files in the conf folder: before ours, renamed, of a second meta-plugin, broken, half written', async () => {
    const { put, conflist, examine } = scene
    const { confDir } = scene.node
    const paths = [
      put('00-aaa.conflist', defaultList('other', 'primary')),
      put('00-plexus.conflist.cilium_bak', '{}'),
      put('00-plexus.conflist.bak', '{}'),
      put('80-multus.conf', { cniVersion: '0.3.1', name: 'multus', type: 'multus' }),
      put('90-broken.conf', '{'),
    ]
    writeOldFile(join(confDir, '.00-plexus.conflist.1.plexus-new'))
    const run = await examine()
    assertFound(run, 'conflist-shadowed', '00-aaa.conflist')
    assertFound(run, 'cilium-exclusive', 'cni.exclusive=false')
    assertFound(run, 'conflist-renamed', '00-plexus.conflist.bak')
    assertFound(run, 'second-meta-plugin', '80-multus.conf')
    assertFound(run, 'conf-file-invalid', '90-broken.conf')
    assertFound(run, 'half-written-file', 'plexus-new')
    for (const path of paths) rmSync(path)
    const fixed = await examine({ args: ['--fix'] })
    assert.equal(fixed.finding('half-written-file')?.fixed, [
      `removed ${join(confDir, '.00-plexus.conflist.1.plexus-new')}`,
    ])
    assert.ok(existsSync(conflist))
  })

  it('plugins: missing, open to others, too old; networks that cannot be used', async () => {
    const { node, primary, extra, examine } = scene
    node.write(nad({ name: 'broken', config: '{' }))
    node.write(nad({ name: 'absent', config: { cniVersion: '1.0.0', type: 'not-there' } }))
    extra.behave({ versions: ['0.3.1'] })
    primary.behave({ versions: ['1.0.0'] })
    const run = await examine()
    assert.not.ok(run.ids.includes('half-written-file'))
    assertFound(run, 'nad-invalid', 'default/broken')
    assertFound(run, 'nad-plugin-missing', 'needed by NAD default/absent')
    assertFound(run, 'nad-plugin-version', 'NAD default/n6 has cniVersion 1.0.0')
    assertFound(run, 'default-plugin-version', 'has cniVersion 0.3.1')
    extra.behave({})
    primary.behave({})
    for (const name of ['broken', 'absent']) removeManifest(node.manifests, name)
    chmodSync(extra.path, 0o777)
    renameSync(primary.path, `${primary.path}.aside`)
    const missing = await examine()
    assertFound(missing, 'plugin-refused', 'can be written by others than root')
    assertFound(missing, 'default-plugin-missing', 'needed by the default network')
    assertFound(missing, 'status-failed', 'primary')
    chmodSync(extra.path, 0o755)
    renameSync(`${primary.path}.aside`, primary.path)
    assert.equal((await examine()).ids, ['default-network'])
  })

  it('a cluster that cannot be asked hides nothing else', async () => {
    const kubeconfig = join(tempDir('kubeconfig'), 'none')
    const run = await scene.examine({ args: ['--kubeconfig', kubeconfig] })
    assertFound(run, 'cluster-unreachable', kubeconfig)
    assert.ok(run.ids.includes('default-network'))
    assert.is(run.status, 0)
  })

  it('folders that are not there', async () => {
    const nowhere = join(tempDir('nowhere'), 'at-all')
    const run = await scene.examine({
      args: [
        '--bin-dir',
        nowhere,
        '--conf-dir',
        nowhere,
        '--state-dir',
        nowhere,
        '--socket',
        join(nowhere, 's'),
      ],
    })
    for (const id of ['bin-dir-missing', 'conf-dir-missing', 'state-dir-missing', 'socket-missing'] as const)
      assertFound(run, id, nowhere)
  })

  it('in a pod what is not mounted there is said, and is no error', async () => {
    const nowhere = join(tempDir('pod'), 'not-mounted')
    const run = await scene.examine({
      args: ['--bin-dir', nowhere, '--conf-dir', nowhere, '--state-dir', nowhere],
      before: 'mount -t tmpfs none /run; mkdir -p /run/secrets/kubernetes.io/serviceaccount',
    })
    const unseen = run.findings.filter(({ id }) => id === 'partial-view').map(({ what }) => what)
    for (const words of ['what is installed cannot be seen', 'networks', 'state directory', 'plugins'])
      assert.ok(
        unseen.some((what) => what.includes(words)),
        `${words}: ${run.stdout}`,
      )
    assert.equal(
      run.ids.filter((id) => id.endsWith('-missing')),
      [],
    )
    assert.is(run.status, 0, run.stdout)
  })

  it('--fix touches no folder that was named by mistake', async () => {
    const other = tempDir('other')
    writeFileSync(join(other, 'file'), '', { mode: 0o644 })
    chmodSync(other, 0o755)
    const args = ['--fix', '--state-dir', other, '--socket', join(other, 'plexus.sock')]
    const run = await scene.examine({ args })
    assert.equal(run.finding('state-mode')?.fixed, [])
    assert.equal(run.finding('socket-dir-insecure')?.fixed, [])
    assert.equal(
      [other, join(other, 'file')].map((path) => statSync(path).mode & 0o777),
      [0o755, 0o644],
    )
  })

  it('a disk that is full, has no inodes, is read-only; settings of the kernel', async () => {
    const small = tempDir('small')
    const { confDir } = scene.node
    const setting = (name: string, value: number): string =>
      `printf ${value} > "$1/bad-${name}"; mount --bind "$1/bad-${name}" /proc/sys/${name.replaceAll('.', '/')}`
    const before = [
      `mount -t tmpfs -o size=1m,nr_inodes=20,mode=0700 none ${small}`,
      `mount -o remount,ro ${small}`,
      `mount --bind ${confDir} ${confDir}`,
      `mount -o remount,bind,ro ${confDir}`,
      setting('net.ipv4.ip_forward', 0),
      setting('net.ipv4.conf.all.rp_filter', 1),
      setting('fs.inotify.max_user_instances', 4),
    ].join('\n')
    const run = await scene.examine({ args: ['--state-dir', small], before })
    assertFound(run, 'state-space', 'KiB are free')
    assertFound(run, 'state-inodes', 'of 20 are free')
    assertFound(run, 'state-not-writable', small)
    assertFound(run, 'conf-dir-read-only', confDir)
    assertFound(run, 'ip-forward-off', 'net.ipv4.ip_forward = 0')
    assertFound(run, 'inotify-limit', 'fs.inotify.max_user_instances = 4')
    assertFound(run, 'rp-filter-strict', 'net.ipv4.conf.all.rp_filter = 1')
  })

  it('a configuration that the daemon cannot use is found in the file, and in what the daemon says', async () => {
    const { installation, examine } = scene
    const before = readFileSync(installation.confFile, 'utf8')
    // The doctor reads the file alone; the daemon holds on to what it had.
    installation.configure('maxConcurrentAdds: many\n')
    await eventually(async () => assert.match((await scene.daemonText('/readyz')) ?? '', 'maxConcurrentAdds'))
    assertFound(await examine(), 'configuration-invalid', '/maxConcurrentAdds')
    const good = join(tempDir('conf'), 'daemon.yaml')
    writeFileSync(good, before)
    assertFound(await examine({ args: ['--config', good] }), 'daemon-complains', 'maxConcurrentAdds')
    installation.configure(before)
    await eventually(async () => assert.is(await scene.daemonText('/readyz'), 'ready'))
  })

  it('no default network: the daemon says so, and the doctor why', async () => {
    const { put, examine } = scene
    rmSync(join(scene.node.confDir, '10-primary.conflist'))
    await eventually(async () => assert.match((await scene.daemonText('/readyz')) ?? '', 'not available'))
    const run = await examine()
    assertFound(run, 'default-network-missing', 'it was')
    assertFound(run, 'daemon-not-ready', 'default network')
    put('10-primary.conflist', defaultList('cluster-net', 'primary'))
    await eventually(async () => assert.is(await scene.daemonText('/readyz'), 'ready'))
    assert.equal((await examine()).ids, ['default-network'])
  })
})

spec('plexus doctor where the daemon is gone', (it) => {
  let scene: DoctorScene

  it.before(async () => {
    scene = await doctorScene()
    scene.daemon.kill('SIGKILL')
    await scene.daemon.ended
  })

  it('the daemon that does not answer', async () => {
    const run = await scene.examine()
    assertFound(run, 'daemon-not-listening', 'ECONNREFUSED')
    assertFound(run, 'daemon-http-silent', 'ECONNREFUSED')
    assertFound(run, 'status-failed')
    assert.is(run.status, 1)
  })

  it('our list: mode, version, content, gone', async () => {
    const { conflist, examine, node } = scene
    const pinFile = join(node.stateDir, 'default-network.json')
    const [before, pin] = [readFileSync(conflist, 'utf8'), readFileSync(pinFile)]
    const list = JSON.parse(before) as { plugins: object[] }
    const plugins = [...list.plugins, { type: 'istio-cni' }]
    writeFileSync(conflist, JSON.stringify({ ...list, cniVersion: '0.4.0', plugins }))
    chmodSync(conflist, 0o644)
    writeFileSync(pinFile, '{"name":1}')
    const run = await examine({ args: ['--fix'] })
    assertFound(run, 'conflist-mode', 'root 0644')
    assertFound(run, 'conflist-version', '0.4.0')
    assertFound(run, 'default-plugin-missing', "needed by the runtime's list")
    assertFound(run, 'default-network-pin-damaged', pinFile)
    writeFileSync(pinFile, pin)
    writeFileSync(conflist, '{')
    assertFound(await examine(), 'conflist-invalid', conflist)
    assert.is(statSync(conflist).mode & 0o777, 0o600)
    rmSync(conflist)
    assertFound(await examine(), 'conflist-missing', node.confDir)
    writeOldFile(join(node.stateDir, 'uninstalling'))
    const leaving = await examine()
    assertFound(leaving, 'uninstalling')
    assert.not.ok(leaving.ids.includes('conflist-missing'))
    rmSync(join(node.stateDir, 'uninstalling'))
    writeFileSync(conflist, before, { mode: 0o600 })
  })

  it('the default network: a stand-in, a vendor that is not ready', async () => {
    const { examine, node, put } = scene
    const pinFile = join(node.stateDir, 'default-network.json')
    const before = readFileSync(pinFile, 'utf8')
    const path = join(node.confDir, '10-calico.conflist')
    const pin = { name: 'k8s-pod-network', type: 'calico', path, isKnown: true, beside: [] }
    writeFileSync(pinFile, JSON.stringify({ ...pin, standsInFor: { name: 'cluster-net', type: 'gone' } }))
    put('10-calico.conflist', { ...defaultList('k8s-pod-network', 'calico'), cniVersion: '0.3.1' })
    const run = await examine({
      before: 'if [ -d /var/lib/calico ]; then mount -t tmpfs none /var/lib/calico; fi',
    })
    assertFound(run, 'default-network-stand-in', 'cluster-net')
    assertFound(run, 'default-network-not-ready', '/var/lib/calico/nodename is missing')
    assert.match(run.finding('default-network')?.what ?? '', 'Calico')
    rmSync(path)
    writeFileSync(pinFile, before)
  })

  it('state: modes, lock files, leases; what is certain goes by --fix, what is not stays', async () => {
    const { examine, node } = scene
    const { stateDir, leaseDir } = node
    const { bridge } = node
    node.write(nad({ name: 'leased', config: bridge(81) }))
    const lock = join(stateDir, 'locks', 'container-of-long-ago')
    writeOldFile(lock)
    chmodSync(lock, 0o644)
    const lease = join(leaseDir, 'bridge-81', '10.81.0.7')
    const held = join(leaseDir, 'bridge-81', '10.81.0.8')
    const young = join(leaseDir, 'bridge-81', '10.81.0.9')
    writeOldFile(lease, 'container-of-long-ago\r\neth0')
    writeOldFile(held, 'container-of-today\r\neth0')
    mkdirSync(join(stateDir, 'sandboxes', 'container-of-today'), { recursive: true, mode: 0o700 })
    writeOldFile(young, 'container-of-now\r\neth0')
    const now = new Date()
    utimesSync(young, now, now)
    const empty = join(leaseDir, 'bridge-81', '10.81.0.10')
    writeOldFile(empty)
    // A container that was made since the boot may still be there, whoever made it.
    const bootedLongAgo = `printf 'btime 1\\n' > "$1/stat"; mount --bind "$1/stat" /proc/stat`
    const run = await examine({ args: ['--fix'], before: bootedLongAgo })
    assert.ok(existsSync(lease))
    assertFound(run, 'state-mode', 'root 0644')
    assertFound(run, 'lock-stale', lock)
    assertFound(run, 'lease-stale', lease)
    assert.not.match(JSON.stringify(run.finding('lease-stale')), /10\.81\.0\.[89]/)
    assert.match(JSON.stringify(run.finding('lease-stale')), `${empty}: written by halves`)
    assert.equal(run.finding('lease-stale')?.fixed, [`removed ${empty}`])
    const fixed = await examine({ args: ['--fix'] })
    assert.equal(fixed.finding('lease-stale')?.fixed, [`removed ${lease}`])
    assert.equal([lock, lease, held, young].map(existsSync), [false, false, true, true])
    const after = await examine()
    for (const id of ['state-mode', 'lock-stale', 'lease-stale']) assert.not.ok(after.ids.includes(id), id)
    removeManifest(node.manifests, 'leased')
  })

  it('leases: what is none is passed over, and one that was given away meanwhile stays', () => {
    const dir = tempDir('leases')
    const network = join(dir, 'net')
    const at = (name: string): string => join(network, name)
    mkdirSync(at('10.0.0.1'), { recursive: true })
    symlinkSync(at('10.0.0.4'), at('10.0.0.2'))
    writeFileSync(at('10.0.0.3'), 'x'.repeat(1000))
    for (const name of ['10.0.0.4', '10.0.0.5', '10.0.0.6']) writeOldFile(at(name), 'container-of-long-ago')
    const leases = leasesIn(dir)
    assert.equal(
      leases.map(({ path }) => path),
      ['10.0.0.4', '10.0.0.5', '10.0.0.6'].map(at),
    )
    rmSync(at('10.0.0.4'))
    rmSync(at('10.0.0.5'))
    writeFileSync(at('10.0.0.5'), 'container-of-now')
    assert.equal(freeLeases(leases), [`removed ${at('10.0.0.6')}`])
    assert.equal(
      leasesIn(dir).map(({ path, containerId }) => [path, containerId]),
      [[at('10.0.0.5'), 'container-of-now']],
    )
  })

  it('attachments: leaked, never ended, not undone, damaged, of a newer release', async () => {
    const stateDir = join(tempDir('records'), 'state')
    const network = { ifName: 'eth0', network: 'cluster', address: '10.0.0.5/24' }
    const record = (containerId: string, more: object = {}): string =>
      recordSandbox(stateDir, {
        ...{ containerId, pod: 'web/shop-1', networks: [network], time: '2020-01-01T00:00:00.000Z' },
        ...more,
      })
    record('leaked', { isNetnsGone: true })
    record('begun', { progress: 'started' })
    record('failed', { failedDels: 2 })
    const damaged = record('damaged')
    const flipped = readFileSync(damaged)
    flipped.writeUInt8(flipped.readUInt8(20) ^ 0xff, 20)
    writeFileSync(damaged, flipped)
    const newer = record('newer')
    const bytes = readFileSync(newer)
    bytes.writeUInt32BE(99, 4)
    writeFileSync(newer, bytes)
    mkdirSync(join(stateDir, 'damaged'), { mode: 0o700 })
    copyFileSync(record('other'), join(stateDir, 'damaged', 'aside-eth0-1577836800000'))
    const run = await scene.examine({ args: ['--state-dir', stateDir] })
    assertFound(run, 'attachment-leaked', 'pod web/shop-1, container leaked')
    assertFound(run, 'attachment-incomplete', 'container begun')
    assertFound(run, 'undo-pending', 'container failed')
    assertFound(run, 'journal-damaged', 'container damaged')
    assertFound(run, 'journal-kept-aside', 'aside-eth0')
    assertFound(run, 'journal-newer', 'container newer')
    assert.not.match(run.stdout, 'container other ')
  })

  it('at least 40 faults were injected and found by their names', () => {
    assert.ok(injected.size >= 40, [...injected].join(' '))
  })
})

function removeManifest(folder: string, name: string): void {
  rmSync(join(folder, `networkattachmentdefinition-default-${name}.json`))
}
