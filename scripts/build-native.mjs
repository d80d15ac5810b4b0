// Builds the native shim: dist/native/plexus. Plain JavaScript without dependencies. Without a C compiler
// there is no shim, which is no error: the standalone plugin serves. Exits 1 when the sources do not compile.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const native = `${root}native/`
const outdir = `${root}dist/native/`
const { version } = JSON.parse(readFileSync(`${root}package.json`, 'utf8'))

const sources = readdirSync(native)
  .filter((name) => name.endsWith('.c') && name !== 'fuzz.c')
  .sort()
  .map((name) => native + name)

const FLAGS = [
  ...['-std=c11', '-D_GNU_SOURCE', '-O2', '-Wall', '-Wextra', '-Werror'],
  ...['-fstack-protector-strong', '-D_FORTIFY_SOURCE=2', '-ffunction-sections', '-fdata-sections'],
  ...['-Wl,--gc-sections', '-Wl,-z,relro,-z,now', '-Wl,-z,noexecstack', '-s'],
  `-DPLEXUS_VERSION="${version}"`,
]

/** Ways to link, the best first; each result is run once before it is taken. */
function* waysToLink() {
  const musl = [process.arch === 'arm64' ? 'aarch64' : 'x86_64'].flatMap((machine) => [
    `/usr/lib/${machine}-linux-musl/`,
    '/usr/local/musl/lib/',
    '/usr/lib/musl/lib/',
  ])
  const lib = musl.find((dir) => existsSync(`${dir}rcrt1.o`))
  // musl-gcc knows no -static-pie: this is what it would mean.
  if (lib !== undefined) {
    const start = ['-fPIE', '-static', '-nostartfiles', '-Wl,-pie,--no-dynamic-linker,-z,text']
    yield ['musl-gcc', [...start, `${lib}rcrt1.o`, `${lib}crti.o`, ...sources, `${lib}crtn.o`]]
  }
  yield ['musl-gcc', ['-static', ...sources]]
  yield ['cc', ['-fPIE', '-static-pie', ...sources]]
  yield ['cc', ['-static', ...sources]]
}

const output = `${outdir}plexus`
const temporary = `${outdir}.plexus.${process.pid}`
mkdirSync(outdir, { recursive: true })
let lastError = ''
let isBuilt = false
for (const [compiler, args] of waysToLink()) {
  const { status, error, stderr } = spawnSync(compiler, [...FLAGS, '-o', temporary, ...args], {
    encoding: 'utf8',
  })
  if (error !== undefined) continue
  if (status !== 0) {
    lastError = stderr
    continue
  }
  if (spawnSync(temporary, ['--version']).status !== 0) continue
  renameSync(temporary, output)
  isBuilt = true
  process.stderr.write(
    `built dist/native/plexus with ${compiler}, ${Math.ceil(statSync(output).size / 1024)} KiB\n`,
  )
  break
}
rmSync(temporary, { force: true })
if (!isBuilt && lastError !== '') {
  process.stderr.write(`${lastError}the shim does not compile\n`)
  process.exitCode = 1
} else if (!isBuilt) {
  process.stderr.write('no C compiler: dist/native/plexus is not built (install musl-tools and gcc for it)\n')
}
