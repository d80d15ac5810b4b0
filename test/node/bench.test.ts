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
  readonly rateToLimit: number
  readonly pairedRatio: Estimate
  readonly pairedRate: Estimate
  readonly errors: number
}

interface Estimate {
  readonly median: number
  readonly low: number
  readonly high: number
}

interface Document {
  readonly results: Row[]
  readonly startup: { readonly program: string }[]
  readonly daemon: Readonly<Record<string, number>> & {
    readonly eventLoopDelayMs: Readonly<Record<string, number>>
  }
  readonly growth: {
    readonly cycles: number
    readonly rss: { readonly cycles: number; readonly rssMiB: number }[]
    readonly errors: number
  }
  readonly shim: {
    readonly startToHelloMs: { readonly p50: number; readonly p90: number }
    readonly peakRssKiB: number
    readonly sizeKiB: number
  }
  readonly targets: { readonly what: string; readonly isMet: boolean }[]
}

spec('npm run bench -- --json', (it) => {
  it('prints one document and nothing else, with a row for each mode, verb and number at once', () => {
    const args = ['run', 'bench', '--', '--json', '--rounds', '1', '--concurrency', '1,8', '--memory', '40']
    const { status, stdout, stderr } = spawnSync('npm', args, {
      cwd: ROOT,
      encoding: 'utf8',
      timeout: 200_000,
    })
    assert.is(status, 0, stderr)
    const { results, startup, daemon, growth, shim, targets }: Document = JSON.parse(stdout)
    const keys = results.map(({ mode, verb, concurrency }) => `${mode} ${verb} ${concurrency}`).sort()
    const expected = ['limit', 'limit-aa', 'standalone', 'daemon', 'daemon-parallel'].flatMap((mode) =>
      ['ADD', 'DEL'].flatMap((verb) => [1, 8].map((concurrency) => `${mode} ${verb} ${concurrency}`)),
    )
    assert.equal(keys, expected.sort())
    for (const row of results) {
      const { mode, p50Ms, p90Ms, perSecond, ratioToLimit, rateToLimit, errors } = row
      assert.is(errors, 0)
      assert.ok(p50Ms > 0 && p90Ms >= p50Ms && perSecond > 0 && ratioToLimit > 0 && rateToLimit > 0)
      for (const { median, low, high } of [row.pairedRatio, row.pairedRate]) {
        assert.ok(low > 0 && low <= median && median <= high)
      }
      if (mode === 'limit') assert.equal([ratioToLimit, rateToLimit, row.pairedRatio.high], [1, 1, 1])
    }
    assert.is(startup.length, 3)

    const { idleRssMiB = 0, afterRssMiB = 0, cpuMsPerAdd = 0, eventLoopDelayMs } = daemon
    assert.ok(idleRssMiB > 10 && afterRssMiB > 10 && cpuMsPerAdd > 0 && (eventLoopDelayMs.max ?? 0) > 0)
    // ADD and DEL of one pod and of eight, in one round and in the one that is thrown away.
    assert.is(daemon.requests, 2 * 2 * (1 + 8))
    assert.is(daemon.concurrency, 8)

    assert.equal([growth.cycles, growth.errors], [40, 0])
    assert.equal([growth.rss.at(0)?.cycles, growth.rss.at(-1)?.cycles], [0, 40])
    assert.ok(growth.rss.every(({ rssMiB }) => rssMiB > 10))

    const { p50, p90 } = shim.startToHelloMs
    assert.ok(p50 > 0 && p90 >= p50 && shim.peakRssKiB > 16 && shim.sizeKiB > 16)

    assert.ok(targets.some(({ what, isMet }) => what === 'errors' && isMet))
    assert.ok(targets.some(({ what }) => what.startsWith('daemon ADD, 1 at once')))
  })
})
