// Makes a fresh checkout ready for `npm test`, `npm run test:cluster`, `npm run test:runtime`, `npm run demo`,
// `npm run bench`, `npm run check`, `npm run build:binary` or `npm run build:image`, and is done in a moment when
// nothing is missing. Plain JavaScript without dependencies: it runs with the system's Node.js (18 or newer), before
// node_modules/ exists. Writes to stderr only.
import { spawnSync } from 'node:child_process'
import { accessSync, constants, existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))

/** Debian package → what must be there of it: a program, or a file by its absolute path. */
const PACKAGES = {
  'containernetworking-plugins': ['/usr/lib/cni/bridge', '/usr/lib/cni/host-local', '/usr/lib/cni/macvlan'],
  iproute2: ['ip', 'bridge', 'tc'],
  'util-linux': ['flock', 'nsenter', 'unshare'],
  iptables: ['iptables', 'ip6tables'],
  nftables: ['nft'],
  conntrack: ['conntrack'],
  'iputils-ping': ['ping'],
  // udhcpd, the DHCP server that answers the dhcp plugin's daemon.
  'busybox-static': ['busybox'],
  gcc: ['gcc'],
  'musl-tools': ['musl-gcc'],
  'libc6-dev': ['/usr/include/stdio.h'],
  openssl: ['openssl'],
  containerd: ['containerd', 'ctr'],
  runc: ['runc'],
}

/** What only some purposes need. */
const RUNTIME = ['containerd', 'runc']
const CLUSTER = ['openssl']

/** What each purpose needs of them. */
const PURPOSES = {
  test: Object.keys(PACKAGES).filter((name) => ![...RUNTIME, ...CLUSTER].includes(name)),
  cluster: Object.keys(PACKAGES).filter((name) => !RUNTIME.includes(name)),
  // One of its tests has an API server too.
  runtime: Object.keys(PACKAGES),
  demo: ['containernetworking-plugins', 'iproute2', 'util-linux', 'iptables', 'nftables', 'iputils-ping'],
  bench: [
    'containernetworking-plugins',
    'iproute2',
    'util-linux',
    'iptables',
    'gcc',
    'musl-tools',
    'libc6-dev',
  ],
  check: [],
  binary: [],
  image: ['gcc', 'musl-tools', 'libc6-dev'],
}

const PROGRAM_DIRS = [
  ...(process.env.PATH ?? '').split(':').filter((dir) => dir.startsWith('/')),
  '/usr/local/sbin',
  '/usr/local/bin',
  '/usr/sbin',
  '/usr/bin',
  '/sbin',
  '/bin',
]

const purpose = process.argv[2] === '--for' ? process.argv[3] : undefined
if (purpose === undefined || !Object.hasOwn(PURPOSES, purpose)) {
  fail(`usage: node scripts/setup.mjs --for ${Object.keys(PURPOSES).join('|')}`, 2)
}

installModules()
installPackages(PURPOSES[purpose])
if (!['check', 'binary', 'image'].includes(purpose)) buildBundle()
if (['cluster', 'runtime'].includes(purpose)) provideKubeApiserver()

function say(line) {
  process.stderr.write(`setup: ${line}\n`)
}

function fail(reason, status = 1) {
  say(reason)
  process.exit(status)
}

/** Runs a program with a time limit, all its output on our stderr. Whether it succeeded. */
function run(command, args, options = {}) {
  const { status, error } = spawnSync(command, args, {
    cwd: root,
    stdio: ['ignore', 2, 2],
    timeout: 900_000,
    killSignal: 'SIGKILL',
    ...options,
  })
  if (error !== undefined) say(`${command}: ${error.message}`)
  return status === 0
}

/** `npm ci`, unless node_modules/ is what package-lock.json asks for. It builds dist/ as well. */
function installModules() {
  if (areModulesCurrent()) return
  say('installing node_modules/ (npm ci)')
  // npm replaces node_modules/: it must not run on the Node.js that lives in there.
  const path = (process.env.PATH ?? '').split(':').filter((dir) => !dir.includes('node_modules/.bin'))
  const npm = ['ci', '--include=dev', '--no-audit', '--no-fund']
  if (!run('npm', npm, { env: { ...process.env, PATH: path.join(':') } }))
    fail('npm ci failed; its output is above')
  if (!existsSync(`${root}node_modules/node/bin/node`)) {
    fail(
      'npm ci left no Node.js in node_modules/node: its install script must be allowed to run (npm install-scripts ls)',
    )
  }
}

/** By content, not by time: a checkout touches the lock file without changing it. */
function areModulesCurrent() {
  try {
    accessSync(`${root}node_modules/node/bin/node`, constants.X_OK)
    const wanted = readLock('package-lock.json')
    const installed = readLock('node_modules/.package-lock.json')
    return Object.entries(wanted).every(
      ([path, { version, optional }]) =>
        path === '' || (installed[path]?.version ?? (optional ? version : undefined)) === version,
    )
  } catch {
    return false
  }
}

function readLock(file) {
  return JSON.parse(readFileSync(root + file, 'utf8')).packages
}

function isThere(item) {
  if (item.startsWith('/')) return existsSync(item)
  return PROGRAM_DIRS.some((dir) => {
    try {
      accessSync(`${dir}/${item}`, constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

/** @param {string[]} names keys of PACKAGES */
function installPackages(names) {
  const lacking = () => names.filter((name) => !PACKAGES[name].every(isThere))
  const missing = lacking()
  if (missing.length === 0) return
  const install = ['apt-get', 'install', '-y', '--no-install-recommends', ...missing]
  const what = missing.map(
    (name) => `  ${name}: ${PACKAGES[name].filter((item) => !isThere(item)).join(', ')}`,
  )
  if (!isThere('apt-get')) {
    fail(
      `missing here, with the name of the Debian package that has it:\n${what.join('\n')}\ninstall them with this system's package manager`,
    )
  }
  if (process.getuid?.() !== 0) fail(`missing here:\n${what.join('\n')}\nrun: sudo ${install.join(' ')}`)
  say(`installing ${missing.join(' ')}`)
  const options = { env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } }
  const bounds = [
    '-q',
    '-o',
    'DPkg::Lock::Timeout=300',
    '-o',
    'Acquire::Retries=3',
    '-o',
    'Acquire::http::Timeout=60',
  ]
  if (!run('apt-get', ['update', ...bounds], options))
    say('apt-get update failed; trying with the lists that are there')
  if (!run('apt-get', [...install.slice(1), ...bounds], options))
    fail('apt-get install failed; its output is above')
  const still = lacking()
  if (still.length > 0)
    fail(`installed, and yet not there: ${still.map((name) => PACKAGES[name].join(', ')).join(', ')}`)
}

/** Builds dist/ when a source is newer. */
function buildBundle() {
  const sources = ['src', 'scripts', 'native']
  const newest = Math.max(...[...sources, 'package-lock.json'].map((path) => newestTime(root + path)))
  const built = ['dist/main.cjs', ...(isThere('gcc') ? ['dist/native/plexus'] : [])].map(
    (path) => root + path,
  )
  if (built.every((path) => existsSync(path) && statSync(path).mtimeMs > newest)) return
  say('building dist/')
  if (!run(`${root}node_modules/node/bin/node`, ['scripts/build.ts']))
    fail('the build failed; its output is above')
  if (!run(`${root}node_modules/node/bin/node`, ['scripts/build-native.mjs']))
    fail('the shim does not compile; its output is above')
}

/** Builds the API server of the cluster tests, once for this machine; says why when it cannot. */
function provideKubeApiserver() {
  const script = `${root}scripts/kube-assets.sh`
  if (run(script, ['find'], { stdio: 'ignore' })) return
  if (process.env.KUBEBUILDER_ASSETS === undefined)
    say('building kube-apiserver from its Debian source, once for this machine (about 5 minutes)')
  if (!run(script, ['build'], { timeout: 3_600_000 }))
    fail('there is no kube-apiserver for the cluster tests; the reason is above')
}

/** Of a file, or of a folder with all that is in it (the folders' own times show what was removed). */
function newestTime(path) {
  const stats = statSync(path)
  if (!stats.isDirectory()) return stats.mtimeMs
  return Math.max(stats.mtimeMs, ...readdirSync(path).map((name) => newestTime(`${path}/${name}`)))
}
