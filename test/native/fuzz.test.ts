import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, globSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import * as assert from 'uvu/assert'
import { decodeFrame, MAX_FRAME_BYTES } from '../../src/executor/frame.ts'
import { decodeJournal } from '../../src/journal/format.ts'
import { ROOT } from '../rig/plexus.ts'
import { tempDir } from '../rig/temp-dir.ts'
import { spec } from '../spec.ts'
import { corpus } from './corpus.ts'

const CORPUS = join(ROOT, 'native/corpus')
const MUTATIONS = Number(process.env.PLEXUS_FUZZ_COUNT ?? 60_000)

/** Included by fuzz.c, or the program's own start. */
const NOT_LINKED = ['main.c', 'replay.c', 'routes.c', 'session.c']

/** Compiles native/fuzz.c with the sanitizers. */
function builtFuzzer(): string {
  const output = join(tempDir('fuzz'), 'fuzz')
  const sources = globSync('native/*.c', { cwd: ROOT }).filter((path) => !NOT_LINKED.includes(basename(path)))
  const checks = ['-fsanitize=address,undefined', '-fno-sanitize-recover=all']
  const flags = ['-std=c11', '-D_GNU_SOURCE', '-g', '-O1', '-Wall', '-Wextra', '-Werror']
  execFileSync('gcc', [...flags, ...checks, '-o', output, ...sources], {
    cwd: ROOT,
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  return output
}

/** The same line as `fuzz show` prints. */
function show(bytes: Buffer): string {
  const fieldsOf = ({ kind, fields }: { kind: number; fields: readonly Buffer[] }): string =>
    ` ${[kind, ...fields.map(({ length }) => length)].join(':')}`
  if (bytes.subarray(0, 4).toString() === 'PLXJ') {
    const journal = decodeJournal(bytes)
    if (journal.state === 'newer') return 'newer 0'
    return `${journal.state}${journal.frames.map(fieldsOf).join('')} ${journal.lengthBytes}`
  }
  let line = 'frames'
  for (let at = 0; ; ) {
    if (bytes.length - at < 4) return `${line} end`
    const length = bytes.readUInt32BE(at)
    if (length < 1 || length > MAX_FRAME_BYTES) return `${line} wrong`
    if (bytes.length - at - 4 < length) return `${line} end`
    const frame = decodeFrame(bytes.subarray(at + 4, at + 4 + length))
    if (frame === undefined) return `${line} wrong`
    line += fieldsOf(frame)
    at += 4 + length
  }
}

spec('shim: what it reads', (it) => {
  const fuzzer = builtFuzzer()
  const files = (): string[] =>
    readdirSync(CORPUS)
      .sort()
      .map((name) => join(CORPUS, name))

  it('the corpus is what TypeScript writes', () => {
    if (process.env.PLEXUS_WRITE_CORPUS !== undefined) {
      mkdirSync(CORPUS, { recursive: true })
      for (const [name, bytes] of corpus()) writeFileSync(join(CORPUS, name), bytes)
    }
    for (const [name, bytes] of corpus()) {
      assert.ok(existsSync(join(CORPUS, name)), `${name}: write the corpus with PLEXUS_WRITE_CORPUS=1`)
      assert.ok(readFileSync(join(CORPUS, name)).equals(bytes), name)
    }
  })

  it('C and TypeScript read the same out of each file of the corpus, and out of each piece of it', () => {
    const dir = tempDir('pieces')
    const pieces = [...files()]
    for (const file of files()) {
      const bytes = readFileSync(file)
      for (let size = 0; size < bytes.length && size < 400; size += 7) {
        const path = join(dir, `${basename(file)}-${size}`)
        writeFileSync(path, bytes.subarray(0, size))
        pieces.push(path)
      }
    }
    for (let at = 0; at < pieces.length; at += 250) {
      const some = pieces.slice(at, at + 250)
      const lines = execFileSync(fuzzer, ['show', ...some], { encoding: 'utf8' })
        .trimEnd()
        .split('\n')
      assert.is(lines.length, some.length)
      for (const [index, path] of some.entries()) assert.is(lines[index], show(readFileSync(path)), path)
    }
  })

  it(`${MUTATIONS} mutations break nothing`, () => {
    const log = join(tempDir('log'), 'sanitizer')
    const options = `log_path=${log}:detect_leaks=0:allocator_may_return_null=1`
    const { status, stdout } = spawnSync(fuzzer, ['run', '1', String(MUTATIONS), ...files()], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      env: { ASAN_OPTIONS: options, UBSAN_OPTIONS: `log_path=${log}:print_stacktrace=1` },
      timeout: 50_000,
    })
    const reports = globSync(`${log}.*`).map((path) => readFileSync(path, 'utf8'))
    assert.is(status, 0, reports.join('\n').slice(0, 4000))
    assert.match(stdout, `${MUTATIONS} mutations`)
  })
})
