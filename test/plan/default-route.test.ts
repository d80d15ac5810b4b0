import * as assert from 'uvu/assert'
import type { Result, Route } from '../../src/cni/result.ts'
import { decideDefaultRoutes, type RouteCandidate } from '../../src/plan/default-route.ts'
import { spec } from '../spec.ts'

/** The two families, with addresses of each. */
const FAMILIES = [
  {
    family: 4,
    all: '0.0.0.0/0',
    gw: (n: number) => `10.${n}.0.1`,
    cidr: '10.244.0.0/16',
    subnet: '10.9.0.0/16',
  },
  { family: 6, all: '::/0', gw: (n: number) => `fd00:${n}::1`, cidr: 'fd44::/48', subnet: 'fd09::/64' },
] as const

const result = (ifName: string, routes: readonly Route[]): Result => ({
  version: '1.0.0',
  interfaces: [{ name: `veth-${ifName}` }, { name: ifName, sandbox: '/run/netns/p' }],
  ips: [],
  routes: [...routes],
  dns: {},
})

function candidate(
  ifName: string,
  routes: readonly Route[],
  defaultRoute?: readonly string[],
): RouteCandidate {
  return { ifName, isDefault: ifName === 'eth0', defaultRoute, result: result(ifName, routes) }
}

/** The routes of each attachment after the decision. */
const routesAfter = (candidates: readonly RouteCandidate[], clusterCIDRs: readonly string[] = []) =>
  decideDefaultRoutes(candidates, clusterCIDRs).results.map(({ routes }) => routes)

for (const { family, all, gw, cidr, subnet } of FAMILIES) {
  const otherFamily = family === 4 ? FAMILIES[1] : FAMILIES[0]
  const via = (n: number): Route => ({ dst: all, gw: gw(n) })
  const inside: Route = { dst: subnet }

  spec(`default route of IPv${family}`, (it) => {
    it('NPWG-090 nothing changes when only the default network has one', () => {
      const candidates = [candidate('eth0', [via(0), inside]), candidate('net1', [inside])]
      const { change, results } = decideDefaultRoutes(candidates, [cidr])
      assert.equal(change, [])
      assert.equal(
        results,
        candidates.map((entry) => entry.result),
      )
    })

    it('NPWG-090 a second one is taken from the other networks', () => {
      const candidates = [
        candidate('eth0', [via(0)]),
        candidate('net1', [via(1), inside]),
        candidate('net2', []),
      ]
      const { change, results } = decideDefaultRoutes(candidates, [cidr])
      assert.equal(change, [
        { family, losers: ['net1'], owner: undefined, gateways: [], keepCidrs: [], keepIfName: undefined },
      ])
      assert.equal(
        results.map(({ routes }) => routes),
        [[via(0)], [inside], []],
      )
    })

    it('NPWG-096 none is invented, and one of a secondary stays when the default network has none', () => {
      assert.equal(decideDefaultRoutes([candidate('eth0', []), candidate('net1', [])], []).change, [])
      const candidates = [candidate('eth0', []), candidate('net1', [via(1)])]
      assert.equal(decideDefaultRoutes(candidates, []).change, [])
      assert.equal(routesAfter(candidates), [[], [via(1)]])
    })

    it('NPWG-091 the annotation gives it to a secondary; all others lose theirs', () => {
      const candidates = [
        candidate('eth0', [via(0), inside]),
        candidate('net1', [inside], [gw(7)]),
        candidate('net2', [via(2)]),
      ]
      const { change } = decideDefaultRoutes(candidates, [])
      assert.equal(change, [
        {
          family,
          losers: ['eth0', 'net2'],
          owner: 'net1',
          gateways: [gw(7)],
          keepCidrs: [],
          keepIfName: undefined,
        },
      ])
      assert.equal(routesAfter(candidates), [[inside], [via(7), inside], []])
    })

    it('NPWG-091 the gateways asked for replace what the owner made itself', () => {
      assert.equal(routesAfter([candidate('eth0', []), candidate('net1', [via(1), inside], [gw(7)])]), [
        [],
        [via(7), inside],
      ])
    })

    it('NPWG-092, C-18 an empty list keeps what the network made itself, the others lose theirs', () => {
      const candidates = [candidate('eth0', [via(0)]), candidate('net1', [via(1)], [])]
      const { change } = decideDefaultRoutes(candidates, [])
      assert.equal(change.find((entry) => entry.family === family)?.losers, ['eth0'])
      assert.equal(change.find((entry) => entry.family === family)?.gateways, [])
      assert.equal(routesAfter(candidates), [[], [via(1)]])
    })

    it('NPWG-094 several gateways stay in their order', () => {
      const candidates = [candidate('eth0', [via(0)]), candidate('net1', [], [gw(3), gw(2)])]
      assert.equal(decideDefaultRoutes(candidates, []).change[0]?.gateways, [gw(3), gw(2)])
      assert.equal(routesAfter(candidates)[1], [via(3), via(2)])
    })

    it('the prefixes of the cluster stay with the default network through its old gateway', () => {
      const candidates = [candidate('eth0', [via(0)]), candidate('net1', [], [gw(7)])]
      const { change } = decideDefaultRoutes(candidates, [cidr, otherFamily.cidr])
      assert.equal([change[0]?.keepCidrs, change[0]?.keepIfName], [[cidr], 'eth0'])
      assert.equal(routesAfter(candidates, [cidr, otherFamily.cidr])[0], [{ dst: cidr, gw: gw(0) }])
    })

    it('a default route without gateway leaves nothing to send the prefixes of the cluster through', () => {
      const candidates = [candidate('eth0', [{ dst: all }, inside]), candidate('net1', [], [gw(7)])]
      assert.equal(routesAfter(candidates, [cidr])[0], [inside])
    })

    it('the other family is left alone', () => {
      const other: Route = { dst: otherFamily.all, gw: otherFamily.gw(0) }
      const candidates = [candidate('eth0', [via(0), other]), candidate('net1', [], [gw(7)])]
      assert.equal(
        decideDefaultRoutes(candidates, []).change.map((entry) => entry.family),
        [family],
      )
      assert.equal(routesAfter(candidates)[0], [other])
    })

    it('NPWG-091 the default network can be made the owner by its own annotation', () => {
      const candidates = [candidate('eth0', [via(0)], [gw(5)]), candidate('net1', [via(1)])]
      const { change } = decideDefaultRoutes(candidates, [cidr])
      assert.equal(
        [change[0]?.owner, change[0]?.losers, change[0]?.gateways, change[0]?.keepCidrs],
        ['eth0', ['net1'], [gw(5)], []],
      )
      const without = [candidate('eth0', [], [gw(5)]), candidate('net1', [via(1)])]
      assert.equal(decideDefaultRoutes(without, []).change[0]?.losers, ['net1'])
    })
  })
}

spec('default routes of both families', (it) => {
  it('NPWG-094, C-17 each family can go to another network', () => {
    const candidates = [
      candidate('eth0', [
        { dst: '0.0.0.0/0', gw: '10.0.0.1' },
        { dst: '::/0', gw: 'fd00::1' },
      ]),
      candidate('net1', [], ['10.1.0.1']),
      candidate('net2', [], ['fd02::1']),
    ]
    const { change } = decideDefaultRoutes(candidates, [])
    assert.equal(
      change.map(({ family, owner, losers }) => [family, owner, losers]),
      [
        [4, 'net1', ['eth0', 'net2']],
        [6, 'net2', ['eth0', 'net1']],
      ],
    )
  })

  it('NPWG-094 one list with both families makes one of each', () => {
    const candidates = [candidate('eth0', []), candidate('net1', [], ['10.1.0.1', 'fd01::1'])]
    assert.equal(
      decideDefaultRoutes(candidates, []).change.map(({ gateways }) => gateways),
      [['10.1.0.1'], ['fd01::1']],
    )
  })

  it('C-29 a half of all addresses is no default route', () => {
    const half: Route = { dst: '0.0.0.0/1', gw: '10.1.0.1' }
    const candidates = [candidate('eth0', [{ dst: '0.0.0.0/0', gw: '10.0.0.1' }]), candidate('net1', [half])]
    assert.equal(decideDefaultRoutes(candidates, []).change, [])
  })

  it('every interface of a loser in the pod loses its routes, host ends do not', () => {
    const many = candidate('eth0', [{ dst: '0.0.0.0/0', gw: '10.0.0.1' }])
    const more = {
      ...many.result,
      interfaces: [...many.result.interfaces, { name: 'eth0b', sandbox: '/run/netns/p' }],
    }
    const { change } = decideDefaultRoutes(
      [{ ...many, result: more }, candidate('net1', [], ['10.1.0.1'])],
      [],
    )
    assert.equal(change[0]?.losers, ['eth0', 'eth0b'])
  })

  it('the results that came in are not changed', () => {
    const candidates = [
      candidate('eth0', [{ dst: '0.0.0.0/0', gw: '10.0.0.1' }]),
      candidate('net1', [], ['10.1.0.1']),
    ]
    const before = structuredClone(candidates)
    decideDefaultRoutes(candidates, ['10.244.0.0/16'])
    assert.equal(candidates, before)
  })
})
