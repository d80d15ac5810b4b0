import { execFile, spawn } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { CACHE_DIR, tempDir } from './temp-dir.ts'

const execFileAsync = promisify(execFile)
const REFRESH_AFTER_MS = 30 * 24 * 3600 * 1000

/** Packages that are looked into without being installed. */
export interface PackageTree {
  /** The first gives the tree its version; what they depend on is not fetched by itself. */
  readonly packages: readonly [string, ...string[]]
  /** Debian's suite, `bookworm` or `sid`. */
  readonly suite: string
  /** A file that has to be in the tree, `usr/bin/podman`. */
  readonly has: string
}

/**
 * The root of a folder in which packages of Debian are unpacked: looked up, fetched and unpacked below the
 * user's cache without touching the machine's packages; fetched again after 30 days. Several test processes may
 * ask at once.
 *
 * @throws When they are not cached and cannot be fetched; says why.
 */
export async function unpackedPackages(tree: PackageTree): Promise<string> {
  const [name] = tree.packages
  const base = join(CACHE_DIR, 'packages', `${tree.packages.join('+')}-${tree.suite}`)
  mkdirSync(base, { recursive: true, mode: 0o700 })
  const release = await lock(join(base, '.lock'))
  try {
    const cached = newestCached(base, tree)
    if (cached !== undefined && Date.now() - statSync(cached).mtimeMs < REFRESH_AFTER_MS) return cached
    try {
      return await fetchTree(base, tree)
    } catch (error) {
      if (cached !== undefined) return cached
      const reason = error instanceof Error ? error.message : String(error)
      throw new Error(`cannot fetch ${name} from Debian ${tree.suite}: ${reason}`, { cause: error })
    }
  } finally {
    release()
  }
}

function newestCached(base: string, { has }: PackageTree): string | undefined {
  const complete = readdirSync(base)
    .map((version) => join(base, version))
    .filter((root) => existsSync(join(root, has)))
  return complete.sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs)[0]
}

async function fetchTree(base: string, { packages, suite, has }: PackageTree): Promise<string> {
  const work = tempDir('apt')
  const sources = join(work, 'sources.list')
  mkdirSync(join(work, 'lists/partial'), { recursive: true })
  mkdirSync(join(work, 'archives/partial'), { recursive: true })
  const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg'
  writeFileSync(sources, `deb [signed-by=${keyring}] ${await debianMirror()} ${suite} main\n`)
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
  await run('apt-get', [...options, 'download', '-qq', ...packages], work)
  const debs = readdirSync(work).filter((name) => name.endsWith('.deb'))
  const first = debs.find((name) => name.startsWith(`${packages[0]}_`))
  if (first === undefined) throw new Error('apt-get download left no .deb file')
  const version = (await run('dpkg-deb', ['-f', join(work, first), 'Version'], work)).trim()
  const target = join(base, version)
  if (!existsSync(target)) {
    // Beside its target, because a rename does not cross file systems.
    const unpacked = `${target}.unpacking`
    rmSync(unpacked, { recursive: true, force: true })
    for (const deb of debs) await run('dpkg', ['-x', join(work, deb), unpacked], work)
    if (!existsSync(join(unpacked, has))) throw new Error(`${first} has no ${has}`)
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
