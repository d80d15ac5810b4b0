import * as assert from 'uvu/assert'
import type { ResultRow } from '../../bench/measure.ts'
import { countErrors, judgeTargets } from '../../bench/targets.ts'
import { spec } from '../spec.ts'

function row(values: Partial<ResultRow>): ResultRow {
  return {
    ...{ mode: 'daemon', verb: 'ADD', concurrency: 1, p50Ms: 1, p90Ms: 1, perSecond: 1 },
    ...{ ratioToLimit: 1, rateToLimit: 1, pairedRatio: null, pairedRate: null, errors: 0 },
    ...values,
  }
}

/** Which targets of these rows and costs are met. */
function judge(report: Parameters<typeof judgeTargets>[0]): (readonly [string, boolean])[] {
  return judgeTargets(report).map(({ what, isMet }) => [what, isMet])
}

spec('targets of the benchmark', (it) => {
  it('are judged where they were measured, and nowhere else', () => {
    const results = [row({ ratioToLimit: 1.1 }), row({ verb: 'DEL', ratioToLimit: 1.06 })]
    assert.equal(judge({ results, startup: [] }), [
      ['daemon ADD, 1 at once, × limit', true],
      ['daemon DEL, 1 at once, × limit', false],
      ['errors', true],
    ])
  })

  it('of the Kubernetes side are its own', () => {
    const spread = { p50: 1, p99: 2 }
    const kubernetes = {
      ...{ idleRssMiB: 79, afterRssMiB: 90, requests: 100, concurrency: 30, cpuMsPerAdd: 3.1 },
      ...{ eventLoopDelayMs: null, networks: 5000, pods: 250 },
      calls: { adds: 20, reads: 1, patches: 20, events: 0 },
      crowd: {
        ...{ pods: 128, networks: 16, errors: 1 },
        ...{ wholeMs: spread, turnMs: spread, delegatesMs: spread, ownMs: spread },
      },
    }
    const results = [row({ mode: 'daemon-kubernetes', concurrency: 30, rateToLimit: 0.96 })]
    assert.equal(judge({ results, startup: [], kubernetes }), [
      ['daemon-kubernetes ADD, 30 at once, rate × limit', true],
      ['daemon-kubernetes, CPU of an ADD, 30 at once', false],
      ['daemon-kubernetes, memory with 5000 NADs and 250 pods', true],
      ['daemon-kubernetes, reads for an ADD', false],
      ['daemon-kubernetes, writes for an ADD', true],
      ['errors', false],
    ])
  })

  it('take the control row for the noise of a rate', () => {
    const crowd = row({ concurrency: 30, rateToLimit: 0.97 })
    const control = { mode: 'limit-aa', concurrency: 30 }
    const noisy = row({ ...control, pairedRate: { median: 1, low: 0.96, high: 1.01 } })
    const quiet = row({ ...control, pairedRate: { median: 1, low: 0.99, high: 1.01 } })
    const what = 'daemon ADD, 30 at once, rate × limit'
    assert.equal(judge({ results: [crowd, noisy], startup: [] })[0], [what, true])
    assert.equal(judge({ results: [crowd, quiet], startup: [] })[0], [what, false])
  })

  it('call a memory flat that grows at first only', () => {
    const grow = (points: readonly number[]): boolean | undefined => {
      const rss = points.map((rssMiB, index) => ({ cycles: index, rssMiB }))
      return judgeTargets({ results: [], startup: [], growth: { cycles: 8, rss, errors: 0 } })[0]?.isMet
    }
    assert.is(grow([50, 70, 90, 90, 91, 90, 90, 91]), true)
    assert.is(grow([50, 70, 90, 92, 94, 96, 98, 100]), false)
  })

  it('count the errors of rows and of the growth', () => {
    const growth = { cycles: 1, rss: [], errors: 2 }
    assert.is(countErrors({ results: [row({ errors: 1 })], growth }), 3)
  })
})
