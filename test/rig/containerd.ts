import { execFile, execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { type CriClient, criClient } from './cri.ts'
import { unpackedPackages } from './debian-packages.ts'
import { createEnclosure, type EnclosedProcess, type Enclosure } from './enclosure.ts'
import type { Manifest } from './manifests.ts'
import { enterNetns, type Netns } from './netns.ts'
import { tempDir } from './temp-dir.ts'

const execFileAsync = promisify(execFile)
const IMAGE = 'localhost/pause:test'

/** Debian stable's, which setup installs, or the current one. */
export type ContainerdRelease = 'stable' | 'current'

/** How a containerd is set up. */
export interface ContainerdOptions {
  readonly release: ContainerdRelease
  /** The node's namespace: host ends of veths, bridges and rules land there. */
  readonly host: Netns
  readonly binDir: string
  readonly confDir: string
  /** Makes in the enclosure what the runtime has to find when it starts. */
  readonly prepare?: (enclosure: Enclosure) => Promise<void>
}

/** What the kubelet adds to a pod when it asks for a sandbox. */
interface SandboxOptions {
  /** Container port and host port. */
  readonly ports?: readonly (readonly [containerPort: number, hostPort: number])[]
  /** Counted up when the one before it is no more. */
  readonly attempt?: number
}

/** A pod's sandbox that runs. */
export interface Sandbox {
  readonly id: string
  /** The pod's addresses as the runtime tells the kubelet. */
  readonly ips: readonly string[]
  /** Its network namespace, as seen from outside the enclosure. */
  readonly netns: string
  /** Runs a program in it. */
  exec(command: string, args?: readonly string[]): Promise<string>
  /** Stops and removes it, as the kubelet does when a pod is deleted. */
  remove(): Promise<void>
  /** Ends its process and its network namespace behind the runtime's back: no DEL is called. */
  lose(): Promise<void>
}

/** A containerd of its own, in an {@link Enclosure}. */
export interface Containerd {
  readonly cri: CriClient
  readonly enclosure: Enclosure
  /** What `containerd --version` says. */
  readonly version: string
  /** Takes in an image from an archive. */
  importImage(archive: string): Promise<void>
  /** Creates a sandbox; rejects with the runtime's words, which have the plugin's. */
  run(pod: Manifest, options?: SandboxOptions): Promise<Sandbox>
  /** What the runtime says of a condition, `NetworkReady`. */
  condition(
    type: string,
  ): Promise<{ readonly status: boolean; readonly reason: string; readonly message: string }>
  /** Types of the plugins in the list that it uses for pods; it reads its folder a moment after a change. */
  plugins(): Promise<string[]>
  /** Ids of its sandboxes, those included that have no network. */
  sandboxes(): Promise<string[]>
  /** Stops and removes a sandbox. */
  remove(id: string): Promise<void>
  /** Names of the network namespaces that it has. */
  netns(): Promise<string[]>
  end(signal: NodeJS.Signals): Promise<void>
  /** Starts it anew after its end, on what it has left. */
  start(): Promise<void>
  /** As a machine that is switched off and on again: no process, mount or namespace is left, the disk is. */
  reboot(): Promise<void>
  /** Its log so far. */
  log(): string
  /** Removes all sandboxes and ends. */
  close(): Promise<void>
}

/** Starts a containerd and gives it an image for sandboxes. */
export async function startContainerd({
  release,
  host,
  binDir,
  confDir,
  prepare,
}: ContainerdOptions): Promise<Containerd> {
  const programs = await programsOf(release)
  const dir = tempDir('containerd')
  const socket = join(dir, 'containerd.sock')
  const logFile = join(dir, 'containerd.log')
  const config = join(dir, 'config.toml')
  writeFileSync(logFile, '')
  writeFileSync(config, { stable: stableConfig, current: currentConfig }[release](dir, binDir, confDir))
  let enclosure = await createEnclosure(host)
  await prepare?.(enclosure)
  const env = { PATH: `${programs}:/usr/sbin:/usr/bin:/sbin:/bin` }
  const cri = criClient(socket)
  const log = (): string => readFileSync(logFile, 'utf8')
  let running: EnclosedProcess | undefined
  const start = async (): Promise<void> => {
    const program = await enclosure.start(join(programs, 'containerd'), ['--config', config], {
      logFile,
      env,
    })
    running = program
    for (const end = Date.now() + 90_000; !(await isServing(cri)); await delay(50)) {
      if (program.isOver || Date.now() > end)
        throw new Error(`containerd is not ready: ${log().slice(-3000)}`)
    }
  }
  await start()
  const importImage = async (archive: string): Promise<void> => {
    const importing = ['--namespace', 'k8s.io', 'images', 'import', '--snapshotter', 'native']
    const local = release === 'current' ? ['--local'] : []
    await enclosure.run(join(programs, 'ctr'), ['--address', socket, ...importing, ...local, archive])
  }
  const image = join(dir, 'pause.tar')
  await writeImage(image)
  await importImage(image)

  const remove = async (id: string): Promise<void> => {
    await cri.call('StopPodSandbox', { pod_sandbox_id: id })
    await cri.call('RemovePodSandbox', { pod_sandbox_id: id })
  }
  const sandboxes = async (): Promise<string[]> => {
    const { items } = await cri.call('ListPodSandbox')
    return (items as { id: string }[]).map(({ id }) => id)
  }
  return {
    cri,
    get enclosure() {
      return enclosure
    },
    version: execFileSync(join(programs, 'containerd'), ['--version'], { encoding: 'utf8' }).trim(),
    log,
    start,
    importImage,
    async run({ metadata }, { ports = [], attempt = 0 } = {}) {
      const { name, namespace, uid = '', annotations = {} } = metadata
      const request = {
        metadata: { name, namespace, uid, attempt },
        hostname: name,
        annotations,
        port_mappings: ports.map(([container_port, host_port]) => ({
          protocol: 'TCP',
          container_port,
          host_port,
        })),
        linux: { cgroup_parent: `/${enclosure.cgroup}` },
      }
      const { pod_sandbox_id: id } = await cri.call('RunPodSandbox', { config: request })
      const { status, info } = await cri.call('PodSandboxStatus', { pod_sandbox_id: id, verbose: true })
      const { pid, runtimeSpec } = JSON.parse(info.info) as {
        pid: number
        runtimeSpec: { linux: { namespaces: { type: string; path?: string }[] } }
      }
      const { path = '' } = runtimeSpec.linux.namespaces.find(({ type }) => type === 'network') ?? {}
      const netns = join(enclosure.root, path.replace(/^\/var\/run/, '/run'))
      const { ip, additional_ips } = status.network as { ip: string; additional_ips: { ip: string }[] }
      return {
        id,
        ips: [ip, ...additional_ips.map((more) => more.ip)],
        netns,
        exec: async (command, args = []) =>
          (await execFileAsync(...enterNetns(netns, command, args), { timeout: 60_000 })).stdout,
        remove: () => remove(id),
        async lose() {
          await enclosure.run('/bin/sh', ['-c', `kill -9 ${pid}; umount ${path} && rm ${path}`])
        },
      }
    },
    async condition(wanted) {
      const { status } = await cri.call('Status')
      const conditions = status.conditions as {
        type: string
        status: boolean
        reason: string
        message: string
      }[]
      const found = conditions.find(({ type }) => type === wanted)
      if (found === undefined) throw new Error(`the runtime has no condition ${wanted}`)
      return found
    },
    async plugins() {
      const { info } = await cri.call('Status', { verbose: true })
      const { Networks: networks } = JSON.parse(info.cniconfig) as {
        Networks: { IFName: string; Config: { Plugins: { Network: { type: string } }[] } }[] | null
      }
      const pods = networks?.find(({ IFName: ifName }) => ifName === 'eth0')
      return (pods?.Config.Plugins ?? []).map(({ Network: network }) => network.type)
    },
    sandboxes,
    remove,
    netns: async () => (await enclosure.run('ls', ['/run/netns'])).split('\n').filter((name) => name !== ''),
    async end(signal) {
      await running?.end(signal)
      running = undefined
    },
    async reboot() {
      await enclosure.cut()
      running = undefined
      rmSync(join(dir, 'state'), { recursive: true, force: true })
      enclosure = await createEnclosure(host)
      await prepare?.(enclosure)
      await start()
    },
    async close() {
      if (running === undefined) await start()
      await Promise.all((await sandboxes()).map(remove))
      await running?.end('SIGTERM')
      cri.close()
    },
  }
}

/** The folder of `containerd`, `ctr` and the shim; `runc` is the machine's for each release. */
async function programsOf(release: ContainerdRelease): Promise<string> {
  if (release === 'current') {
    const root = await unpackedPackages({ packages: ['containerd'], suite: 'sid', has: 'usr/bin/containerd' })
    return join(root, 'usr/bin')
  }
  if (existsSync('/usr/bin/containerd')) return '/usr/bin'
  throw new Error(
    'containerd is not installed: apt-get install containerd runc (npm run test:runtime does it)',
  )
}

async function isServing(cri: CriClient): Promise<boolean> {
  try {
    await cri.call('Status')
    return true
  } catch {
    return false
  }
}

/** containerd 1.6 and 1.7. */
function stableConfig(dir: string, binDir: string, confDir: string): string {
  return `
version = 2
root = "${dir}/root"
state = "${dir}/state"
[grpc]
  address = "${dir}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${IMAGE}"
  restrict_oom_score_adj = true
  disable_tcp_service = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "${binDir}"
    conf_dir = "${confDir}"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "native"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
`
}

/** containerd 2. */
function currentConfig(dir: string, binDir: string, confDir: string): string {
  return `
version = 3
root = "${dir}/root"
state = "${dir}/state"
disabled_plugins = ["io.containerd.nri.v1.nri", "io.containerd.internal.v1.opt"]
[grpc]
  address = "${dir}/containerd.sock"
[plugins."io.containerd.cri.v1.images"]
  snapshotter = "native"
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = "${IMAGE}"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["${binDir}"]
    conf_dir = "${confDir}"
  [plugins."io.containerd.cri.v1.runtime".containerd]
    default_runtime_name = "runc"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      snapshotter = "native"
[plugins."io.containerd.grpc.v1.cri"]
  disable_tcp_service = true
`
}

/** An image that only sleeps, as an archive in Docker's format, which both releases import. */
async function writeImage(file: string): Promise<void> {
  const dir = tempDir('image')
  const rootfs = join(dir, 'rootfs')
  mkdirSync(join(rootfs, 'bin'), { recursive: true })
  copyFileSync('/bin/busybox', join(rootfs, 'bin/busybox'))
  symlinkSync('busybox', join(rootfs, 'bin/sleep'))
  await execFileAsync('tar', ['-C', rootfs, '-cf', join(dir, 'layer.tar'), '.'])
  const digest = createHash('sha256')
    .update(readFileSync(join(dir, 'layer.tar')))
    .digest('hex')
  const write = (name: string, content: object): void =>
    writeFileSync(join(dir, name), JSON.stringify(content))
  write('config.json', {
    architecture: process.arch === 'x64' ? 'amd64' : process.arch,
    os: 'linux',
    config: { Entrypoint: ['/bin/sleep', '2147483647'] },
    rootfs: { type: 'layers', diff_ids: [`sha256:${digest}`] },
  })
  write('manifest.json', [{ Config: 'config.json', RepoTags: [IMAGE], Layers: ['layer.tar'] }])
  await execFileAsync('tar', ['-C', dir, '-cf', file, 'manifest.json', 'config.json', 'layer.tar'])
}
