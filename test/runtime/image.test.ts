import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import * as assert from 'uvu/assert'
import { packageVersion } from '../../src/cli/installation.ts'
import { eventually } from '../rig/daemon.ts'
import { deployedObject, withComponent } from '../rig/deployment.ts'
import { createEnclosure, type EnclosedProcess, type Enclosure } from '../rig/enclosure.ts'
import { buildImage, imageName, ownFolders } from '../rig/image.ts'
import { nad, pod, writeManifests } from '../rig/manifests.ts'
import { createNetns, type Netns } from '../rig/netns.ts'
import { debianPlugins } from '../rig/plugin-dirs.ts'
import { tempDir } from '../rig/temp-dir.ts'
import { spec } from '../spec.ts'

const OVERLAY = 'deploy/overlays/kubeadm'
const IMAGE = imageName(packageVersion())
/** By which a program knows that it is in a pod. */
const IN_POD = ['--env', 'KUBERNETES_SERVICE_HOST=10.96.0.1']
/** What ctr gives a container unless it is told not to. */
const DEFAULT_CAPABILITIES = [
  ...['CHOWN', 'DAC_OVERRIDE', 'FSETID', 'FOWNER', 'MKNOD', 'NET_RAW', 'SETGID', 'SETUID', 'SETFCAP'],
  ...['SETPCAP', 'NET_BIND_SERVICE', 'SYS_CHROOT', 'KILL', 'AUDIT_WRITE'],
]
// biome-ignore lint/suspicious/noExplicitAny: parts of a DaemonSet and of an image, looked at by tests.
type Parsed = any

/** A file of the archive's OCI layout. */
function readEntry(archive: string, path: string): Buffer {
  return execFileSync('tar', ['-xOf', archive, `./${path}`], { maxBuffer: 2 ** 30 })
}

/** A blob by its descriptor, whose size and digest it has. */
function readBlob(archive: string, { digest, size }: { digest: string; size: number }): Buffer {
  const content = readEntry(archive, `blobs/${digest.replace(':', '/')}`)
  assert.is(content.length, size)
  assert.is(`sha256:${createHash('sha256').update(content).digest('hex')}`, digest)
  return content
}

/** A node with a containerd that has the image, and the folders that the kubelet makes for the DaemonSet. */
interface ImageNode {
  readonly host: Netns
  readonly enclosure: Enclosure
  /** Runs a program on the node. */
  readonly run: Enclosure['run']
  /** Starts a container as the DaemonSet says; gives its id. */
  start(container: string, id?: string): Promise<string>
  /** Runs one to its end; gives what it printed, rejects when it fails. */
  complete(container: string): Promise<string>
  /** Runs the command line in a container that runs, as `kubectl exec` does. */
  exec(id: string, ...words: readonly string[]): Promise<string>
  /** Runs the command line in a container that has the node's root at `/host`, as `kubectl debug` does. */
  debug(...words: readonly string[]): Promise<string>
  /** Its process, as seen outside. */
  pidOf(id: string): Promise<number>
  log(id: string): string
  /** Sends SIGTERM, waits for the end and removes it; gives the exit status. */
  stop(id: string): Promise<number>
  close(): Promise<void>
}

async function imageNode(archive: string, folder = OVERLAY): Promise<ImageNode> {
  const host = await createNetns('image')
  await host.exec('ip', ['link', 'set', 'lo', 'up'])
  const enclosure = await createEnclosure(host)
  const dir = tempDir('containerd')
  const { template } = deployedObject('DaemonSet', folder).spec
  const { initContainers, containers, volumes } = template.spec as Parsed
  const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' }

  const { run } = enclosure
  const socket = join(dir, 'containerd.sock')
  const ctr = (...args: readonly string[]): Promise<string> =>
    run('ctr', ['--address', socket, '--namespace', 'k8s.io', ...args])

  writeFileSync(
    join(dir, 'config.toml'),
    [
      ...['version = 2', `root = "${dir}/root"`, `state = "${dir}/state"`],
      'disabled_plugins = ["io.containerd.grpc.v1.cri"]',
      ...['[grpc]', `address = "${socket}"`, ''],
    ].join('\n'),
  )
  await ownFolders(enclosure)
  const logFile = join(dir, 'containerd.log')
  const containerd: EnclosedProcess = await enclosure.start(
    'containerd',
    ['--config', join(dir, 'config.toml')],
    { logFile, env },
  )
  await eventually(async () => {
    if (containerd.isOver) throw new Error(readFileSync(logFile, 'utf8'))
    await ctr('version')
  }, 60_000)
  await ctr('images', 'import', '--snapshotter', 'native', archive)

  // What the kubelet puts in place of a ConfigMap and of a token.
  const config = join(dir, 'config')
  mkdirSync(config)
  const conf = deployedObject('ConfigMap', OVERLAY).data['daemon.yaml']
  writeFileSync(join(config, 'daemon.yaml'), `${conf}manifests: /etc/plexus/manifests\n`, { mode: 0o400 })
  writeManifests(
    join(config, 'manifests'),
    pod({ name: 'rich', networks: 'data' }),
    nad({ name: 'data', config: bridge('data', 'data0', '10.77.2.0/24') }),
  )
  for (const { hostPath } of volumes) if (hostPath !== undefined) await run('mkdir', ['-p', hostPath.path])

  const mounts = (wanted: readonly Parsed[]): string[] =>
    wanted.flatMap(({ name, mountPath, readOnly, mountPropagation }) => {
      const volume = volumes.find((one: { name: string }) => one.name === name)
      // Nothing of this test asks an API server.
      if (volume.projected !== undefined) return []
      const slave = mountPropagation === 'HostToContainer' ? ':rslave' : ''
      const options = `rbind:${readOnly === true ? 'ro' : 'rw'}${slave}`
      return [
        '--mount',
        `type=bind,src=${volume.hostPath?.path ?? config},dst=${mountPath},options=${options}`,
      ]
    })
  const command = (name: string, id: string): string[] => {
    const container = [...initContainers, ...containers].find((one) => one.name === name)
    const { image, args, volumeMounts, resources, securityContext, env: variables = [] } = container
    assert.is(securityContext.readOnlyRootFilesystem, true)
    assert.equal(securityContext.capabilities, { drop: ['ALL'] })
    const [, mebibytes] = /^(\d+)Mi$/.exec(resources.limits.memory) ?? []
    return [
      ...['--snapshotter', 'native', '--net-host', '--read-only', '--seccomp'],
      ...DEFAULT_CAPABILITIES.flatMap((capability) => ['--cap-drop', `CAP_${capability}`]),
      ...['--memory-limit', String(Number(mebibytes) * 1024 * 1024)],
      ...['--cgroup', `/${enclosure.cgroup}/${id}`],
      ...(variables as { name: string }[]).flatMap((variable) => ['--env', `${variable.name}=worker-1`]),
      // The daemon of this test asks no API server.
      ...(name === 'daemon' ? [] : IN_POD),
      ...mounts(volumeMounts),
      ...[image, id, '/usr/lib/plexus/dist/plexus-standalone', ...args],
    ]
  }
  let debugged = 0
  return {
    host,
    enclosure,
    run,
    exec: (id, ...words) => ctr('tasks', 'exec', '--exec-id', `exec-${++debugged}`, id, 'plexus', ...words),
    debug: (...words) =>
      ctr(
        ...['run', '--rm', '--snapshotter', 'native', '--net-host', '--read-only'],
        ...IN_POD,
        ...['--mount', 'type=bind,src=/,dst=/host,options=rbind:rw:rslave'],
        ...[IMAGE, `debug-${++debugged}`, 'plexus', ...words],
      ),
    async start(name, id = name) {
      await ctr('run', '--detach', '--log-uri', `file://${dir}/${id}.log`, ...command(name, id))
      return id
    },
    complete: (name) => ctr('run', '--rm', ...command(name, name)),
    async pidOf(id) {
      const line = (await ctr('tasks', 'list')).split('\n').find((one) => one.startsWith(`${id} `))
      const inside = line?.split(/ +/)[1]
      // In the enclosure a process has another number, which other enclosures have as well.
      const found = readdirSync('/proc').find((pid) => isProcess(pid, `\t${inside}\t1\n`))
      assert.ok(found !== undefined, `no process has number ${inside}`)
      return Number(found)
    },
    log: (id) => (existsSync(join(dir, `${id}.log`)) ? readFileSync(join(dir, `${id}.log`), 'utf8') : ''),
    async stop(id) {
      await ctr('tasks', 'kill', '--signal', 'SIGTERM', id)
      await eventually(
        async () => assert.match(await ctr('tasks', 'list'), new RegExp(`^${id} .*STOPPED`, 'm')),
        60_000,
      )
      const status = await ctr('tasks', 'delete', id).then(
        () => 0,
        ({ cause }: { cause: { code: number } }) => cause.code,
      )
      await ctr('containers', 'delete', id)
      return status
    },
    async close() {
      await containerd.end('SIGTERM')
    },
  }
}

/** Whether it is one of our containers' first processes, with these last numbers. */
function isProcess(pid: string, numbers: string): boolean {
  if (!/^\d+$/.test(pid)) return false
  try {
    const isOurs = readFileSync(`/proc/${pid}/cmdline`, 'utf8').startsWith('/usr/lib/plexus/dist/')
    return (
      isOurs &&
      /^NSpid:.*\n/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[0].endsWith(numbers) === true
    )
  } catch {
    // It has ended meanwhile.
    return false
  }
}

function bridge(name: string, link: string, subnet: string): object {
  const ipam = { type: 'host-local', dataDir: '/run/leases', ranges: [[{ subnet }]] }
  return { cniVersion: '1.0.0', name, type: 'bridge', bridge: link, ipam }
}

spec('the image', (it) => {
  let archive: string
  it.before(() => {
    archive = buildImage()
  })

  it('is an OCI archive of one image, whose parts are what their digests say', () => {
    assert.equal(JSON.parse(readEntry(archive, 'oci-layout').toString()), { imageLayoutVersion: '1.0.0' })
    const index = JSON.parse(readEntry(archive, 'index.json').toString()) as Parsed
    assert.is(index.manifests.length, 1)
    const [{ annotations, platform, ...descriptor }] = index.manifests
    assert.is(annotations['io.containerd.image.name'], IMAGE)
    const manifest = JSON.parse(readBlob(archive, descriptor).toString()) as Parsed
    const config = JSON.parse(readBlob(archive, manifest.config).toString()) as Parsed
    assert.equal({ architecture: config.architecture, os: config.os }, platform)
    assert.is(config.config.User, '0:0')
    assert.is(manifest.layers.length, 1)
    readBlob(archive, manifest.layers[0])
  })

  it('has the executable, the shim, their libraries and next to nothing else, all of it root’s', () => {
    const [descriptor] = (JSON.parse(readEntry(archive, 'index.json').toString()) as Parsed).manifests
    const [layer] = (JSON.parse(readBlob(archive, descriptor).toString()) as Parsed).layers
    const listing = execFileSync('tar', ['-tvzf', '-', '--numeric-owner', '--utc'], {
      input: readBlob(archive, layer),
      encoding: 'utf8',
      maxBuffer: 2 ** 30,
    })
    const lines = listing.trim().split('\n')
    for (const line of lines)
      assert.match(line, /^(drwxr-xr-x|-rw-r--r--|-rwxr-xr-x|lrwxrwxrwx) 0\/0 +\d+ 1970-01-01 00:00 /)
    const files = lines.filter((line) => !line.startsWith('d')).map((line) => line.split(/ +/)[5] ?? '')
    const own = files.filter((file) => !/^\.\/(usr\/)?lib(64)?\/(?!plexus)|\/copyright$/.test(file))
    assert.equal(own.sort(), [
      './etc/group',
      './etc/nsswitch.conf',
      './etc/passwd',
      './usr/bin/plexus',
      './usr/lib/plexus/LICENSE',
      './usr/lib/plexus/dist/native/plexus',
      './usr/lib/plexus/dist/plexus-standalone',
    ])
  })

  it('is the same to the last byte when it is built again', () => {
    assert.ok(readFileSync(buildImage()).equals(readFileSync(archive)))
  })

  it('in containerd, as the DaemonSet says: installs the shim, serves it, is replaced, all without privilege', async () => {
    const node = await imageNode(archive)
    const { run } = node
    await run('mkdir', ['/etc/cni/net.d'])
    await run('sh', ['-c', `cp ${debianPlugins()}/bridge ${debianPlugins()}/host-local /opt/cni/bin/`])
    const network = bridge('cluster-net', 'cluster0', '10.77.1.0/24')
    await run('sh', ['-c', 'cat >/etc/cni/net.d/10-cluster.conf'], { stdin: JSON.stringify(network) })

    await node.complete('install')
    const inBin = (name: string): string => join(node.enclosure.root, 'opt/cni/bin', name)
    assert.is(await run('/opt/cni/bin/plexus', ['--version']), `plexus ${packageVersion()}\n`)
    assert.is(statSync(inBin('plexus')).mode & 0o7777, 0o755)
    await node.complete('install')

    const ready = async (): Promise<void> => {
      const ask =
        "fetch('http://127.0.0.1:9097/readyz').then(async (answer) => console.log(await answer.text()))"
      assert.match(await run(process.execPath, ['-e', ask]), /^ready/)
    }
    const daemon = await node.start('daemon')
    await eventually(async () => {
      await ready().catch((error) => {
        throw new Error(`${String(error)}\n${node.log(daemon)}`)
      })
    }, 60_000)

    const pid = await node.pidOf(daemon)
    const status = readFileSync(`/proc/${pid}/status`, 'utf8')
    for (const set of ['Inh', 'Prm', 'Eff', 'Bnd', 'Amb'])
      assert.match(status, `Cap${set}:\t0000000000000000`)
    assert.match(status, /^NoNewPrivs:\t1$/m)
    assert.match(status, /^Seccomp:\t2$/m)
    assert.match(readFileSync(`/proc/${pid}/mountinfo`, 'utf8'), /^\S+ \S+ \S+ \S+ \/ ro[, ]/m)
    assert.is(statSync(join(node.enclosure.root, 'run/plexus')).mode & 0o7777, 0o700)

    const list = JSON.parse(
      await eventuallyGet(() => run('cat', ['/etc/cni/net.d/00-plexus.conflist'])),
    ) as Parsed
    const { plugins, name, cniVersion } = list
    const call = async (command: string, id: string): Promise<Parsed> => {
      const variables = {
        CNI_COMMAND: command,
        CNI_CONTAINERID: id,
        CNI_NETNS: `/run/netns/${id}`,
        CNI_IFNAME: 'eth0',
        CNI_PATH: '/opt/cni/bin',
        CNI_ARGS: 'IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=rich',
      }
      const words = Object.entries(variables).map(([key, value]) => `${key}=${value}`)
      const stdin = JSON.stringify({ ...plugins[0], name, cniVersion })
      return await run('env', [...words, '/opt/cni/bin/plexus'], { stdin })
    }
    const add = async (id: string): Promise<void> => {
      await run('ip', ['netns', 'add', id])
      const result = JSON.parse(await call('ADD', id)) as Parsed
      const addresses = result.ips.map(({ address }: { address: string }) => address.replace(/\.\d+\//, '/'))
      assert.equal(addresses, ['10.77.1/24', '10.77.2/24'])
    }
    await add('first')

    // The one that takes over runs beside it for a while, as with maxSurge.
    const next = await node.start('daemon', 'next')
    await eventually(() => assert.match(node.log(next), 'daemon is ready'), 60_000)
    await eventually(() => assert.match(node.log(daemon), 'another daemon has taken over'), 60_000)
    assert.is(await node.stop(daemon), 0)
    await eventually(ready, 60_000)
    await add('second')
    // CIS asks for 600 of conf files and for root as their owner.
    const own = '/etc/cni/net.d/00-plexus.conflist /opt/cni/bin/plexus.shim /run/plexus /var/lib/cni/plexus/*'
    const found = await run('sh', ['-c', `find ${own} -printf '%m %U:%G %y %p\\n'`])
    const entries = found.trim().split('\n')
    assert.ok(entries.length > 8, found)
    assert.equal(
      entries.filter((entry) => !/^(600 0:0 [fs]|700 0:0 d) /.test(entry)),
      [],
    )
    for (const id of ['first', 'second']) {
      await call('DEL', id)
      await run('ip', ['netns', 'del', id])
    }
    // A daemon removes a record after its answer.
    const left = 'ls /var/lib/cni/plexus/sandboxes; ls /run/leases/*/10.*; true'
    await eventually(async () => assert.is(await run('sh', ['-c', left]), ''))

    const keeper = await node.start('keep-shim')
    await run('rm', ['/opt/cni/bin/plexus'])
    await eventually(() => assert.ok(existsSync(inBin('plexus'))), 60_000)
    await node.stop(keeper)
    assert.is(await node.stop(next), 0)
    assert.ok(existsSync(join(node.enclosure.root, 'etc/cni/net.d/00-plexus.conflist')))
    await node.close()
  })

  it('its commands need nothing that it lacks: it replaces Multus, doctors and uninstalls in containers', async () => {
    const node = await imageNode(archive, withComponent(OVERLAY, 'deploy/components/replace-multus'))
    const { run } = node
    const write = (path: string, value: object): Promise<string> =>
      run('sh', ['-c', 'cat >"$0"', path], { stdin: JSON.stringify(value) })
    const listing = (): Promise<string> =>
      run('sh', ['-c', "find /etc/cni /opt/cni /var/lib/cni -type f -printf '%p %m %s\\n' | sort"])
    await run('sh', ['-c', 'mkdir -p /etc/cni/net.d /var/lib/cni/multus/results /var/lib/cni/results'])
    await run('sh', ['-c', `cp ${debianPlugins()}/bridge ${debianPlugins()}/host-local /opt/cni/bin/`])
    await run('sh', ['-c', '>/opt/cni/bin/multus-shim; chmod 755 /opt/cni/bin/multus-shim'])
    const network = bridge('cluster-net', 'cluster0', '10.77.1.0/24')
    await write('/etc/cni/net.d/10-cluster.conf', network)
    const multus = { cniVersion: '0.3.1', name: 'multus-cni-network', type: 'multus-shim' }
    await write('/etc/cni/net.d/00-multus.conf', multus)
    const before = await listing()
    const call = (command: string, plugin: string, conf: object): Promise<string> => {
      const words = [`CNI_COMMAND=${command}`, 'CNI_CONTAINERID=old', 'CNI_NETNS=/run/netns/old']
      const path = ['CNI_IFNAME=eth0', 'CNI_PATH=/opt/cni/bin']
      return run('env', [...words, ...path, `/opt/cni/bin/${plugin}`], { stdin: JSON.stringify(conf) })
    }
    await run('ip', ['netns', 'add', 'old'])
    const result: unknown = JSON.parse(await call('ADD', 'bridge', network))
    const base64 = Buffer.from(JSON.stringify(network)).toString('base64')
    await write('/var/lib/cni/multus/old', [
      { Conf: network, ConfList: {}, Name: 'cluster-net', Bytes: base64 },
    ])
    await write('/var/lib/cni/multus/results/cluster-net-old-eth0', {
      ...{
        kind: 'cniCacheV1',
        containerId: 'old',
        config: base64,
        ifName: 'eth0',
        networkName: 'cluster-net',
      },
      ...{ netns: '/run/netns/old', result },
      cniArgs: [
        ['K8S_POD_NAMESPACE', 'default'],
        ['K8S_POD_NAME', 'rich'],
      ],
    })

    await node.complete('install')
    const keeper = await node.start('keep-shim')
    const said = (words: string): Promise<void> =>
      eventually(() => assert.match(node.log(keeper), words), 60_000)
    await said('adopted 1 pods: default/rich')
    const daemon = await node.start('daemon')
    await said("Multus's file is now /etc/cni/net.d/00-multus.conf.before-plexus")
    assert.match(await node.exec(keeper, 'list'), /default\/rich\b.*\blive\b/)
    const unseen = await node.debug('list', '--state-dir', '/host/var/lib/cni/plexus')
    assert.match(unseen, /default\/rich\b.*\blive\b/)

    const stale = '/var/lib/cni/plexus/locks/gone'
    await run('touch', ['-d', '1 hour ago', stale])
    assert.match(await node.exec(daemon, 'doctor', '--fix'), `Fixed: removed ${stale}`)
    assert.not.match(await node.exec(daemon, 'doctor'), 'lock-stale')

    const uninstall = ['uninstall', '--root', '/host']
    const list = JSON.parse(await run('cat', ['/etc/cni/net.d/00-plexus.conflist'])) as Parsed
    const unfinished = await node.debug(...uninstall).then(String, ({ message }: Error) => message)
    assert.match(unfinished, 'put back /host/etc/cni/net.d/00-multus.conf')
    assert.match(unfinished, /default\/rich .* it is not undone yet/)
    const { plugins, name, cniVersion } = list
    await call('DEL', 'plexus', { ...plugins[0], name, cniVersion })
    assert.is(await run('sh', ['-c', 'ls /run/leases/*/10.*; true']), '')
    for (const id of [daemon, keeper]) assert.is(await node.stop(id), 0)
    assert.match(await node.debug(...uninstall), 'Plexus is not on this node any more')
    assert.is(await listing(), before)
    // Made by the kubelet, for the DaemonSet.
    for (const folder of ['/var/lib/cni/plexus', '/run/plexus', '/run/k8s.cni.cncf.io'])
      assert.not.ok(existsSync(join(node.enclosure.root, folder)), folder)
    await run('ip', ['netns', 'del', 'old'])
    await node.close()
  })
})

async function eventuallyGet(get: () => Promise<string>): Promise<string> {
  let got = ''
  await eventually(async () => {
    got = await get()
  }, 60_000)
  return got
}
