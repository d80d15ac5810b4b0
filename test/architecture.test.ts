import { globSync, readFileSync } from 'node:fs'
import { basename, dirname, join, posix } from 'node:path'
import * as assert from 'uvu/assert'
import { spec } from './spec.ts'

const root = join(import.meta.dirname, '..')

/** Rooms of `src/` and the rooms that each may import; the entry files above them may import all. */
const ROOMS: Readonly<Record<string, readonly string[]>> = {
  cni: [],
  config: ['cni'],
  network: ['cni'],
  plan: ['cni', 'config', 'network'],
  validation: ['cni', 'config', 'network', 'plan'],
  map: ['cni', 'network'],
  // Of plan only what a decision and a fact look like.
  executor: ['cni', 'plan'],
  journal: ['cni', 'executor'],
  store: ['cni', 'network'],
  engine: ['cni', 'config', 'network', 'plan', 'executor', 'journal', 'store'],
  daemon: ['cni', 'config', 'network', 'plan', 'executor', 'journal', 'store', 'engine', 'node'],
  node: ['cni', 'config', 'network', 'plan', 'executor', 'journal', 'store', 'engine'],
  webhook: ['cni', 'config', 'network', 'plan', 'validation', 'executor', 'journal', 'store', 'engine'],
  cli: [
    ...['cni', 'config', 'network', 'plan', 'executor', 'journal', 'store', 'engine'],
    ...['validation', 'map', 'daemon', 'node', 'webhook'],
  ],
}

/** Values in, values out: no I/O, clock, randomness, environment or log. */
const PURE_ROOMS = ['cni', 'config', 'network', 'plan', 'validation', 'map']
const EFFECTS =
  /\b(?:process\s*[.[]|globalThis\.|console\.|fetch\(|set(?:Timeout|Interval|Immediate)\(|Date\.now\(|new Date\(\)|performance\.|Math\.random\(|crypto\.)/

/** Files that belong to no room: where the process starts. */
const ENTRIES = ['src/entry.ts', 'src/main.ts']

/** Who may import a dependency: path prefixes. Anybody else asks the owner. */
const OWNERS: Readonly<Record<string, readonly string[]>> = {
  '@grpc/grpc-js': ['src/store/pod-resources-client.ts'],
  '@grpc/proto-loader': ['src/store/pod-resources-client.ts'],
  ajv: ['src/config/'],
  execa: ['src/executor/'],
  'ipaddr.js': ['src/cni/address.ts'],
  pino: ['src/cli/', 'src/daemon/', 'src/main.ts'],
  'prom-client': ['src/daemon/', 'src/webhook/'],
  yaml: ['src/store/', 'src/cli/', 'src/daemon/', 'src/validation/source-text.ts'],
  yargs: ['src/cli/'],
  '@kubernetes/client-node': ['src/store/'],
}

const VAGUE_NAMES =
  /^(?:utils?|helpers?|common|shared|misc|manager|types|index)\.ts$|-(?:utils?|helpers?|manager)\.ts$/
const LONGEST_FILE = 400

interface Source {
  /** From the repository's root, `src/cni/version.ts`. */
  readonly path: string
  readonly text: string
  /** Without comments. */
  readonly code: string
  readonly imports: readonly string[]
}

function readSources(pattern: string): Source[] {
  return globSync(pattern, { cwd: root })
    .filter((path) => !path.includes('fixtures/'))
    .sort()
    .map((path) => {
      const text = readFileSync(join(root, path), 'utf8')
      const code = text.replace(/\/\*[\s\S]*?\*\/|(?<![:'"`])\/\/.*$/gm, '')
      const imports = [
        ...code.matchAll(/(?:^(?:import|export|\}).*\bfrom |^import |\bimport\()'([^'\n]+)'/gm),
      ].map((match) => match[1] ?? '')
      return { path, text, code, imports }
    })
}

const sources = readSources('src/**/*.ts')
const roomOf = (path: string): string => path.split('/')[1] ?? ''
const isPure = ({ path }: Source): boolean => PURE_ROOMS.includes(roomOf(path))

/** Where a relative import leads, from the repository's root. */
function target(source: Source, specifier: string): string {
  return posix.join(dirname(source.path), specifier)
}

/** The package of a bare import: `yargs/helpers` → `yargs`, `@scope/name/x` → `@scope/name`. */
function packageOf(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')
}

spec('architecture', (it) => {
  it('every file of src is in a known room or is where the process starts', () => {
    assert.ok(sources.length > 0)
    const strays = sources.filter(
      ({ path }) => !ENTRIES.includes(path) && !Object.hasOwn(ROOMS, roomOf(path)),
    )
    assert.equal(
      strays.map(({ path }) => path),
      [],
    )
  })

  it('a room imports only rooms above it', () => {
    const faults: string[] = []
    for (const source of sources.filter(({ path }) => !ENTRIES.includes(path))) {
      const room = roomOf(source.path)
      for (const specifier of source.imports.filter((name) => name.startsWith('.'))) {
        const path = target(source, specifier)
        const allowed = path.startsWith('src/') && [room, ...(ROOMS[room] ?? [])].includes(roomOf(path))
        if (!allowed) faults.push(`${source.path} imports ${path}`)
      }
    }
    assert.equal(faults, [])
  })

  it('the pure rooms import nothing of Node', () => {
    const faults = sources
      .filter(isPure)
      .filter(({ imports }) => imports.some((specifier) => specifier.startsWith('node:')))
    assert.equal(
      faults.map(({ path }) => path),
      [],
    )
  })

  it('the pure rooms read no clock, environment or network and write no log', () => {
    const faults = sources.filter(isPure).flatMap(({ path, code }) => {
      const effect = EFFECTS.exec(code)
      return effect === null ? [] : [`${path}: ${effect[0]}`]
    })
    assert.equal(faults, [])
  })

  it('a dependency is imported by its owner only', () => {
    const faults: string[] = []
    for (const { path, imports } of sources) {
      for (const name of imports.filter((specifier) => !/^(?:\.|node:)/.test(specifier)).map(packageOf)) {
        if (!OWNERS[name]?.some((owner) => path.startsWith(owner))) faults.push(`${path} imports ${name}`)
      }
    }
    assert.equal(faults, [])
  })

  it('files are kebab-case nouns that say what is in them', () => {
    const faults = [...sources, ...readSources('test/**/*.ts'), ...readSources('scripts/*.ts')].filter(
      ({ path }) =>
        VAGUE_NAMES.test(basename(path)) || !/^[a-z0-9]+(?:-[a-z0-9]+)*(?:\.test)?\.ts$/.test(basename(path)),
    )
    assert.equal(
      faults.map(({ path }) => path),
      [],
    )
  })

  it(`no file of src is longer than ${LONGEST_FILE} lines`, () => {
    const faults = sources.filter(({ text }) => text.split('\n').length > LONGEST_FILE + 1)
    assert.equal(
      faults.map(({ path }) => path),
      [],
    )
  })

  it('no test hides others and every test file creates its suites through spec', () => {
    const faults = readSources('test/**/*.test.ts').filter(
      ({ code }) => /\.(?:only|skip)\(/.test(code) || !/\bspec\(/.test(code),
    )
    assert.equal(
      faults.map(({ path }) => path),
      [],
    )
  })
})
