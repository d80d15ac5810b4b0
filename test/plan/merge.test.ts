import * as assert from 'uvu/assert'
import type { Result } from '../../src/cni/result.ts'
import { formatResult } from '../../src/cni/result-conversion.ts'
import { type MergePart, mergeResults } from '../../src/plan/merge.ts'
import { seededRandom } from '../cni/random.ts'
import { spec } from '../spec.ts'

const NETNS = '/run/netns/p'

const result = (keys: Partial<Result> = {}): Result => ({
  version: '1.0.0',
  interfaces: [],
  ips: [],
  routes: [],
  dns: {},
  ...keys,
})

const part = (ifName: string, keys: Partial<Result> = {}): MergePart => ({ ifName, result: result(keys) })

const inPod = (name: string) => ({ name, sandbox: NETNS })

spec('merging of results', (it) => {
  it('a single result stays as it is, in the version of the answer', () => {
    const only = result({
      interfaces: [{ name: 'br0' }],
      ips: [{ address: '10.0.0.2/24', interface: 9 }],
      dns: { domain: 'x' },
    })
    assert.equal(mergeResults([{ ifName: 'eth0', result: only }], NETNS, '1.1.0'), {
      ...only,
      version: '1.1.0',
    })
  })

  it('CNI-130 indexes are shifted by the interfaces before them: 3 and 2, index 1 becomes 4', () => {
    const merged = mergeResults(
      [
        part('eth0', {
          interfaces: [{ name: 'br0' }, { name: 'veth0' }, inPod('eth0')],
          ips: [{ address: '10.0.0.2/24', gateway: '10.0.0.1', interface: 2 }],
        }),
        part('net1', {
          interfaces: [{ name: 'veth1' }, inPod('net1')],
          ips: [{ address: '10.1.0.2/24', interface: 1 }],
        }),
      ],
      NETNS,
      '1.0.0',
    )
    assert.equal(
      merged.interfaces.map(({ name }) => name),
      ['br0', 'veth0', 'eth0', 'veth1', 'net1'],
    )
    assert.equal(merged.ips, [
      { address: '10.0.0.2/24', gateway: '10.0.0.1', interface: 2 },
      { address: '10.1.0.2/24', interface: 4 },
    ])
  })

  it('CNI-128, CNI-130 an index that leads to a host end is kept, the first one too', () => {
    const merged = mergeResults(
      [
        part('eth0', { interfaces: [inPod('eth0')] }),
        part('net1', {
          interfaces: [{ name: 'veth1' }, inPod('net1')],
          ips: [{ address: '10.1.0.1/24', interface: 0 }],
        }),
      ],
      NETNS,
      '1.0.0',
    )
    assert.is(merged.ips[0]?.interface, 1)
  })

  it('CNI-131 addresses come in attachment order, the default network first', () => {
    const parts = ['eth0', 'net1', 'net2'].map((ifName, n) =>
      part(ifName, { interfaces: [inPod(ifName)], ips: [{ address: `10.${n}.0.2/24`, interface: 0 }] }),
    )
    assert.equal(
      mergeResults(parts, NETNS, '1.0.0').ips.map(({ address, interface: index }) => [address, index]),
      [
        ['10.0.0.2/24', 0],
        ['10.1.0.2/24', 1],
        ['10.2.0.2/24', 2],
      ],
    )
  })

  for (const index of [undefined, -1, 5]) {
    it(`CNI-127, C-10 an address with index ${index} belongs to the interface of the attachment's name`, () => {
      const ip = { address: '10.1.0.2/24', ...(index === undefined ? {} : { interface: index }) }
      const merged = mergeResults(
        [
          part('eth0', { interfaces: [inPod('eth0')] }),
          part('net1', { interfaces: [{ name: 'net1' }, inPod('other'), inPod('net1')], ips: [ip] }),
        ],
        NETNS,
        '1.0.0',
      )
      assert.is(merged.ips[0]?.interface, 3)
    })
  }

  it('CNI-127, C-10 without that name it belongs to the first interface in the pod, without any to none', () => {
    const merged = mergeResults(
      [
        part('eth0', { interfaces: [inPod('eth0')] }),
        part('net1', { interfaces: [{ name: 'veth' }, inPod('other')], ips: [{ address: '10.1.0.2/24' }] }),
        part('net2', { interfaces: [{ name: 'veth' }], ips: [{ address: '10.2.0.2/24', interface: 7 }] }),
      ],
      NETNS,
      '1.0.0',
    )
    assert.equal(
      merged.ips.map(({ interface: index }) => index),
      [2, undefined],
    )
  })

  it('CNI-129, CNI-133 a result that cannot name interfaces gets its own with the netns as it was given', () => {
    const merged = mergeResults(
      [
        part('eth0', { version: '0.2.0', ips: [{ address: '10.0.0.2/24' }] }),
        part('net1'),
        part('net2', { interfaces: [inPod('net2')] }),
      ],
      NETNS,
      '1.0.0',
    )
    assert.equal(merged.interfaces, [inPod('eth0'), inPod('net2')])
    assert.equal(merged.ips, [{ address: '10.0.0.2/24', interface: 0 }])
  })

  it('CNI-132 of two default routes of a family the earlier one is kept; other routes all stay', () => {
    const merged = mergeResults(
      [
        part('eth0', { routes: [{ dst: '0.0.0.0/0', gw: '10.0.0.1' }] }),
        part('net1', {
          routes: [
            { dst: '0.0.0.0/0', gw: '10.1.0.1' },
            { dst: '::/0', gw: 'fd01::1' },
            { dst: '10.9.0.0/16' },
          ],
        }),
        part('net2', { routes: [{ dst: '0::0/0', gw: 'fd02::1' }, { dst: '10.9.0.0/16' }] }),
      ],
      NETNS,
      '1.0.0',
    )
    assert.equal(merged.routes, [
      { dst: '0.0.0.0/0', gw: '10.0.0.1' },
      { dst: '::/0', gw: 'fd01::1' },
      { dst: '10.9.0.0/16' },
      { dst: '10.9.0.0/16' },
    ])
  })

  it('CNI-132 several default routes of one owner all stay', () => {
    const routes = [
      { dst: '0.0.0.0/0', gw: '10.0.0.1' },
      { dst: '0.0.0.0/0', gw: '10.0.0.2', priority: 1 },
    ]
    assert.equal(mergeResults([part('eth0', { routes }), part('net1')], NETNS, '1.1.0').routes, routes)
  })

  it('CNI-132 DNS is that of the default network alone', () => {
    const parts = [
      part('eth0', { dns: { nameservers: ['10.0.0.10'] } }),
      part('net1', { dns: { domain: 'x' } }),
    ]
    assert.equal(mergeResults(parts, NETNS, '1.0.0').dns, { nameservers: ['10.0.0.10'] })
    assert.equal(mergeResults([part('eth0'), ...parts.slice(1)], NETNS, '1.0.0').dns, {})
  })

  it('CNI-133, CNI-134 whatever is merged, every index names an interface and what 1.1.0 brought is kept', () => {
    const random = seededRandom(5)
    for (let round = 0; round < 2000; round++) {
      const parts = Array.from({ length: 2 + random.below(3) }, (_, n) =>
        part(`net${n}`, {
          interfaces: Array.from({ length: random.below(3) }, (__, i) => ({
            name: `i${n}${i}`,
            mtu: 9000,
            ...(random.chance() ? { sandbox: NETNS } : {}),
          })),
          ips: Array.from({ length: random.below(3) }, (__, i) => ({
            address: `10.${n}.${i}.2/24`,
            ...(random.chance() ? { interface: random.below(6) - 2 } : {}),
          })),
        }),
      )
      const merged = mergeResults(parts, NETNS, '1.1.0')
      assert.equal(
        merged.ips.map(({ address }) => address),
        parts.flatMap((entry) => entry.result.ips.map(({ address }) => address)),
      )
      for (const { interface: index } of merged.ips) {
        assert.ok(index === undefined || merged.interfaces[index] !== undefined, String(index))
      }
      for (const { name, mtu } of merged.interfaces) assert.is(mtu, name.startsWith('i') ? 9000 : undefined)
      formatResult(merged, '0.4.0')
    }
  })
})
