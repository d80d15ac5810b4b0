import { isIP } from 'node:net'
import * as assert from 'uvu/assert'
import { bareIp, ipFamily, isCidr, isDefaultRoute, parseCidr, parseIp } from '../../src/cni/address.ts'
import { spec } from '../spec.ts'
import { seededRandom } from './random.ts'

spec('addresses', (it) => {
  for (const text of [
    '010.0.0.1',
    '0x0a.0.0.1',
    '10.1',
    '167772161',
    '10.0.0.256',
    '10.0.0.1.',
    ' 10.0.0.1',
    '10.0.0.1\n',
    '',
    'fe80::1%eth0',
    '1::2::3',
    '::ffff:010.0.0.1',
    '::ffff:10.1',
    ':',
    '10.0.0.1/24',
  ]) {
    it(`CNI-116 ${JSON.stringify(text)} is no address`, () => assert.is(parseIp(text), undefined))
  }
  it('CNI-116 addresses are read in canonical form', () => {
    assert.equal(parseIp('10.0.0.1'), { family: 4, text: '10.0.0.1' })
    assert.equal(parseIp('2001:DB8:0:0::1'), { family: 6, text: '2001:db8::1' })
    assert.equal(parseIp('::'), { family: 6, text: '::' })
  })
  it('CNI-121 an IPv4-mapped address counts as 4', () => {
    assert.equal(parseIp('::ffff:10.0.0.1'), { family: 4, text: '10.0.0.1' })
    assert.is(ipFamily('::ffff:a00:1/120'), 4)
  })
  it('CNI-116 host bits of a CIDR are kept', () => {
    assert.equal(parseCidr('10.0.0.7/24'), { family: 4, ip: '10.0.0.7', prefixLength: 24 })
    assert.equal(parseCidr('2001:db8::7/64'), { family: 6, ip: '2001:db8::7', prefixLength: 64 })
  })
  for (const text of [
    '10.0.0.1',
    '10.0.0.1/',
    '10.0.0.1/33',
    '10.0.0.1/-1',
    '10.0.0.1/024',
    '10.0.0.1/24/',
    '10.0.0.1/255.255.255.0',
    '::/129',
    '/24',
    '0/0',
  ]) {
    it(`CNI-116 "${text}" is no address with prefix length`, () => assert.not(isCidr(text)))
  }
  for (const dst of ['0.0.0.0/0', '::/0', '0:0:0:0:0:0:0:0/0', '10.1.2.3/0', '::0.0.0.0/0']) {
    it(`${dst} is the default route`, () => assert.ok(isDefaultRoute(dst)))
  }
  for (const dst of ['0.0.0.0/1', '::/1', '0.0.0.0', 'default', '']) {
    it(`"${dst}" is not the default route`, () => assert.not(isDefaultRoute(dst)))
  }
  it('a family is told with and without a prefix length', () => {
    assert.equal(['10.0.0.1', '10.0.0.1/8', '::1', '::1/128', 'x', 'x/8'].map(ipFamily), [
      4,
      4,
      6,
      6,
      undefined,
      undefined,
    ])
  })
  it('a bare address is the text before the slash', () => {
    assert.equal(['10.0.0.1/24', '10.0.0.1', '::1/64'].map(bareIp), ['10.0.0.1', '10.0.0.1', '::1'])
  })
  it('CNI-116 5,000 generated texts are judged as the system library does', () => {
    const random = seededRandom(20)
    const pieces = [
      '1',
      '10',
      '255',
      '256',
      '0',
      '00',
      'fe80',
      'FFFF',
      ':',
      '::',
      '.',
      ':',
      '.',
      'g',
    ] as const
    for (let round = 0; round < 5000; round += 1) {
      const text = Array.from({ length: 1 + random.below(12) }, () => random.pick(pieces)).join('')
      assert.is(parseIp(text) !== undefined, isIP(text) !== 0, text)
    }
  })
})
