import { execFile, spawn } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { CACHE_DIR, tempDir } from './temp-dir.ts'

const execFileAsync = promisify(execFile)
const PACKAGE = 'containernetworking-plugins'
const REFRESH_AFTER_MS = 30 * 24 * 3600 * 1000

/**
 * The directory of the distribution's own CNI plugins (CNI 1.0.0 on Debian stable), which setup installs.
 *
 * @throws When they are not there.
 */
export function debianPlugins(): string {
  for (const dir of ['/usr/lib/cni', '/usr/libexec/cni']) if (existsSync(join(dir, 'bridge'))) return dir
  throw new Error(`the CNI plugins are not installed: apt-get install ${PACKAGE} (npm run pretest does it)`)
}

/**
 * A directory of the current CNI plugins (CNI 1.1.0: STATUS), from Debian's newest suite: looked up, fetched
 * and unpacked below the user's cache without touching the machine's packages; fetched again after 30 days.
 * Several test processes may ask at once.
 *
 * @throws When they are not cached and cannot be fetched; says why.
 */
export async function currentPlugins(): Promise<string> {
  const base = join(CACHE_DIR, 'plugins')
  mkdirSync(base, { recursive: true, mode: 0o700 })
  const release = await lock(join(base, '.lock'))
  try {
    const cached = newestCached(base)
    if (cached !== undefined && Date.now() - statSync(cached).mtimeMs < REFRESH_AFTER_MS)
      return pluginDir(cached)
    try {
      return pluginDir(await fetchCurrent(base))
    } catch (error) {
      if (cached !== undefined) return pluginDir(cached)
      const reason = error instanceof Error ? error.message : String(error)
      throw new Error(`cannot fetch the current ${PACKAGE} from Debian sid: ${reason}`, { cause: error })
    }
  } finally {
    release()
  }
}

function pluginDir(root: string): string {
  return join(root, 'usr/lib/cni')
}

function newestCached(base: string): string | undefined {
  const complete = readdirSync(base)
    .map((version) => join(base, version))
    .filter((root) => existsSync(join(pluginDir(root), 'bridge')))
  return complete.sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs)[0]
}

async function fetchCurrent(base: string): Promise<string> {
  const work = tempDir('apt')
  const sources = join(work, 'sources.list')
  mkdirSync(join(work, 'lists/partial'), { recursive: true })
  mkdirSync(join(work, 'archives/partial'), { recursive: true })
  const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg'
  writeFileSync(sources, `deb [signed-by=${keyring}] ${await debianMirror()} sid main\n`)
  const options = [
    `Dir::Etc::sourcelist=${sources}`,
    'Dir::Etc::sourceparts=/dev/null',
    `Dir::State::lists=${join(work, 'lists')}`,
    `Dir::Cache=${work}`,
    'Dir::State::status=/dev/null',
    'APT::Sandbox::User=root',
    'Acquire::Languages=none',
    'Acquire::Retries=2',
  ].flatMap((option) => ['-o', option])
  await run('apt-get', [...options, 'update', '-qq'], work)
  await run('apt-get', [...options, 'download', '-qq', PACKAGE], work)
  const deb = readdirSync(work).find((name) => name.endsWith('.deb'))
  if (deb === undefined) throw new Error('apt-get download left no .deb file')
  const version = (await run('dpkg-deb', ['-f', join(work, deb), 'Version'], work)).trim()
  const target = join(base, version)
  if (!existsSync(target)) {
    // Beside its target, because a rename does not cross file systems.
    const unpacked = `${target}.unpacking`
    rmSync(unpacked, { recursive: true, force: true })
    await run('dpkg', ['-x', join(work, deb), unpacked], work)
    if (!existsSync(join(pluginDir(unpacked), 'bridge'))) throw new Error(`${deb} has no usr/lib/cni/bridge`)
    renameSync(unpacked, target)
  }
  await run('touch', [target], work)
  return target
}

/** The mirror that this machine's own apt sources use for Debian. */
async function debianMirror(): Promise<string> {
  const format = '$(REPO_URI)|$(LABEL)'
  const targets = (await run('apt-get', ['indextargets', '--format', format, 'Created-By: Packages'], '/'))
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.split('|'))
  const mirror =
    targets.find(([, label]) => label === 'Debian') ?? targets.find(([uri]) => /\/debian\/?$/.test(uri ?? ''))
  if (mirror?.[0] === undefined) throw new Error("none of this machine's apt sources is a Debian mirror")
  return mirror[0]
}

async function run(command: string, args: readonly string[], cwd: string): Promise<string> {
  const { stdout } = await execFileAsync(command, args, { cwd, timeout: 180_000, maxBuffer: 64 * 2 ** 20 })
  return stdout
}

/** Takes flock(2) on a file; the kernel gives it back should we die. */
function lock(file: string): Promise<() => void> {
  return new Promise((resolve, reject) => {
    const holder = spawn('flock', ['-w', '300', file, 'sh', '-c', 'echo held; cat'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    holder.once('error', reject)
    holder.once('exit', (status) => reject(new Error(`flock ${file} ended with status ${status}`)))
    holder.stdout.once('data', () => resolve(() => holder.stdin.end()))
  })
}
