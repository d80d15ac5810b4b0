import * as assert from 'uvu/assert'
import type { Result, Route } from '../../src/cni/result.ts'
import { toNetworkStatus } from '../../src/network/network-status.ts'
import { decideDefaultRoutes } from '../../src/plan/default-route.ts'
import { mergeResults } from '../../src/plan/merge.ts'
import { spec } from '../spec.ts'

const result = (...routes: Route[]): Result => ({
  version: '1.1.0',
  interfaces: [],
  ips: [],
  routes,
  dns: {},
})
const MAIN: Route = { dst: '0.0.0.0/0', gw: '10.0.0.1' }

/** The default network's result and one of a network that asked for nothing. */
const decide = (other: Route) => {
  const results = [result(MAIN), result(other)]
  const [eth0 = result(), net1 = result()] = results
  return decideDefaultRoutes(
    [
      { ifName: 'eth0', isDefault: true, defaultRoute: undefined, result: eth0 },
      { ifName: 'net1', isDefault: false, defaultRoute: undefined, result: net1 },
    ],
    [],
  )
}

spec('a default route of another routing table', (it) => {
  const policy: Route = { dst: '0.0.0.0/0', gw: '10.1.0.1', table: 100 }

  it('is nobody else’s: it stays in the pod, in the result and in the answer', () => {
    const { change, results } = decide(policy)
    assert.equal(change, [])
    assert.equal(results[1]?.routes, [policy])
    const parts = results.map((part, index) => ({ ifName: `net${index}`, result: part }))
    assert.equal(mergeResults(parts, '/run/netns/p', '1.1.0').routes, [MAIN, policy])
  })

  it('is no gateway in network-status', () => {
    const [entry] = toNetworkStatus(
      [{ name: 'a/b', ifName: 'net1', isDefault: false, result: result(policy) }],
      '/n',
    )
    assert.is(entry?.gateway, undefined)
  })

  for (const table of [0, 254]) {
    it(`table ${table} is the main one all the same`, () => {
      const { change, results } = decide({ ...policy, table })
      assert.equal(
        change.map(({ losers }) => losers),
        [['net1']],
      )
      assert.equal(results[1]?.routes, [])
    })
  }
})
