import * as assert from 'uvu/assert'
import { encodeMessage } from '../../src/executor/protocol.ts'
import { changeRoutes } from '../../src/executor/routes.ts'
import type { DefaultRouteChange, FamilyRouteChange } from '../../src/plan/route-change.ts'
import { createNetns, type Netns } from '../rig/netns.ts'
import { spec } from '../spec.ts'
import { fakeDaemon } from './fake-daemon.ts'
import { testShim } from './shim.ts'

const NONE = { losers: [], owner: undefined, gateways: [], keepCidrs: [], keepIfName: undefined }

const change = (family: 4 | 6, more: Partial<FamilyRouteChange>): FamilyRouteChange => ({
  ...NONE,
  family,
  ...more,
})

/** A pod with `eth0`, which has the default routes, `net1` and `net2`; `more` are further `ip` batch lines. */
async function pod(more: readonly string[]): Promise<Netns> {
  const netns = await createNetns()
  const lines = ['eth0', 'net1', 'net2'].flatMap((name, index) => [
    `link add ${name} type veth peer name ${name}p`,
    `link set ${name}p up`,
    `link set ${name} address 02:00:00:00:00:0${index + 1} up`,
    `address add 10.9${index}.0.5/24 dev ${name}`,
    `address add fd00:9${index}::5/64 dev ${name} nodad`,
  ])
  lines.push(
    'route add default via 10.90.0.1 dev eth0',
    '-6 route add default via fd00:90::1 dev eth0',
    ...more,
  )
  for (const line of lines) await netns.exec('ip', line.split(' '))
  return netns
}

/** Every route of the main table but the kernel's own, in a form that compares. */
async function routesOf(netns: Netns): Promise<string[]> {
  const lines: string[] = []
  for (const family of ['-4', '-6']) {
    const text = await netns.exec('ip', [family, 'route', 'show', 'table', 'main'])
    lines.push(...text.split('\n').map((line) => line.trim().replace(/ +/g, ' ')))
  }
  return lines.filter((line) => line !== '' && !line.includes('proto kernel')).sort()
}

/** Has the shim change the routes; gives its fault, '' when there is none. */
async function byShim(netns: Netns, changes: DefaultRouteChange): Promise<string> {
  const shim = testShim()
  let fault = 'no answer'
  const daemon = await fakeDaemon(shim.socket, async (peer) => {
    peer.send(encodeMessage.routes(netns.path, changes))
    const { kind, fields } = await peer.next()
    assert.is(kind, 7)
    assert.is(fields[0]?.readUInt32BE() === 0, fields[1]?.length === 0)
    fault = fields[1]?.toString() ?? ''
    peer.done()
  })
  await shim.run('ADD', { netns })
  assert.equal(daemon.faults, [])
  return fault
}

const CASES: readonly {
  readonly title: string
  readonly changes: DefaultRouteChange
  readonly more?: readonly string[]
  readonly fault?: string
}[] = [
  {
    title: 'NPWG-091 both families move, the cluster stays where it was',
    changes: [
      change(4, {
        losers: ['eth0'],
        owner: 'net1',
        gateways: ['10.91.0.1'],
        keepCidrs: ['10.244.0.0/16', '10.96.0.0/12'],
        keepIfName: 'eth0',
      }),
      change(6, {
        losers: ['eth0'],
        owner: 'net1',
        gateways: ['fd00:91::1'],
        keepCidrs: ['fd44::/48'],
        keepIfName: 'eth0',
      }),
    ],
  },
  {
    title: 'several gateways get rising metrics',
    changes: [
      change(4, { losers: ['eth0'], owner: 'net1', gateways: ['10.91.0.1', '10.91.0.2', '10.91.0.3'] }),
      change(6, { losers: ['eth0'], owner: 'net1', gateways: ['fd00:91::1', 'fd00:91::2'] }),
    ],
  },
  {
    title: 'NPWG-092 without gateways the owner keeps the route that it has',
    changes: [change(4, { losers: ['eth0'], owner: 'net1' })],
    more: ['route add default via 10.91.0.9 dev net1 metric 50'],
  },
  {
    title: 'the owner loses the routes that it had beside the wanted ones',
    changes: [change(4, { losers: ['eth0'], owner: 'net1', gateways: ['10.91.0.1'] })],
    more: [
      'route add default via 10.91.0.9 dev net1 metric 50',
      'route add default via 10.92.0.1 dev net2 metric 60',
    ],
  },
  {
    title: 'a route that is there already is left',
    changes: [change(4, { losers: ['net2'], owner: 'eth0', gateways: ['10.90.0.1'] })],
    more: ['route add default via 10.92.0.1 dev net2 metric 60'],
  },
  {
    title: 'only losers',
    changes: [change(4, { losers: ['eth0', 'net2', 'gone'] }), change(6, { losers: ['eth0'] })],
    more: ['route add default dev net2 scope link metric 7'],
  },
  {
    title: 'link-local gateways are bound to their interface, also of the one that keeps the cluster',
    changes: [
      change(4, {
        losers: ['eth0'],
        owner: 'net1',
        gateways: ['169.254.1.1'],
        keepCidrs: ['10.244.0.0/16'],
        keepIfName: 'eth0',
      }),
    ],
    more: ['route replace default via 169.254.1.1 dev eth0 onlink'],
  },
  {
    title: 'IPv6 gateways of the link',
    changes: [change(6, { losers: ['eth0'], owner: 'net1', gateways: ['fe80::1'] })],
  },
  {
    title: 'a gateway that cannot be reached fails and all is as before',
    changes: [
      change(6, {
        losers: ['eth0'],
        owner: 'net1',
        gateways: ['fd00:91::1'],
        keepCidrs: [],
        keepIfName: undefined,
      }),
      change(4, { losers: ['eth0'], owner: 'net1', gateways: ['192.0.2.1'] }),
    ],
    more: ['route add default via 10.92.0.1 dev net2 metric 60 mtu 1400 proto 99'],
    fault: 'gateway 192.0.2.1',
  },
  {
    title: 'a second gateway that cannot be reached fails and all is as before',
    changes: [change(4, { losers: ['eth0'], owner: 'net1', gateways: ['10.91.0.1', '192.0.2.1'] })],
    fault: 'gateway 192.0.2.1',
  },
  {
    title: 'an owner that is not there fails',
    changes: [change(4, { losers: ['eth0'], owner: 'net9', gateways: ['10.91.0.1'] })],
    fault: 'net9',
  },
]

spec('shim: default routes', (it) => {
  for (const { title, changes, more = [], fault } of CASES) {
    it(`${title}, as TypeScript does it`, async () => {
      const [ours, theirs] = [await pod(more), await pod(more)]
      const before = await routesOf(ours)
      assert.equal(await routesOf(theirs), before)
      const said = await byShim(ours, changes)
      let thrown: unknown
      await changeRoutes(theirs.path, changes).catch((error: unknown) => {
        thrown = error
      })
      assert.equal(await routesOf(ours), await routesOf(theirs))
      assert.is(said !== '', thrown !== undefined, `shim: ${said}, TypeScript: ${String(thrown)}`)
      if (fault === undefined) assert.is(said, '')
      else {
        assert.match(said, 'default route not moved: ')
        assert.match(said, fault)
        assert.equal(await routesOf(ours), before)
      }
    })
  }

  it('what the cluster got is taken back when a later step fails', async () => {
    const netns = await pod([])
    const before = await routesOf(netns)
    const said = await byShim(netns, [
      change(4, {
        losers: ['eth0'],
        owner: 'net1',
        gateways: ['10.91.0.1'],
        keepCidrs: ['10.244.0.0/16'],
        keepIfName: 'eth0',
      }),
      change(6, { losers: ['eth0'], owner: 'net1', gateways: ['2001:db8::1'] }),
    ])
    assert.match(said, '2001:db8::1')
    assert.equal(await routesOf(netns), before)
  })

  it('of a route of several hops only the losers go', async () => {
    const hops = 'nexthop via 10.90.0.2 dev eth0 nexthop via 10.92.0.1 dev net2'
    const netns = await pod([
      `route add default metric 5 ${hops}`,
      '-6 route add default metric 5 nexthop via fd00:90::2 dev eth0 nexthop via fd00:92::1 dev net2',
    ])
    assert.is(await byShim(netns, [change(4, { losers: ['eth0'] }), change(6, { losers: ['eth0'] })]), '')
    const defaults = (await routesOf(netns)).filter((line) => line.startsWith('default'))
    assert.equal(defaults, [
      'default via 10.92.0.1 dev net2 metric 5',
      'default via fd00:92::1 dev net2 metric 5 pref medium',
    ])
  })

  it('a path that is no namespace fails', async () => {
    const netns = { path: '/etc/hostname' } as Netns
    assert.match(
      await byShim(netns, [change(4, { losers: ['eth0'] })]),
      'netns /etc/hostname: Invalid argument',
    )
  })
})
