import * as assert from 'uvu/assert'
import { type JsonObject, parseJson } from '../../src/cni/json.ts'
import { deviceText } from '../../src/map/device-text.ts'
import { pluginFacts } from '../../src/map/plugin-facts.ts'
import { spec } from '../spec.ts'

const cases: readonly (readonly [conf: string, facts: readonly string[]])[] = [
  ['{"type":"bridge","bridge":"br0","vlan":100,"mtu":1400}', ['bridge br0', 'VLAN 100', 'MTU 1400']],
  [
    '{"type":"macvlan","master":"eth1","mode":"bridge","ipam":{"type":"dhcp"}}',
    ['on eth1', 'mode bridge', 'addresses by dhcp'],
  ],
  ['{"type":"sriov","deviceID":"0000:03:02.1","vlan":0}', ['device 0000:03:02.1']],
  ['{"type":"bridge","ipam":{"type":"host-local","subnet":"10.1.0.0/16"}}', ['10.1.0.0/16']],
  [
    '{"ipam":{"type":"host-local","ranges":[[{"subnet":"10.1.0.0/16"}],[{"subnet":"fd00::/64"}]]}}',
    ['10.1.0.0/16', 'fd00::/64'],
  ],
  [
    '{"ipam":{"type":"whereabouts","range":"10.2.0.0/24","ipRanges":[{"range":"10.3.0.0/24"}]}}',
    ['10.2.0.0/24', '10.3.0.0/24'],
  ],
  ['{"ipam":{"type":"static","addresses":[{"address":"10.4.0.9/24"}]}}', ['10.4.0.9/24']],
  [
    '{"bridge":7,"master":["x"],"mtu":{"a":1},"ipam":{"type":3,"ranges":[[null]]}}',
    ['bridge 7', 'addresses by 3'],
  ],
  ['{"ipam":[],"vlan":null}', []],
]

spec('what a configuration says of links and addresses', (it) => {
  for (const [conf, facts] of cases) {
    it(`${conf}: ${facts.join(', ') || 'nothing'}`, () => {
      assert.equal(pluginFacts(parseJson(conf, 'conf') as JsonObject), facts)
    })
  }

  it('a device is told by its address or its path', () => {
    assert.is(
      deviceText({ type: 'pci', version: '1.1.0', pci: { 'pci-address': '0000:03:02.1' } }),
      'pci 0000:03:02.1',
    )
    assert.is(
      deviceText({ type: 'vhost-user', 'vhost-user': { mode: 'client', path: '/run/s' } }),
      'vhost-user /run/s',
    )
    assert.is(deviceText({ type: 'odd' }), 'odd')
    assert.is(deviceText('pci'), undefined)
  })
})
