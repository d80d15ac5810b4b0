import * as assert from 'uvu/assert'
import { delegatedTypes } from '../../src/cni/conflist.ts'
import { asPluginConf } from '../../src/cni/plugin-conf.ts'
import { spec } from '../spec.ts'

spec('plugin conf', (it) => {
  it('the plugins that a conf makes run are its own, its IPAM and flannel-style delegates', () => {
    assert.equal(delegatedTypes({ type: 'tuning' }), ['tuning'])
    assert.equal(delegatedTypes({ type: 'bridge', ipam: { type: 'host-local' } }), ['bridge', 'host-local'])
    assert.equal(
      delegatedTypes({ type: 'flannel', delegate: { type: 'bridge', ipam: { type: 'static' } } }),
      ['flannel', 'bridge', 'static'],
    )
    assert.equal(delegatedTypes({ type: 'flannel', delegate: { ipam: { type: 'static' } } }), [
      'flannel',
      'static',
    ])
  })
  it('an IPAM that is empty, null or no object names no plugin', () => {
    for (const ipam of [{}, { type: '' }, { type: 1 }, null, 'host-local', []]) {
      assert.equal(delegatedTypes({ type: 'bridge', ipam }), ['bridge'])
    }
  })
  it('only an object with a type is a plugin conf', () => {
    const conf = { type: 'x' }
    assert.is(asPluginConf(conf), conf)
    for (const value of [{}, { type: '' }, { type: 1 }, null, [], 'x'])
      assert.is(asPluginConf(value), undefined)
  })
})
