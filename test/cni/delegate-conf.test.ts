import * as assert from 'uvu/assert'
import { capabilitiesOf, injectConf, selectRuntimeConfig } from '../../src/cni/delegate-conf.ts'
import { parseJson } from '../../src/cni/json.ts'
import { asPluginConf } from '../../src/cni/plugin-conf.ts'
import { spec } from '../spec.ts'

const LIST = { name: 'n6', cniVersion: '1.0.0' } as const

spec('delegate conf', (it) => {
  it('CNI-070 name and version of the list win over the member’s own', () => {
    assert.equal(injectConf({ cniVersion: '0.3.1', name: 'own', type: 'x' }, LIST, {}), {
      cniVersion: '1.0.0',
      name: 'n6',
      type: 'x',
    })
    assert.equal(injectConf({ type: 'x' }, LIST, {}), { type: 'x', name: 'n6', cniVersion: '1.0.0' })
  })

  it('CNI-071 every other key passes unchanged, in its order and to the digit', () => {
    const text =
      '{"zeta":{"y":[1,{"z":null}]},"name":"n6","type":"x","cniVersion":"1.0.0","big":9007199254740993,"__proto__":{"a":1.0}}'
    const conf = asPluginConf(parseJson(text, 'x'))
    assert.is(JSON.stringify(conf && injectConf(conf, LIST, {})), text)
  })

  it('CNI-071 the conf itself is not changed', () => {
    const conf = { type: 'x', args: { cni: { a: 1 } } }
    injectConf(conf, LIST, {
      cniArgs: { a: 2 },
      runtimeConfig: { mac: 'x' },
      prevResult: {},
      extra: { deviceID: 'd' },
    })
    assert.equal(conf, { type: 'x', args: { cni: { a: 1 } } })
  })

  it('CNI-072 prevResult is what is injected and nothing else', () => {
    const conf = { type: 'x', prevResult: { stale: true } }
    assert.equal(injectConf(conf, LIST, { prevResult: { cniVersion: '1.0.0' } }).prevResult, {
      cniVersion: '1.0.0',
    })
    assert.not.ok('prevResult' in injectConf(conf, LIST, {}))
  })

  it('CNI-076 an injected runtimeConfig replaces the whole key, none leaves it', () => {
    const conf = { type: 'x', runtimeConfig: { a: 1 } }
    assert.equal(injectConf(conf, LIST, { runtimeConfig: { b: 2 } }).runtimeConfig, { b: 2 })
    assert.equal(injectConf(conf, LIST, {}).runtimeConfig, { a: 1 })
  })

  it('CNI-077 capabilities stay in the request', () => {
    assert.equal(injectConf({ type: 'x', capabilities: { mac: true } }, LIST, {}).capabilities, { mac: true })
  })

  it('CNI-088 cni.dev keys of the conf are dropped, injected ones are sent', () => {
    const conf = { type: 'x', 'cni.dev/attachments': [], 'cni.dev/other': 1 }
    assert.equal(injectConf(conf, LIST, { extra: { 'cni.dev/valid-attachments': [] } }), {
      type: 'x',
      ...LIST,
      'cni.dev/valid-attachments': [],
    })
  })

  it('CNI-088 NPWG-049 cni-args are merged into args.cni and win', () => {
    const conf = { type: 'x', args: { other: 1, cni: { a: 1, b: 1 } } }
    assert.equal(injectConf(conf, LIST, { cniArgs: { b: 2 } }).args, { other: 1, cni: { a: 1, b: 2 } })
    assert.equal(injectConf({ type: 'x' }, LIST, { cniArgs: { b: 2 } }).args, { cni: { b: 2 } })
  })

  it('CNI-151 a device ID is set beside what the conf has', () => {
    assert.is(
      injectConf({ type: 'sriov', deviceID: 'old' }, LIST, { extra: { deviceID: '0000:3b:02.1' } }).deviceID,
      '0000:3b:02.1',
    )
  })
})

spec('runtimeConfig', (it) => {
  const conf = {
    type: 'x',
    capabilities: { portMappings: true, mac: false, bandwidth: 'true', ips: true, '': true },
  }
  it('CNI-076 only capabilities that are literally true count', () => {
    assert.equal(capabilitiesOf(conf), ['portMappings', 'ips'])
    for (const capabilities of [undefined, null, [], 'mac'])
      assert.equal(capabilitiesOf({ type: 'x', capabilities }), [])
  })
  it('CNI-076 a plugin gets what it declared and no more', () => {
    const available = { portMappings: [], mac: '02:00:00:00:00:01', bandwidth: {}, '': 1 }
    assert.equal(selectRuntimeConfig(conf, available), { portMappings: [] })
  })
  it('CNI-079 a null value is not sent, nor an empty object', () => {
    assert.is(selectRuntimeConfig(conf, { portMappings: null, ips: undefined }), undefined)
    assert.is(selectRuntimeConfig(conf, {}), undefined)
  })
  it('a capability with the name of an inherited property gets nothing', () => {
    assert.is(selectRuntimeConfig({ type: 'x', capabilities: { toString: true } }, {}), undefined)
  })
})
