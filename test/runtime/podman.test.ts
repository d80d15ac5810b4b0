import { copyFileSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import process from 'node:process'
import * as assert from 'uvu/assert'
import { eventually, installDaemon } from '../rig/daemon.ts'
import { unpackedPackages } from '../rig/debian-packages.ts'
import { createEnclosure, type Enclosure } from '../rig/enclosure.ts'
import { PLEXUS } from '../rig/plexus.ts'
import { debianPlugins } from '../rig/plugin-dirs.ts'
import { journalFiles, leases } from '../rig/state-files.ts'
import { askPort, serveWord } from '../rig/tcp.ts'
import { tempDir } from '../rig/temp-dir.ts'
import { type TestNode, testNode } from '../rig/test-node.ts'
import { spec } from '../spec.ts'

/** podman of Debian stable, which has CNI beside its own networks, with the libraries it needs. */
const PODMAN = {
  packages: [
    'podman',
    'conmon',
    'libgpgme11',
    'libassuan0',
    'libsubid4',
    'libdevmapper1.02.1',
    'libglib2.0-0',
  ],
  suite: 'bookworm',
  has: 'usr/bin/podman',
} as const

/** Debian's folders of shared libraries on this machine. */
const MACHINE = { x64: 'x86_64', arm64: 'aarch64' }[process.arch as string] ?? process.arch
const LIBRARIES = [`usr/lib/${MACHINE}-linux-gnu`, `lib/${MACHINE}-linux-gnu`]

/** A node of podman. */
interface PodmanNode extends TestNode {
  readonly enclosure: Enclosure
  /** Of an image that only sleeps. */
  readonly rootfs: string
  podman(...args: string[]): Promise<string>
}

/**
 * A node where podman finds the plugin in a folder and has one network of it: a bridge with host ports, and another
 * bridge.
 */
async function podmanNode(node: TestNode, pluginDir: string): Promise<PodmanNode> {
  const root = await unpackedPackages(PODMAN)
  const enclosure = await createEnclosure(node.host)
  const dir = tempDir('podman')
  const rootfs = join(dir, 'rootfs')
  for (const folder of ['bin', 'etc', 'proc', 'dev', 'sys', 'run', 'tmp'])
    mkdirSync(join(rootfs, folder), { recursive: true })
  copyFileSync('/bin/busybox', join(rootfs, 'bin/busybox'))
  symlinkSync('busybox', join(rootfs, 'bin/sleep'))
  const { cniVersion: _, name: __, ...bridge } = node.bridge(90, { isDefaultGateway: true })
  const portmap = { type: 'portmap', capabilities: { portMappings: true } }
  const defaultNet = { cniVersion: '0.4.0', name: 'default-net', plugins: [bridge, portmap] }
  const plexus = {
    ...node.conf({ delegates: [defaultNet, node.bridge(91)] }),
    capabilities: { portMappings: true },
  }
  writeFileSync(
    join(node.confDir, '90-plexus.conflist'),
    JSON.stringify({ cniVersion: '0.4.0', name: 'plexus-net', plugins: [plexus] }),
  )
  const libraries = LIBRARIES.map((folder) => join(root, folder)).join(':')
  // podman gives it an environment of its own.
  const conmon = join(dir, 'conmon')
  writeFileSync(conmon, `#!/bin/sh\nLD_LIBRARY_PATH=${libraries} exec ${root}/usr/bin/conmon "$@"\n`, {
    mode: 0o755,
  })
  const config = join(dir, 'containers.conf')
  writeFileSync(
    config,
    `
[network]
network_backend = "cni"
network_config_dir = "${node.confDir}"
cni_plugin_dirs = ["${pluginDir}", "${debianPlugins()}"]
default_network = "plexus-net"
[engine]
cgroup_manager = "cgroupfs"
conmon_path = ["${conmon}"]
events_logger = "file"
runtime = "runc"
[containers]
log_driver = "k8s-file"
`,
  )
  const env = {
    PATH: `${root}/usr/bin:/usr/sbin:/usr/bin:/sbin:/bin`,
    LD_LIBRARY_PATH: libraries,
    CONTAINERS_CONF: config,
    HOME: dir,
  }
  const storage = ['--root', join(dir, 'root'), '--storage-driver', 'vfs']
  return {
    ...node,
    enclosure,
    rootfs,
    podman: (...args) => enclosure.run(join(root, 'usr/bin/podman'), [...storage, ...args], { env }),
  }
}

/** A container with a published port has its networks, and when it is gone nothing of it is left. */
async function assertServes({
  podman,
  enclosure,
  rootfs,
  host,
  stateDir,
  leaseDir,
}: PodmanNode): Promise<void> {
  const options = ['--name', 'Web_1', '--publish', '18080:80', '--cgroup-parent', `/${enclosure.cgroup}`]
  await podman('run', '--detach', ...options, '--rootfs', rootfs, '/bin/sleep', '1000')
  const [{ NetworkSettings: network }] = JSON.parse(await podman('inspect', 'Web_1'))
  assert.is(network.Networks['plexus-net'].IPAddress, '10.90.0.2')
  assert.is(journalFiles(stateDir).length, 1)
  assert.equal(leases(leaseDir), ['bridge-91/10.91.0.2', 'default-net/10.90.0.2'])
  const ask = (): Promise<string> => askPort(host.path, '10.90.0.1', 18080)
  const server = await serveWord(join(enclosure.root, network.SandboxKey), 80)
  assert.is(await ask(), 'here')
  server.close()
  await podman('rm', '--force', '--time', '0', 'Web_1')
  assert.is(await ask(), 'refused')
  assert.equal(leases(leaseDir), [])
  // A daemon removes a record after its answer.
  await eventually(() => assert.equal(journalFiles(stateDir), []))
}

spec('podman', (it) => {
  it('attaches a container through the shim and the daemon', async () => {
    const node = await testNode()
    const installation = installDaemon(node, { conf: { manifests: node.manifests } })
    const daemon = await installation.start()
    await assertServes(await podmanNode(node, dirname(installation.shim)))
    await eventually(() => assert.is(daemon.log().filter(({ msg }) => msg === 'request finished').length, 2))
    await daemon.stop()
  })

  it('attaches a container by the plugin alone, without a daemon', async () => {
    await assertServes(await podmanNode(await testNode(), dirname(PLEXUS)))
  })
})
