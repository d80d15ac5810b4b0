import * as assert from 'uvu/assert'
import { NOTHING_KEPT } from '../../src/plan/node-conflist.ts'
import { listVersion, runtimeCniVersion } from '../../src/plan/runtime-version.ts'
import { spec } from '../spec.ts'

const OTHERS = { ...NOTHING_KEPT, behind: [{ type: 'istio-cni' }] }

spec('CNI version of a runtime', (it) => {
  for (const [runtime, version] of [
    ['containerd://1.5.18', '0.4.0'],
    ['containerd://1.6.0', '1.0.0'],
    ['containerd://1.7.27+bottlerocket', '1.0.0'],
    ['containerd://1.10.1', '1.0.0'],
    ['containerd://2.0.0', '1.1.0'],
    ['containerd://v2.1.4-k3s1', '1.1.0'],
    ['containerd://10.0.1', '1.1.0'],
    ['cri-o://1.23.5', '0.4.0'],
    ['cri-o://1.31.4', '1.0.0'],
    ['cri-o://1.32.0-4.rhaos4.19.git1.el9', '1.1.0'],
    ['cri-o://1.34.1', '1.1.0'],
    ['docker://28.5.2', '1.0.0'],
    ['frakti://1.0.0', '1.0.0'],
    ['containerd://', '1.0.0'],
    ['containerd://newest', '1.0.0'],
    ['', '1.0.0'],
  ] as const) {
    it(`of "${runtime}" is ${version}`, () => assert.is(runtimeCniVersion(runtime), version))
  }
})

spec('version of the list on the node', (it) => {
  it('is what the configuration says, whatever else is known', () => {
    for (const kept of [NOTHING_KEPT, OTHERS]) {
      assert.is(listVersion({ told: '1.1.0', runtime: '1.0.0', kept }), '1.1.0')
      assert.is(listVersion({ told: '0.3.1', runtime: '1.1.0', kept }), '0.3.1')
    }
  })

  it('else that of the runtime', () => {
    for (const runtime of ['0.4.0', '1.0.0', '1.1.0'] as const)
      assert.is(listVersion({ told: undefined, runtime, kept: NOTHING_KEPT }), runtime)
  })

  it('is not raised above 1.0.0 over plugins of others, which the runtime calls in it', () => {
    assert.is(listVersion({ told: undefined, runtime: '1.1.0', kept: OTHERS }), '1.0.0')
    assert.is(listVersion({ told: undefined, runtime: '0.4.0', kept: OTHERS }), '0.4.0')
    const before = { ...NOTHING_KEPT, before: OTHERS.behind }
    assert.is(listVersion({ told: undefined, runtime: '1.1.0', kept: before }), '1.0.0')
  })
})
