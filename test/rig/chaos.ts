import { spawnSync } from 'node:child_process'
import process from 'node:process'
import * as assert from 'uvu/assert'
import type { ChaosReport } from '../../bench/chaos/tally.ts'
import { ROOT } from './plexus.ts'

/** Runs `npm run bench -- --chaos` with a new seed, and makes sure that nothing is left and nothing was stuck. */
export function assertSurvives(cycles: number, timeoutMs: number): void {
  const args = ['bench/run.ts', '--chaos', '--json', '--cycles', String(cycles)]
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    cwd: ROOT,
    encoding: 'utf8',
    timeout: timeoutMs,
    maxBuffer: 2 ** 26,
  })
  assert.not.equal(stdout, '', `no report: ${stderr}`)
  const report = JSON.parse(stdout) as ChaosReport
  const { seed, leaks, stuck, unexpected, ended, kills, delTries } = report
  assert.equal({ seed, leaks, stuck, unexpected }, { seed, leaks: [], stuck: [], unexpected: [] })
  assert.is(status, 0, stderr)
  assert.is(report.cycles, cycles)
  const sum = (counts: Readonly<Record<string, number>> = {}): number =>
    Object.values(counts).reduce((total, count) => total + count, 0)
  assert.ok(sum(ended.ADD) >= cycles && sum(ended.DEL) >= cycles, JSON.stringify(ended))
  assert.is(sum(delTries), cycles)
  assert.ok(sum(kills) > cycles / 10, JSON.stringify(kills))
  // Two system calls next to each other: a kill between them is one in hundreds, which may be the first.
  assert.ok(report.emptyLeases <= 1 + sum(kills) / 50, `${report.emptyLeases} empty leases`)
  // One daemon that is killed takes all ADDs with it that are under way: of few there may be hardly any.
  assert.ok((ended.ADD?.ok ?? 0) >= Math.max(1, cycles / 20 - 5), JSON.stringify(ended))
}
