import * as assert from 'uvu/assert'
import { ipFamily } from '../../src/cni/address.ts'
import type { Result, Route } from '../../src/cni/result.ts'
import { formatResult } from '../../src/cni/result-conversion.ts'
import { parseResult } from '../../src/cni/result-parsing.ts'
import { CNI_VERSIONS, type CniVersion, resultFamily } from '../../src/cni/version.ts'
import { spec } from '../spec.ts'
import { type Random, seededRandom } from './random.ts'
import { thrownBy } from './thrown.ts'

const FULL: Result = {
  version: '1.1.0',
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
  ips: [
    { interface: 1, address: '10.0.0.7/24', gateway: '10.0.0.1' },
    { address: '10.0.0.8/24' },
    { interface: -1, address: '2001:db8::7/64' },
  ],
  routes: [
    { dst: '0.0.0.0/0', gw: '10.0.0.1', mtu: 1400, advmss: 1360, priority: 5, table: 0, scope: 0 },
    { dst: '2001:db8:1::/48' },
  ],
  dns: { nameservers: ['10.0.0.2'], search: ['example.org'] },
}
const EMPTY: Result = { version: '1.1.0', interfaces: [], ips: [], routes: [], dns: {} }

const golden: [title: string, result: Result, version: CniVersion, expected: object][] = [
  [
    'CNI-121 1.1.0 to 0.4.0 gives addresses a version and strips what 0.4.0 does not know',
    FULL,
    '0.4.0',
    {
      cniVersion: '0.4.0',
      interfaces: [
        { name: 'br0', mac: '02:00:00:00:00:01' },
        { name: 'eth0', mac: '02:00:00:00:00:02', sandbox: '/run/netns/x' },
      ],
      ips: [
        { version: '4', interface: 1, address: '10.0.0.7/24', gateway: '10.0.0.1' },
        { version: '4', address: '10.0.0.8/24' },
        { version: '6', interface: -1, address: '2001:db8::7/64' },
      ],
      routes: [{ dst: '0.0.0.0/0', gw: '10.0.0.1' }, { dst: '2001:db8:1::/48' }],
      dns: { nameservers: ['10.0.0.2'], search: ['example.org'] },
    },
  ],
  [
    'CNI-122 CNI-123 1.1.0 to 0.2.0 keeps the first address of each family and its routes',
    FULL,
    '0.2.0',
    {
      cniVersion: '0.2.0',
      ip4: { ip: '10.0.0.7/24', gateway: '10.0.0.1', routes: [{ dst: '0.0.0.0/0', gw: '10.0.0.1' }] },
      ip6: { ip: '2001:db8::7/64', routes: [{ dst: '2001:db8:1::/48' }] },
      dns: { nameservers: ['10.0.0.2'], search: ['example.org'] },
    },
  ],
  [
    'CNI-122 routes of a family without address are lost',
    { ...EMPTY, ips: [{ address: '10.0.0.7/24' }], routes: [{ dst: '::/0' }] },
    '0.1.0',
    { cniVersion: '0.1.0', ip4: { ip: '10.0.0.7/24' }, dns: {} },
  ],
  [
    'CNI-121 an IPv4-mapped address counts as 4',
    { ...EMPTY, ips: [{ address: '::ffff:10.0.0.7/120' }] },
    '0.3.1',
    { cniVersion: '0.3.1', ips: [{ version: '4', address: '::ffff:10.0.0.7/120' }], dns: {} },
  ],
  ['CNI-125 an empty result in 1.1.0 has no keys', EMPTY, '1.1.0', { cniVersion: '1.1.0' }],
  ['CNI-125 an empty result in 0.3.1 has an empty dns', EMPTY, '0.3.1', { cniVersion: '0.3.1', dns: {} }],
  [
    'CNI-125 empty texts and zeros are left out, but an explicit table or scope 0 is not',
    {
      ...EMPTY,
      interfaces: [{ name: 'eth0', mac: '', sandbox: '', mtu: 0, socketPath: '', pciID: '' }],
      ips: [{ address: '10.0.0.7/24', gateway: '', interface: 0 }],
      routes: [{ dst: '0.0.0.0/0', gw: '', mtu: 0, advmss: 0, priority: 0, table: 0, scope: 0 }],
      dns: { nameservers: [], domain: '' },
    },
    '1.0.0',
    {
      cniVersion: '1.0.0',
      interfaces: [{ name: 'eth0' }],
      ips: [{ interface: 0, address: '10.0.0.7/24' }],
      routes: [{ dst: '0.0.0.0/0', table: 0, scope: 0 }],
    },
  ],
  [
    'CNI-124 an address-less result of 0.1.0 stays one in 0.2.0',
    { ...EMPTY, version: '0.1.0' },
    '0.2.0',
    { cniVersion: '0.2.0', dns: {} },
  ],
]

spec('result conversion', (it) => {
  for (const [title, result, version, expected] of golden) {
    it(title, () => assert.equal(formatResult(result, version), expected))
  }
  for (const version of ['1.0.0', '1.1.0'] as const) {
    it(`CNI-117 1.1.0 to ${version} keeps every key`, () => {
      const { version: _given, ...content } = FULL
      assert.equal(formatResult(FULL, version), { cniVersion: version, ...content })
    })
  }
  it('cniVersion is the first key', () => {
    for (const version of CNI_VERSIONS) assert.is(Object.keys(formatResult(FULL, version))[0], 'cniVersion')
  })
  for (const version of ['0.1.0', '0.2.0'] as const) {
    it(`CNI-122 CNI-123 a result without addresses cannot be said in ${version}`, () => {
      const error = thrownBy(() => formatResult(EMPTY, version))
      assert.is(error.code, 1)
      assert.match(error.message, 'cannot convert: no valid IP addresses')
    })
  }
  it('CNI-134 the result itself is left as it was', () => {
    const before = structuredClone(FULL)
    for (const version of CNI_VERSIONS) formatResult(FULL, version)
    assert.equal(FULL, before)
  })
})

const ROUNDS = 300

/** Any result that 1.1.0 can say, without zeros and empty texts (CNI-125 tells what becomes of them). */
function anyResult(random: Random, version: CniVersion): Result {
  const few = <T>(limit: number, make: (index: number) => T): T[] =>
    Array.from({ length: random.below(limit + 1) }, (_, index) => make(index))
  const maybe = (fields: object): object => (random.chance() ? fields : {})
  const ip = (): string =>
    random.chance()
      ? `10.${random.below(256)}.0.${random.below(256)}`
      : `2001:db8::${random.below(65536).toString(16)}`
  const cidr = (): string => `${ip()}/${random.below(33)}`
  return {
    version,
    interfaces: few(3, (index) => ({
      name: `if${index}`,
      ...maybe({ mac: '02:00:00:00:00:01' }),
      ...maybe({ sandbox: '/run/netns/x' }),
      ...maybe({ mtu: 1 + random.below(9000) }),
      ...maybe({ socketPath: '/s' }),
      ...maybe({ pciID: '0000:3b:02.1' }),
    })),
    ips: few(4, () => ({
      address: cidr(),
      ...maybe({ gateway: ip() }),
      ...maybe({ interface: random.below(6) - 1 }),
    })),
    routes: few(4, () => ({
      dst: cidr(),
      ...maybe({ gw: ip() }),
      ...maybe({ mtu: 1 + random.below(9000) }),
      ...maybe({ advmss: 1 + random.below(9000) }),
      ...maybe({ priority: 1 + random.below(9) }),
      ...maybe({ table: random.below(256) }),
      ...maybe({ scope: random.below(256) }),
    })),
    dns: {
      ...maybe({ nameservers: [ip(), ip()] }),
      ...maybe({ domain: 'example.org' }),
      ...maybe({ search: ['example.org'] }),
      ...maybe({ options: ['ndots:5'] }),
    },
  }
}

function forAnyResult(claim: (result: Result) => void): void {
  const random = seededRandom(117)
  for (let round = 0; round < ROUNDS; round += 1) claim(anyResult(random, '1.1.0'))
}

/** Through the JSON text of a version and back, as another program would see it. */
function through(result: Result, version: CniVersion): Result {
  const text = JSON.stringify(formatResult(result, version))
  return parseResult(JSON.parse(text), { fallbackVersion: '1.1.0', what: 'generated result' })
}

const oldRoute = ({ dst, gw }: Route): Route => (gw === undefined ? { dst } : { dst, gw })

spec('generated results', (it) => {
  for (const version of ['1.0.0', '1.1.0'] as const) {
    it(`CNI-117 through ${version} nothing is lost`, () => {
      forAnyResult((result) => assert.equal(through(result, version), { ...result, version }))
    })
  }

  for (const version of ['0.3.0', '0.3.1', '0.4.0'] as const) {
    it(`CNI-120 CNI-121 through ${version} only the keys of 1.1.0 are lost`, () => {
      forAnyResult((result) => {
        assert.equal(through(result, version), {
          ...result,
          version,
          interfaces: result.interfaces.map(({ mtu, socketPath, pciID, ...old }) => old),
          routes: result.routes.map(oldRoute),
        })
      })
    })
  }

  for (const version of ['0.1.0', '0.2.0'] as const) {
    it(`CNI-119 CNI-122 CNI-123 through ${version} the first address of each family is left`, () => {
      forAnyResult((result) => {
        if (result.ips.length === 0) {
          assert.is(thrownBy(() => formatResult(result, version)).code, 1)
          return
        }
        const families = [4, 6].filter((family) =>
          result.ips.some(({ address }) => ipFamily(address) === family),
        )
        assert.equal(through(result, version), {
          version,
          interfaces: [],
          ips: families.flatMap((family) => {
            const first = result.ips.find(({ address }) => ipFamily(address) === family)
            if (first === undefined) return []
            const { interface: _index, ...ip } = first
            return [ip]
          }),
          routes: families.flatMap((family) =>
            result.routes.filter(({ dst }) => ipFamily(dst) === family).map(oldRoute),
          ),
          dns: result.dns,
        })
      })
    })
  }

  it('CNI-118 CNI-120 CNI-124 a lower version through any not lower one comes back letter by letter', () => {
    forAnyResult((result) => {
      if (result.ips.length === 0) return
      for (const low of CNI_VERSIONS) {
        const written = JSON.stringify(formatResult(result, low))
        for (const high of CNI_VERSIONS) {
          if (resultFamily(high) < resultFamily(low)) continue
          const back = formatResult(through(through(result, low), high), low)
          assert.is(JSON.stringify(back), written, `${low} through ${high}`)
        }
      }
    })
  })
})
