import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { spec } from './spec.ts'

const guards = join(import.meta.dirname, 'fixtures/guard')

function run(
  fixture: string,
  ...args: string[]
): { status: number | null; output: string; lastLine: string } {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [join(import.meta.dirname, 'run.ts'), '--root', join(guards, fixture), ...args],
    { encoding: 'utf8', timeout: 30_000 },
  )
  return { status, output: stdout + stderr, lastLine: stdout.trimEnd().split('\n').at(-1) ?? '' }
}

/** A process that ended and that nobody has waited for yet (state Z) is not alive. */
function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

/** Title, folder of the fixture, last line, what the output must say. */
const TRAPS: readonly (readonly [title: string, fixture: string, lastLine: string, phrase: string])[] = [
  [
    'an assertion that fails',
    'assertion',
    '1 passed, 1 failed, 0 skipped',
    'Expected values to be strictly equal',
  ],
  ['a throwing before hook', 'throwing-before', '0 passed, 1 failed, 0 skipped', 'a hook threw'],
  ['a throwing after.each hook', 'throwing-after-each', '0 passed, 1 failed, 0 skipped', 'a hook threw'],
  ['a throwing after hook', 'throwing-after', '0 passed, 1 failed, 0 skipped', 'cannot clean up'],
  ['a test that throws what is no Error', 'no-error-object', '0 passed, 1 failed, 0 skipped', 'no Error'],
  ['a suite that is never run', 'not-run', '0 passed, 1 failed, 0 skipped', 'printed no counts'],
  ['a suite without a test', 'empty', '0 passed, 1 failed, 0 skipped', 'has no test'],
  ['a forgotten only', 'only', '0 passed, 1 failed, 0 skipped', 'hides the other tests'],
  ['a test left out without a reason', 'skip', '0 passed, 1 failed, 0 skipped', 'without a reason'],
  ['suites created after an await', 'two-rounds', '1 passed, 1 failed, 0 skipped', 'several rounds'],
  ['a test that ends the process', 'early-exit', '0 passed, 1 failed, 0 skipped', 'printed no counts'],
  ['good counts with a bad status', 'late-exit', '1 passed, 1 failed, 0 skipped', 'exited with 3'],
  ['a file that cannot be loaded', 'broken-import', '0 passed, 1 failed, 0 skipped', 'Cannot find module'],
  ['a folder without a test file', 'no-such-folder', '0 passed, 1 failed, 0 skipped', 'no test files'],
]

spec('the test runner', (it) => {
  it('counts what passed and lists what the kernel does not allow', () => {
    const { status, output, lastLine } = run('good')
    assert.is(status, 0)
    assert.is(lastLine, '2 passed, 0 failed, 1 skipped')
    assert.match(output, /^ {2}good\.test\.ts: vlan attachment: kernel lacks vlan$/m)
    assert.match(output, /^ok {4}good\.test\.ts {2}2 passed, 1 skipped, /m)
  })

  for (const [title, fixture, expected, phrase] of TRAPS) {
    it(`fails on ${title}`, () => {
      const { status, output, lastLine } = run(fixture)
      assert.is(status, 1)
      assert.is(lastLine, expected)
      assert.match(output, phrase)
    })
  }

  it('fails on a filter that matches no file, also when another one does', () => {
    const { status, output, lastLine } = run('good', 'good.test', 'goood')
    assert.is(status, 1)
    assert.is(lastLine, '2 passed, 1 failed, 1 skipped')
    assert.match(output, 'no test file matches "goood"')
  })

  it('kills a file that hangs, with the processes that it started', () => {
    const { status, output, lastLine } = run('hanging', '--time-limit-ms', '1000')
    assert.is(status, 1)
    assert.is(lastLine, '0 passed, 1 failed, 0 skipped')
    assert.match(output, 'took more than 1000 ms')
    assert.not.ok(isAlive(Number(/child (\d+)/.exec(output)?.[1])))
  })

  it('fails on a file that leaves a process behind, and ends it', () => {
    const { status, output, lastLine } = run('leaking')
    assert.is(status, 1)
    assert.is(lastLine, '1 passed, 1 failed, 0 skipped')
    assert.match(output, 'left processes behind')
    assert.not.ok(isAlive(Number(/child (\d+)/.exec(output)?.[1])))
  })
})
