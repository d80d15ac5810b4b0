import { spawn } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { dirname, join } from 'node:path'
import type { JsonObject } from '../../src/cni/json.ts'
import { toJsonObject } from '../../src/cni/json.ts'
import { ask, eventually, type Installation, installDaemon, type TestDaemon } from '../rig/daemon.ts'
import { nad } from '../rig/manifests.ts'
import { PLEXUS } from '../rig/plexus.ts'
import { type StubPlugin, stubPlugin } from '../rig/stub.ts'
import { tempDir } from '../rig/temp-dir.ts'
import { type TestNode, testNode } from '../rig/test-node.ts'
import { defaultList } from './keeper.ts'

/** What `plexus doctor -o json` said. */
export interface DoctorRun {
  readonly status: number | undefined
  readonly stdout: string
  readonly stderr: string
  readonly findings: readonly DoctorRunFinding[]
  readonly ids: readonly string[]
  /** The finding of this name, the first one. */
  finding(id: string): DoctorRunFinding | undefined
}

interface DoctorRunFinding {
  readonly id: string
  readonly severity: string
  readonly what: string
  readonly evidence: readonly string[]
  readonly fix: string | null
  readonly fixed: readonly string[]
}

/** A node with everything that the doctor looks at. */
export interface DoctorScene {
  readonly node: TestNode
  readonly installation: Installation
  readonly daemon: TestDaemon
  readonly binDir: string
  /** The runtime's list of ours. */
  readonly conflist: string
  readonly primary: StubPlugin
  readonly extra: StubPlugin
  /** Puts a file into the conf folder, whole at once. */
  put(name: string, content: unknown): string
  /** What an HTTP endpoint of the daemon says. */
  daemonText(path: string): Promise<string>
  /** Runs the doctor, in a mount namespace of its own where nothing of the test machine's own state is seen. */
  examine(options?: ExamineOptions): Promise<DoctorRun>
}

interface ExamineOptions {
  readonly args?: readonly string[]
  /** Shell commands before it, in its mount namespace; `$1` is a folder for their files. */
  readonly before?: string
  readonly format?: 'json' | 'yaml' | 'table'
}

/** Settings that a healthy kernel has, whatever the test machine's are. */
const SETTINGS: Readonly<Record<string, string>> = {
  'net/ipv4/ip_forward': '1',
  'net/ipv4/conf/all/rp_filter': '2',
  'fs/inotify/max_user_instances': '512',
  'fs/inotify/max_user_watches': '65536',
}

/** A node with a daemon that has written the runtime's list, a default network and a NAD. */
export async function doctorScene(): Promise<DoctorScene> {
  const node = await testNode('doctor')
  const { confDir, manifests, stateDir } = node
  const port = await freePort()
  const installation = installDaemon(node, {
    conf: {
      ...{ installConflist: true, conflistDir: confDir, confDir, manifests, runtimeCniVersion: '1.0.0' },
      metricsAddress: `127.0.0.1:${port}`,
    },
  })
  const binDir = dirname(installation.shim)
  const primary = stubPlugin(binDir, 'primary')
  const extra = stubPlugin(binDir, 'extra')
  // Stubs are links to one file of all tests: no mode of that may be changed.
  copyFileSync(extra.path, `${extra.path}.own`)
  renameSync(`${extra.path}.own`, extra.path)
  node.write(nad({ name: 'n6', config: { cniVersion: '1.0.0', name: 'n6', type: 'extra' } }))
  const put = (name: string, content: unknown): string => {
    const path = join(confDir, name)
    writeFileSync(`${path}.aside`, typeof content === 'string' ? content : JSON.stringify(content))
    renameSync(`${path}.aside`, path)
    return path
  }
  put('10-primary.conflist', defaultList('cluster-net', 'primary'))
  const daemon = await installation.start()
  const conflist = join(confDir, '00-plexus.conflist')
  await eventually(() => {
    if (!existsSync(conflist)) throw new Error(`no list: ${daemon.lines().join('\n')}`)
  })
  const daemonText = async (path: string): Promise<string> =>
    await (await ask(`http://127.0.0.1:${port}${path}`)).text().then((text) => text.trim())
  const settings = Object.entries(SETTINGS).map(
    ([name, value]) =>
      `printf ${value} > "$1/${name.replaceAll('/', '.')}"; mount --bind "$1/${name.replaceAll('/', '.')}" /proc/sys/${name}`,
  )
  const plain = [
    'doctor',
    ...['--config', installation.confFile, '--bin-dir', binDir, '--conf-dir', confDir],
    ...['--state-dir', stateDir],
  ]
  return {
    ...{ node, installation, daemon, binDir, conflist, primary, extra, put, daemonText },
    async examine({ args = [], before = '', format = 'json' } = {}) {
      const folder = tempDir('examined')
      const script = [
        'set -e',
        'if [ -d /var/lib/cni ]; then mount -t tmpfs none /var/lib/cni; fi',
        ...settings,
        before,
        'folder=$1; shift; exec "$@"',
      ].join('\n')
      const command = [PLEXUS, ...withDefaults(plain, args), '-o', format]
      const run = await runIn('unshare', ['-m', 'sh', '-c', script, 'sh', folder, ...command])
      const document = (toJsonObject(run.stdout) ?? {}) as JsonObject & { findings?: DoctorRunFinding[] }
      const { findings = [] } = document
      return {
        ...run,
        findings,
        ids: findings.map(({ id }) => id),
        finding: (id) => findings.find((one) => one.id === id),
      }
    },
  }
}

/** An option that is given replaces the usual one. */
function withDefaults(plain: readonly string[], args: readonly string[]): string[] {
  const [command = '', ...options] = plain
  const kept: string[] = []
  for (let index = 0; index < options.length; index += 2) {
    const [name = '', value = ''] = options.slice(index, index + 2)
    if (!args.includes(name)) kept.push(name, value)
  }
  return [command, ...kept, ...args]
}

function runIn(
  program: string,
  args: readonly string[],
): Promise<Pick<DoctorRun, 'status' | 'stdout' | 'stderr'>> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: 60_000,
      killSignal: 'SIGKILL',
    })
    let [stdout, stderr] = ['', '']
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text
    })
    child.once('error', reject)
    child.once('close', (status) => resolve({ status: status ?? undefined, stdout, stderr }))
  })
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** Writes a file that is so old that nobody can still be at work on it. */
export function writeOldFile(path: string, text = ''): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  rmSync(path, { force: true })
  writeFileSync(path, text, { mode: 0o600 })
  utimesSync(path, new Date('2001-01-01'), new Date('2001-01-01'))
}
