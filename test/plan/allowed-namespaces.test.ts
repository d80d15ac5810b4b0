import * as assert from 'uvu/assert'
import { CniErrorCode } from '../../src/cni/codes.ts'
import { spec } from '../spec.ts'
import { netConf, type PlanCase, planPod, pod } from './plan-input.ts'

/** A NAD of another namespace for those who match. */
function plan(selector: string, given: PlanCase = {}) {
  return planPod({ pod: pod('infra/a'), selectors: { 'infra/a': selector }, namespaceLabels: {}, ...given })
}

const codesOf = ({ faults }: ReturnType<typeof planPod>): number[] => faults.map(({ code }) => code)

spec('allowed namespaces of a NAD', (it) => {
  const ways: readonly (readonly [string, ReturnType<typeof pod>])[] = [
    ['comma form', pod('infra/a')],
    ['JSON form', pod([{ name: 'a', namespace: 'infra' }])],
    ['optional element', pod([{ name: 'a', namespace: 'infra', 'io.plexus-cni.optional': true }])],
    ['default-network annotation', pod(undefined, 'infra/a')],
  ]
  for (const [title, chosen] of ways) {
    it(`refuses a namespace that is not selected: ${title}`, () => {
      const refused = plan('team in (core, edge)', { pod: chosen, namespaceLabels: { team: 'web' } })
      assert.equal(codesOf(refused), [CniErrorCode.NamespaceIsolation])
      assert.is(
        refused.faults[0]?.message,
        'NAD infra/a may not be used from namespace telco: its annotation plexus-cni.io/allowed-namespaces does not select it',
      )
      assert.equal(
        plan('team in (core, edge)', { pod: chosen, namespaceLabels: { team: 'edge' } }).faults,
        [],
      )
    })
  }

  it("selects by the namespace's name, also where its labels are not known", () => {
    for (const namespaceLabels of [undefined, {}, { 'kubernetes.io/metadata.name': 'infra' }]) {
      const selects = (name: string) => plan(`kubernetes.io/metadata.name=${name}`, { namespaceLabels })
      assert.equal(selects('telco').faults, [])
      assert.equal(codesOf(selects('infra')), [CniErrorCode.NamespaceIsolation])
    }
  })

  it('never allows what it cannot tell: the pod has to wait', () => {
    for (const selector of ['team=core', '!team', 'team!=core,kubernetes.io/metadata.name=telco']) {
      const { faults } = plan(selector, { namespaceLabels: undefined })
      assert.equal(
        faults.map(({ code }) => code),
        [CniErrorCode.TryAgainLater],
      )
      assert.match(faults[0]?.message ?? '', 'the labels of the namespace are not known')
    }
  })

  for (const selector of ['', 'team=core,', '{"matchLabels":{}}']) {
    it(`a selector that cannot be read allows nobody: "${selector}"`, () => {
      const { faults } = plan(selector)
      assert.is(faults[0]?.code, CniErrorCode.NamespaceIsolation)
      assert.match(faults[0]?.hint ?? '', 'correct the annotation of NAD infra/a')
    })
  }

  it("the NAD's own namespace is always allowed", () => {
    assert.equal(
      plan('team=core', { pod: pod('a', undefined, 'infra'), namespaceLabels: undefined }).faults,
      [],
    )
  })

  it('holds beside isolation, not in its place', () => {
    const isolated = netConf({ namespaceIsolation: true })
    const labels = { team: 'core' }
    assert.equal(codesOf(plan('team=core', { conf: isolated, namespaceLabels: labels })), [
      CniErrorCode.NamespaceIsolation,
    ])
    const global = netConf({ namespaceIsolation: true, globalNamespaces: 'infra' })
    assert.equal(plan('team=core', { conf: global, namespaceLabels: labels }).faults, [])
    assert.equal(codesOf(plan('team=core', { conf: global })), [CniErrorCode.NamespaceIsolation])
  })

  it("the node's own networks are not the pod's choice", () => {
    const conf = netConf({ delegates: [], defaultNetwork: 'infra/a', defaultNetworks: ['infra/a'] })
    assert.equal(plan('team=core', { conf, pod: pod() }).faults, [])
  })

  it('what else is wrong with the NAD is not told', () => {
    const { faults } = plan('team=core', { nads: { 'infra/a': { cniVersion: '1.0.0', type: 'ovs' } } })
    assert.is(faults.length, 1)
    assert.match(faults[0]?.message ?? '', 'may not be used')
  })
})
