import { spawnSync } from 'node:child_process'
import * as assert from 'uvu/assert'
import { ROOT } from '../rig/plexus.ts'
import { spec } from '../spec.ts'

interface Row {
  readonly mode: string
  readonly verb: string
  readonly concurrency: number
  readonly p50Ms: number
  readonly p90Ms: number
  readonly perSecond: number
  readonly ratioToLimit: number
  readonly errors: number
}

spec('npm run bench -- --json', (it) => {
  it('prints one document and nothing else, with a row for each mode, verb and number at once', () => {
    const args = ['run', 'bench', '--', '--json', '--rounds', '1', '--concurrency', '1,8']
    const { status, stdout, stderr } = spawnSync('npm', args, {
      cwd: ROOT,
      encoding: 'utf8',
      timeout: 100_000,
    })
    assert.is(status, 0, stderr)
    const { results } = JSON.parse(stdout) as { results: Row[] }
    const keys = results.map(({ mode, verb, concurrency }) => `${mode} ${verb} ${concurrency}`).sort()
    const expected = ['limit', 'limit-aa', 'standalone', 'daemon', 'daemon-parallel'].flatMap((mode) =>
      ['ADD', 'DEL'].flatMap((verb) => [1, 8].map((concurrency) => `${mode} ${verb} ${concurrency}`)),
    )
    assert.equal(keys, expected.sort())
    for (const { mode, p50Ms, p90Ms, perSecond, ratioToLimit, errors } of results) {
      assert.is(errors, 0)
      assert.ok(p50Ms > 0 && p90Ms >= p50Ms && perSecond > 0 && ratioToLimit > 0)
      if (mode === 'limit') assert.is(ratioToLimit, 1)
    }
  })
})
