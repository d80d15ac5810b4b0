import * as assert from 'uvu/assert'
import { multusIfName, parseMultusDelegates } from '../../src/plan/multus-cache.ts'
import { spec } from '../spec.ts'

const config = { cniVersion: '0.3.1', name: 'n6', type: 'macvlan', master: 'eth1' }
const base64 = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64')
const parse = (value: unknown) => parseMultusDelegates(JSON.stringify(value), 'the file')

spec('Multus’s file of a container', (it) => {
  it('configuration in base64: that counts, whatever stands beside it', () => {
    const entry = { Conf: { type: 'macvlan' }, ConfList: {}, Name: 'telco/n6', Bytes: base64(config) }
    assert.equal(parse([{ ...entry, ifnameRequest: 'n6', deviceID: '0000:03:02.1' }]), [
      { name: 'telco/n6', config, isWhole: true, ifName: 'n6', deviceId: '0000:03:02.1' },
    ])
  })

  it('without base64: a list when it has plugins, else the single one, neither of them whole', () => {
    const list = { name: 'cbr0', plugins: [{ type: 'flannel' }] }
    const single = { name: 'n6', type: 'macvlan' }
    const read = parse([
      { Conf: {}, ConfList: list },
      { Conf: single, ConfList: { plugins: null } },
    ])
    assert.equal(
      read.map(({ config, isWhole }) => [config, isWhole]),
      [
        [list, false],
        [single, false],
      ],
    )
  })

  it('plain configurations, as the first releases wrote them', () => {
    assert.equal(
      parse([config]).map(({ config, isWhole }) => [config, isWhole]),
      [[config, true]],
    )
  })

  it('interfaces are called as Multus called them', () => {
    const [plain] = parse([config])
    const [asked] = parse([{ Bytes: base64(config), ifnameRequest: 'n6' }])
    assert.ok(plain !== undefined && asked !== undefined)
    assert.equal([multusIfName(plain, 0, 'eth7'), multusIfName(plain, 3, 'eth7')], ['eth7', 'net3'])
    assert.is(multusIfName(asked, 3, 'eth7'), 'n6')
  })

  for (const [title, value, reason] of [
    ['no list', {}, 'is no list of networks'],
    ['an entry that is nothing', [null], 'the file /0 is no object'],
    ['an entry without configuration', [{ Conf: {} }], 'the file /0 has no configuration'],
    ['base64 of something else', [{ Bytes: base64([1]) }], 'has no configuration'],
    ['an interface that cannot be one', [{ Bytes: base64(config), ifnameRequest: 'a/b' }], 'ifnameRequest'],
  ] as const) {
    it(`${title} is an error that says where`, () => assert.throws(() => parse(value), new RegExp(reason)))
  }
})
