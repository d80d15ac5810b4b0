// Puts the packages for other platforms back into package-lock.json. npm leaves out an optional
// dependency that its registry does not serve, as some mirrors do not for other platforms than their
// own, and then `npm ci` refuses the lock file everywhere. Run it after `npm install PACKAGE`:
//   node scripts/lock-platforms.mjs
import { readFileSync, writeFileSync } from 'node:fs'

const file = new URL('../package-lock.json', import.meta.url)

const SYSTEMS = [
  'aix',
  'android',
  'darwin',
  'freebsd',
  'linux',
  'netbsd',
  'openbsd',
  'openharmony',
  'sunos',
  'win32',
]
const PROCESSORS = [
  'arm',
  'arm64',
  'ia32',
  'loong64',
  'mips64el',
  'ppc64',
  'riscv64',
  's390x',
  'wasm32',
  'x64',
]

/** What npm compares with the machine, from a name such as `@esbuild/linux-arm64-musl`. */
function platform(name) {
  const words = name.split(/[/-]/)
  const pick = (known) => known.filter((word) => words.includes(word))
  const libc = words.some((word) => word.startsWith('musl'))
    ? ['musl']
    : words.includes('gnu')
      ? ['glibc']
      : []
  return Object.fromEntries(
    Object.entries({ cpu: pick(PROCESSORS), libc, os: pick(SYSTEMS) }).filter(
      ([, values]) => values.length > 0,
    ),
  )
}

const lock = JSON.parse(readFileSync(file, 'utf8'))
const added = []
for (const [path, { dev, optionalDependencies = {} }] of Object.entries(lock.packages)) {
  for (const [name, version] of Object.entries(optionalDependencies)) {
    const wanted = `node_modules/${name}`
    if (Object.hasOwn(lock.packages, `${path}/${wanted}`) || Object.hasOwn(lock.packages, wanted)) continue
    const limits = platform(name)
    // Without any, npm would try to install it here.
    if (Object.keys(limits).length === 0 || !/^\d/.test(version))
      throw new Error(`for which platform is ${name}?`)
    lock.packages[wanted] = { version, ...limits, ...(dev ? { dev } : {}), optional: true }
    added.push(wanted)
  }
}
const sorted = Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1))
lock.packages = Object.fromEntries(sorted)
writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`)
process.stderr.write(`${added.length} added\n`)
