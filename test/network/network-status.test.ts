import * as assert from 'uvu/assert'
import type { Result } from '../../src/cni/result.ts'
import {
  type AttachedNetwork,
  formatNetworkStatus,
  type NetworkStatusEntry,
  toNetworkStatus,
} from '../../src/network/network-status.ts'
import { spec } from '../spec.ts'

const NETNS = '/run/netns/pod'

const result = (changes: Partial<Result> = {}): Result => ({
  version: '1.1.0',
  interfaces: [],
  ips: [],
  routes: [],
  dns: {},
  ...changes,
})

const attached = (changes: Partial<Result>, more: Partial<AttachedNetwork> = {}): AttachedNetwork => ({
  name: 'telco/n6',
  ifName: 'net1',
  isDefault: false,
  result: result(changes),
  ...more,
})

const DEFAULT = attached(
  {
    interfaces: [
      { name: 'cni0', mac: '02:00:00:00:00:01' },
      { name: 'veth1', mac: '02:00:00:00:00:02' },
      { name: 'eth0', mac: '02:00:00:00:00:03', sandbox: NETNS, mtu: 1450 },
    ],
    ips: [{ address: '10.1.0.5/16', gateway: '10.1.0.1', interface: 2 }],
    routes: [{ dst: '0.0.0.0/0' }],
    dns: { nameservers: ['10.0.0.10'] },
  },
  { name: 'cbr0', ifName: 'eth0', isDefault: true },
)

/** The entries of one secondary attachment. */
function entriesOf(changes: Partial<Result>, more: Partial<AttachedNetwork> = {}): NetworkStatusEntry[] {
  return toNetworkStatus([DEFAULT, attached(changes, more)], NETNS).slice(1)
}

spec('network-status', (it) => {
  it('NPWG-142, NPWG-144, NPWG-154 tells of the interface in the pod, not of those on the host', () => {
    assert.equal(toNetworkStatus([DEFAULT], NETNS), [
      {
        name: 'cbr0',
        interface: 'eth0',
        ips: ['10.1.0.5'],
        mac: '02:00:00:00:00:03',
        mtu: 1450,
        default: true,
        dns: { nameservers: ['10.0.0.10'] },
        gateway: ['10.1.0.1'],
      },
    ])
  })

  it('NPWG-141, NPWG-149, NPWG-150 has an entry for each attachment, the only default one first', () => {
    const second = attached({ interfaces: [{ name: 'net1', sandbox: NETNS }] })
    const third = attached({ interfaces: [{ name: 'net2', sandbox: NETNS }] }, { ifName: 'net2' })
    const entries = toNetworkStatus([second, DEFAULT, third], NETNS)
    assert.equal(
      entries.map((entry) => [entry.interface, entry.default]),
      [
        ['eth0', true],
        ['net1', false],
        ['net2', false],
      ],
    )
  })

  it('NPWG-157 the same network twice has two entries', () => {
    const twice = ['net1', 'net2'].map((name) =>
      attached({ interfaces: [{ name, sandbox: NETNS }] }, { ifName: name }),
    )
    const entries = toNetworkStatus([DEFAULT, ...twice], NETNS)
    assert.equal(
      entries.map(({ name }) => name),
      ['cbr0', 'telco/n6', 'telco/n6'],
    )
  })

  it('NPWG-143, C-5, C-9 an empty result has an entry with name, default and dns', () => {
    assert.equal(entriesOf({}), [{ name: 'telco/n6', default: false, dns: {} }])
  })

  it('NPWG-145, NPWG-147 a result below 0.3.0 is about CNI_IFNAME', () => {
    const entries = entriesOf({
      version: '0.2.0',
      ips: [{ address: '10.2.0.5/24' }, { address: '2001:db8::5/64' }],
    })
    assert.equal(entries, [
      { name: 'telco/n6', interface: 'net1', ips: ['10.2.0.5', '2001:db8::5'], default: false, dns: {} },
    ])
  })

  it('NPWG-146, NPWG-148 without interface in the pod only addresses without index count, and no mac is told', () => {
    const entries = entriesOf({
      interfaces: [{ name: 'veth1', mac: '02:00:00:00:00:01' }],
      ips: [
        { address: '10.0.0.1/24', interface: 0 },
        { address: '10.0.0.2/24' },
        { address: '10.0.0.3/24', interface: -1 },
      ],
    })
    assert.equal(entries, [{ name: 'telco/n6', ips: ['10.0.0.2', '10.0.0.3'], default: false, dns: {} }])
  })

  it('NPWG-146 an address of an interface on the host is not listed', () => {
    const [entry] = entriesOf({
      interfaces: [{ name: 'veth1' }, { name: 'net1', sandbox: NETNS }],
      ips: [
        { address: '10.0.0.1/32', interface: 0 },
        { address: '10.0.0.2/32', interface: 1 },
      ],
    })
    assert.equal(entry?.ips, ['10.0.0.2'])
  })

  const unknownIndex: [string, { interface?: number }][] = [
    ['absent', {}],
    ['-1', { interface: -1 }],
    ['out of range', { interface: 9 }],
  ]
  for (const [title, index] of unknownIndex) {
    it(`C-10, CNI-127 an address whose index is ${title} is of the interface named CNI_IFNAME`, () => {
      const entries = entriesOf({
        interfaces: [
          { name: 'other', sandbox: NETNS },
          { name: 'net1', sandbox: NETNS },
        ],
        ips: [{ address: '10.0.0.2/24', ...index }],
      })
      assert.equal(
        entries.map(({ ips }) => ips),
        [undefined, ['10.0.0.2']],
      )
    })
  }

  it('C-10 an address without index is of the first interface when none is named CNI_IFNAME', () => {
    const [entry] = entriesOf({
      interfaces: [
        { name: 'x', sandbox: NETNS },
        { name: 'y', sandbox: NETNS },
      ],
      ips: [{ address: '10.0.0.2/24' }],
    })
    assert.equal(entry?.ips, ['10.0.0.2'])
  })

  it('NPWG-161, C-8 of several interfaces that whose address has a gateway is the default one', () => {
    const several = attached(
      {
        interfaces: [
          { name: 'a0', sandbox: NETNS },
          { name: 'b0', sandbox: NETNS },
        ],
        ips: [
          { address: '10.0.0.2/24', interface: 0 },
          { address: '10.1.0.2/24', gateway: '10.1.0.1', interface: 1 },
        ],
      },
      { isDefault: true, ifName: 'a0' },
    )
    assert.equal(
      toNetworkStatus([several], NETNS).map((entry) => [entry.interface, entry.default]),
      [
        ['b0', true],
        ['a0', false],
      ],
    )
  })

  it('NPWG-161 of several interfaces without gateway the first is the default one', () => {
    const several = attached(
      {
        interfaces: [
          { name: 'a0', sandbox: NETNS },
          { name: 'b0', sandbox: NETNS },
        ],
      },
      { isDefault: true },
    )
    assert.equal(
      toNetworkStatus([several], NETNS).map((entry) => [entry.interface, entry.default]),
      [
        ['a0', true],
        ['b0', false],
      ],
    )
  })

  it('a sandbox that is not the netns of the pod does not count beside one that is', () => {
    const entries = entriesOf({
      interfaces: [
        { name: 'dummy1', sandbox: '0' },
        { name: 'net1', sandbox: NETNS },
      ],
    })
    assert.equal(
      entries.map((entry) => entry.interface),
      ['net1'],
    )
  })

  it('a sandbox written in another way counts when no interface names the netns of the pod', () => {
    const [entry] = entriesOf({ interfaces: [{ name: 'net1', sandbox: '/proc/7/ns/net' }] })
    assert.is(entry?.interface, 'net1')
  })

  const gateways: [string, Partial<Result>, string[] | undefined][] = [
    ['C-6 the gateway of a default route', { routes: [{ dst: '0.0.0.0/0', gw: '10.0.0.1' }] }, ['10.0.0.1']],
    [
      'default routes of both families, however written, each gateway once',
      {
        routes: [
          { dst: '0.0.0.0/0', gw: '10.0.0.1' },
          { dst: '0::0/0', gw: 'fe80::1' },
          { dst: '::/0', gw: 'fe80::1' },
        ],
      },
      ['10.0.0.1', 'fe80::1'],
    ],
    ['C-29 a default route without any gateway', { routes: [{ dst: '0.0.0.0/0' }] }, undefined],
    ['C-29 half of the address space', { routes: [{ dst: '0.0.0.0/1', gw: '10.0.0.1' }] }, undefined],
    [
      'the gateway of an address of the family of a default route that has none',
      {
        ips: [{ address: '2001:db8::5/64', gateway: '2001:db8::1' }],
        routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0' }],
      },
      ['2001:db8::1'],
    ],
    [
      'the gateway of an address without default route',
      { ips: [{ address: '10.0.0.5/24', gateway: '10.0.0.1' }] },
      undefined,
    ],
  ]
  for (const [title, changes, expected] of gateways) {
    it(`gateway: ${title} gives ${expected?.join(' and ') ?? 'none'}`, () => {
      const [entry] = entriesOf({ interfaces: [{ name: 'net1', sandbox: NETNS }], ...changes })
      assert.equal(entry?.gateway, expected)
    })
  }

  it('NPWG-152, NPWG-153 tells the requested default route and the device at one entry', () => {
    const deviceInfo = { type: 'pci', version: '1.1.0', pci: { 'pci-address': '0000:03:02.0' } }
    const entries = entriesOf(
      {
        interfaces: [
          { name: 'net1', sandbox: NETNS },
          { name: 'net1b', sandbox: NETNS },
        ],
      },
      { requestedDefaultRoute: ['10.0.0.1'], deviceInfo },
    )
    assert.equal(entries, [
      {
        name: 'telco/n6',
        interface: 'net1',
        default: false,
        dns: {},
        'device-info': deviceInfo,
        'default-route': ['10.0.0.1'],
      },
      { name: 'telco/n6', interface: 'net1b', default: false, dns: {} },
    ])
  })

  it('an empty requested default route asks for no gateway and tells none', () => {
    const [entry] = entriesOf({}, { requestedDefaultRoute: [] })
    assert.is(entry !== undefined && 'default-route' in entry, false)
  })

  it('NPWG-155, NPWG-156, C-22 has no key that the standard and its clients do not know', () => {
    const known = new Set(
      'name interface ips mac mtu default dns device-info gateway default-route'.split(' '),
    )
    const keys = toNetworkStatus(
      [
        DEFAULT,
        attached({ interfaces: [{ name: 'net1', sandbox: NETNS, socketPath: '/s', pciID: '0000:03:02.0' }] }),
      ],
      NETNS,
    ).flatMap(Object.keys)
    assert.equal(
      keys.filter((key) => !known.has(key)),
      [],
    )
  })

  it('NPWG-140 is a JSON list, indented by four blanks', () => {
    const entries = entriesOf({})
    const text = formatNetworkStatus(entries)
    assert.equal(JSON.parse(text), entries)
    assert.ok(
      text.startsWith('[\n    {\n        "name": "telco/n6",\n        "default": false,\n        "dns": {}'),
    )
  })
})
