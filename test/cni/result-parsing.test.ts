import * as assert from 'uvu/assert'
import { parseJson } from '../../src/cni/json.ts'
import type { Result } from '../../src/cni/result.ts'
import { parseResult } from '../../src/cni/result-parsing.ts'
import type { CniVersion } from '../../src/cni/version.ts'
import { spec } from '../spec.ts'
import { thrownBy } from './thrown.ts'

const WHAT = 'result of plugin "bridge"'
const read = (value: unknown, fallbackVersion: CniVersion = '1.0.0'): Result =>
  parseResult(value, { fallbackVersion, what: WHAT })

const ROUTE_EXTRAS = { mtu: 1400, advmss: 1360, priority: 5, table: 0, scope: 253 }

spec('result parsing', (it) => {
  it('CNI-117 a 1.1.0 result keeps everything', () => {
    const value = {
      cniVersion: '1.1.0',
      interfaces: [
        { name: 'br0', mac: '02:00:00:00:00:01' },
        {
          name: 'eth0',
          mac: '02:00:00:00:00:02',
          sandbox: '/run/netns/x',
          mtu: 9000,
          socketPath: '/s',
          pciID: 'p',
        },
      ],
      ips: [{ interface: 1, address: '10.0.0.7/24', gateway: '10.0.0.1' }, { address: '2001:db8::7/64' }],
      routes: [{ dst: '0.0.0.0/0', gw: '10.0.0.1', ...ROUTE_EXTRAS }],
      dns: {
        nameservers: ['10.0.0.2'],
        domain: 'example.org',
        search: ['example.org'],
        options: ['ndots:5'],
      },
    }
    const { cniVersion, ...content } = value
    assert.equal(read(value), { version: cniVersion, ...content })
  })

  it('CNI-118 CNI-119 a dual-stack 0.2.0 result has IPv4 first and the routes of both', () => {
    const value = {
      cniVersion: '0.2.0',
      ip6: { ip: '2001:db8::7/64', routes: [{ dst: '::/0', gw: '2001:db8::1' }] },
      ip4: { ip: '10.0.0.7/24', gateway: '10.0.0.1', routes: [{ dst: '0.0.0.0/0' }] },
      dns: { nameservers: ['10.0.0.2'] },
    }
    assert.equal(read(value), {
      version: '0.2.0',
      interfaces: [],
      ips: [{ address: '10.0.0.7/24', gateway: '10.0.0.1' }, { address: '2001:db8::7/64' }],
      routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0', gw: '2001:db8::1' }],
      dns: { nameservers: ['10.0.0.2'] },
    })
  })

  it('CNI-120 a 0.4.0 result loses the version of its addresses and keys that are not in it', () => {
    const value = {
      cniVersion: '0.4.0',
      interfaces: [{ name: 'eth0', sandbox: '/x', mtu: 1500, socketPath: '/s', pciID: 'p' }],
      ips: [{ version: '4', address: '10.0.0.7/24', gateway: '10.0.0.1', interface: 0 }],
    }
    assert.equal(read(value), {
      version: '0.4.0',
      interfaces: [{ name: 'eth0', sandbox: '/x' }],
      ips: [{ address: '10.0.0.7/24', gateway: '10.0.0.1', interface: 0 }],
      routes: [],
      dns: {},
    })
  })

  it('CNI-126 a 0.3.0 result has ips', () => {
    assert.equal(read({ cniVersion: '0.3.0', ips: [{ version: '4', address: '10.0.0.7/24' }] }).ips, [
      { address: '10.0.0.7/24' },
    ])
  })

  for (const index of [-1, 7, 0]) {
    it(`CNI-127 the interface index ${index} stays what it is`, () => {
      assert.is(read({ ips: [{ address: '10.0.0.7/24', interface: index }] }).ips[0]?.interface, index)
    })
  }

  for (const value of [{}, { cniVersion: '' }, { cniVersion: null }, null]) {
    it(`CNI-074 ${JSON.stringify(value)} is an empty result in the config's version`, () => {
      for (const version of ['0.2.0', '0.4.0', '1.0.0'] as const) {
        assert.equal(read(value, version), { version, interfaces: [], ips: [], routes: [], dns: {} })
      }
    })
  }

  it('CNI-075 a result is read by the version that it names, not by the config’s', () => {
    assert.equal(read({ cniVersion: '0.1.0', ip4: { ip: '10.0.0.7/24' } }, '1.1.0').ips, [
      { address: '10.0.0.7/24' },
    ])
  })

  it('CNI-097 an error object on exit 0 is an empty result', () => {
    assert.equal(read({ code: 7, msg: 'no' }).ips, [])
  })

  it('CNI-116 null counts as absent, empty texts too', () => {
    const value = {
      interfaces: null,
      ips: [{ address: '10.0.0.7/24', gateway: '', interface: null }],
      routes: [{ dst: '0.0.0.0/0', gw: null, mtu: null }],
      dns: { nameservers: null, domain: '', search: [] },
    }
    assert.equal(read(value), {
      version: '1.0.0',
      interfaces: [],
      ips: [{ address: '10.0.0.7/24' }],
      routes: [{ dst: '0.0.0.0/0' }],
      dns: {},
    })
    assert.equal(read({ ip4: null, dns: null }, '0.2.0').ips, [])
  })

  it('CNI-116 integers are read however they are written', () => {
    assert.is(
      read(parseJson('{"ips":[{"address":"10.0.0.7/24","interface":1.0}]}', 'x')).ips[0]?.interface,
      1,
    )
  })
})

const malformed: [title: string, value: unknown, phrase: string, version?: CniVersion][] = [
  [
    'CNI-116 an address without prefix length',
    { ips: [{ address: '10.0.0.1' }] },
    '/ips/0/address must be an address with prefix length, not "10.0.0.1"',
  ],
  ['CNI-116 a missing address', { ips: [{}] }, '/ips/0/address is missing'],
  [
    'CNI-116 a gateway with prefix length',
    { ips: [{ address: '10.0.0.1/8', gateway: '10.0.0.2/8' }] },
    '/ips/0/gateway must be an IP address',
  ],
  ['CNI-116 a route without mask', { routes: [{ dst: '10.0.0.0' }] }, '/routes/0/dst'],
  [
    'CNI-116 a gateway of a route that is none',
    { routes: [{ dst: '10.0.0.0/8', gw: 'router' }] },
    '/routes/0/gw',
  ],
  ['CNI-116 an address in 0.2.0', { ip4: { ip: '10.0.0.1' } }, '/ip4/ip', '0.2.0'],
  [
    'CNI-116 a route in 0.2.0',
    { ip6: { ip: '::1/64', routes: [{ dst: 'x' }] } },
    '/ip6/routes/0/dst',
    '0.2.0',
  ],
  ['an ip4 that is no object', { ip4: 'x' }, '/ip4 must be a JSON object', '0.1.0'],
  ['ips that are no list', { ips: {} }, '/ips must be a list'],
  ['an interface that is no object', { interfaces: ['eth0'] }, '/interfaces/0 must be a JSON object'],
  [
    'an index that is no integer',
    { ips: [{ address: '10.0.0.1/8', interface: 0.5 }] },
    '/ips/0/interface must be an integer',
  ],
  ['a name that is no text', { interfaces: [{ name: 1 }] }, '/interfaces/0/name must be a string'],
  [
    'nameservers that are no texts',
    { dns: { nameservers: [1] } },
    '/dns/nameservers must be a list of strings',
  ],
  ['dns that is no object', { dns: 'x' }, '/dns must be a JSON object'],
  ['no object at all', [], 'is no JSON object'],
  ['CNI-075 an unknown version', { cniVersion: '1.0' }, 'unsupported CNI result version "1.0"'],
  ['CNI-075 a version that is no text', { cniVersion: 1 }, 'unsupported CNI result version 1'],
]

spec('malformed results', (it) => {
  for (const [title, value, phrase, version] of malformed) {
    it(`${title} is refused with its place`, () => {
      const error = thrownBy(() => read(value, version))
      assert.is(error.code, 105)
      assert.match(error.message, WHAT)
      assert.match(error.message, phrase)
    })
  }
  it('CNI-116 all faults come at once', () => {
    const error = thrownBy(() => read({ ips: [{ address: 'a' }, { address: 'b' }], routes: [{ dst: 'c' }] }))
    assert.is(error.faults.length, 3)
  })
})
