import * as assert from 'uvu/assert'
import type { JsonObject } from '../../src/cni/json.ts'
import { spec } from '../spec.ts'
import { planPod, pod } from './plan-input.ts'

const K8S = 'IgnoreUnknown=1;K8S_POD_NAMESPACE=telco;K8S_POD_NAME=p;K8S_POD_INFRA_CONTAINER_ID=c1'

/** CNI_ARGS of each attachment of a pod with one further network. */
function argsOf(element: JsonObject, config: JsonObject, args = K8S): string[] {
  const plan = planPod({
    args,
    pod: pod([{ name: 'a', ...element }]),
    nads: { 'telco/a': { cniVersion: '1.0.0', ...config } },
  })
  return plan.attachments.map((attachment) => attachment.args)
}

spec('CNI_ARGS of attachments', (it) => {
  it('CNI-019 the pod reaches every network', () => {
    assert.equal(argsOf({}, { type: 'bridge' }), [K8S, K8S])
  })

  it('CNI-020 IgnoreUnknown is there once', () => {
    assert.equal(argsOf({}, { type: 'bridge' }, 'A=1;IgnoreUnknown=true;IgnoreUnknown=1'), [
      'A=1;IgnoreUnknown=true',
      'A=1;IgnoreUnknown=true',
    ])
    assert.equal(argsOf({}, { type: 'bridge' }, 'A=1'), ['A=1;IgnoreUnknown=1', 'A=1;IgnoreUnknown=1'])
  })

  it('no args stay no args', () => {
    assert.equal(argsOf({}, { type: 'bridge' }, ''), ['', ''])
  })

  it("the runtime's IP, MAC and GATEWAY are the default network's", () => {
    assert.equal(argsOf({}, { type: 'bridge' }, 'IP=10.0.0.9;MAC=02:00:00:00:00:01;GATEWAY=10.0.0.1;A=1'), [
      'IP=10.0.0.9;MAC=02:00:00:00:00:01;GATEWAY=10.0.0.1;A=1;IgnoreUnknown=1',
      'A=1;IgnoreUnknown=1',
    ])
  })

  const MAC = '02:00:00:00:00:0a'
  const cases: readonly (readonly [string, JsonObject, JsonObject, string])[] = [
    ['a plugin known to read MAC', { mac: MAC }, { type: 'bridge' }, `;MAC=${MAC}`],
    ['one that declares mac', { mac: MAC }, { type: 'bridge', capabilities: { mac: true } }, ''],
    ['one not known to read MAC', { mac: MAC }, { type: 'vlan' }, ''],
    [
      'IPAM known to read IP',
      { ips: ['10.0.0.5', 'fd00::5/64'] },
      { type: 'vlan', ipam: { type: 'host-local' } },
      ';IP=10.0.0.5,fd00::5/64',
    ],
    [
      'one that declares ips',
      { ips: ['10.0.0.5'] },
      { type: 'vlan', ipam: { type: 'host-local' }, capabilities: { ips: true } },
      '',
    ],
    ['one not known to read IP', { ips: ['10.0.0.5'] }, { type: 'vlan', ipam: { type: 'dhcp' } }, ''],
    [
      'a nested delegate that reads it',
      { mac: MAC },
      { type: 'flannel', delegate: { type: 'bridge' } },
      `;MAC=${MAC}`,
    ],
  ]
  for (const [title, element, config, added] of cases) {
    it(`CNI-021, C-2 an address asked for, with ${title}: "${added}"`, () => {
      assert.equal(argsOf(element, config), [K8S, `${K8S}${added}`])
    })
  }

  it('NPWG-045 a prefix is neither added nor taken away', () => {
    const [, args] = argsOf({ ips: ['10.0.0.5'] }, { type: 'vlan', ipam: { type: 'static' } })
    assert.match(args ?? '', /IP=10\.0\.0\.5$/)
  })
})
