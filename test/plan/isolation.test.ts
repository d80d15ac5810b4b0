import * as assert from 'uvu/assert'
import { CniErrorCode } from '../../src/cni/codes.ts'
import { spec } from '../spec.ts'
import { netConf, planPod, pod } from './plan-input.ts'

const ISOLATED = { namespaceIsolation: true }

spec('namespace isolation', (it) => {
  // Every way in which a pod can name a network of another namespace.
  const forbidden: readonly (readonly [string, unknown, unknown])[] = [
    ['comma form', 'other/a', undefined],
    ['comma form with interface', 'other/a@x0', undefined],
    ['JSON form', [{ name: 'a', namespace: 'other' }], undefined],
    ['one JSON object', { name: 'a', namespace: 'other' }, undefined],
    ['behind one that is allowed', 'b,other/a', undefined],
    ['optional element', [{ name: 'a', namespace: 'other', 'io.plexus-cni.optional': true }], undefined],
    ['default-network annotation', undefined, 'other/a'],
    ['default-network annotation in JSON', undefined, [{ name: 'a', namespace: 'other' }]],
    ['default-network annotation beside allowed networks', 'b', 'other/a'],
    ["Multus's namespace by the networks annotation", 'kube-system/a', undefined],
  ]
  for (const [title, networks, defaultNetwork] of forbidden) {
    it(`NPWG-116 refuses: ${title}`, () => {
      const given = { pod: pod(networks, defaultNetwork) }
      const { faults } = planPod({ ...given, conf: netConf(ISOLATED) })
      assert.equal(
        faults.map(({ code }) => code),
        [CniErrorCode.NamespaceIsolation],
      )
      assert.match(faults[0]?.message ?? '', 'pod is in namespace telco but refers to target namespace')
      assert.equal(planPod({ ...given, conf: netConf() }).faults, [], 'allowed without isolation')
    })
  }

  it('a network that does not exist, or is broken, elsewhere is told from a forbidden one by nothing', () => {
    const given = { conf: netConf(ISOLATED), pod: pod('other/a') }
    const sound = planPod(given).faults.map(({ message }) => message)
    for (const config of [{ type: 7 }, { cniVersion: '1.0.0', type: 'ovs' }]) {
      const { faults, warnings } = planPod({ ...given, nads: { 'other/a': config } })
      assert.equal(
        faults.map(({ message }) => message),
        sound,
      )
      assert.is(faults[0]?.code, CniErrorCode.NamespaceIsolation)
      assert.equal(warnings, [])
    }
  })

  const allowed: readonly (readonly [string, unknown, unknown, string | undefined])[] = [
    ["the pod's own namespace", 'a,telco/b', undefined, undefined],
    ['default is global unless globalNamespaces says else', 'default/a', undefined, undefined],
    ['a global namespace', 'shared/a', undefined, 'infra, shared'],
    ['a global namespace by the default-network annotation', undefined, 'shared/a', 'shared'],
    ["Multus's namespace by the default-network annotation", undefined, 'a', undefined],
  ]
  for (const [title, networks, defaultNetwork, globalNamespaces] of allowed) {
    it(`NPWG-116 allows: ${title}`, () => {
      const conf = netConf({ ...ISOLATED, ...(globalNamespaces === undefined ? {} : { globalNamespaces }) })
      assert.equal(planPod({ conf, pod: pod(networks, defaultNetwork) }).faults, [])
    })
  }

  it('globalNamespaces replaces its default', () => {
    const conf = netConf({ ...ISOLATED, globalNamespaces: 'shared' })
    assert.is(planPod({ conf, pod: pod('default/a') }).faults[0]?.code, CniErrorCode.NamespaceIsolation)
  })

  it("the node's own networks are not the pod's choice", () => {
    const conf = netConf({
      ...ISOLATED,
      delegates: [],
      defaultNetwork: 'other/a',
      defaultNetworks: ['other/b'],
    })
    assert.equal(planPod({ conf, pod: pod() }).faults, [])
  })

  it('a caller without a pod is in no namespace', () => {
    assert.equal(planPod({ conf: netConf(ISOLATED), pod: undefined }).faults, [])
  })
})
