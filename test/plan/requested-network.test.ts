import * as assert from 'uvu/assert'
import { CniError } from '../../src/cni/cni-error.ts'
import { CniErrorCode } from '../../src/cni/codes.ts'
import type { JsonObject } from '../../src/cni/json.ts'
import { parseNetConf } from '../../src/config/net-conf.ts'
import { allFaults, chooseNetworks, type NetworkReference } from '../../src/plan/requested-network.ts'
import { thrownBy } from '../cni/thrown.ts'
import { spec } from '../spec.ts'
import { netConf, pod } from './plan-input.ts'

const INLINE = { type: 'bridge', name: 'inline' }

const conf = (keys: JsonObject) => parseNetConf({ type: 'plexus', name: 'n', ...keys })

spec('choice of networks', (it) => {
  // One row for every row of the table in docs/configuration.md, each beside all that ranks below it.
  const precedence: readonly (readonly [string, JsonObject, unknown, NetworkReference])[] = [
    [
      "the pod's annotation wins over all of the net-conf",
      { defaultNetwork: 'own', clusterNetwork: 'multus', delegates: [INLINE] },
      'other/alt',
      { kind: 'nad', namespace: 'other', name: 'alt' },
    ],
    [
      'defaultNetwork wins over clusterNetwork and delegates',
      { defaultNetwork: 'own', clusterNetwork: 'multus', delegates: [INLINE] },
      undefined,
      { kind: 'named', namespace: 'kube-system', name: 'own' },
    ],
    [
      'clusterNetwork wins over delegates',
      { clusterNetwork: 'multus', delegates: [INLINE] },
      undefined,
      { kind: 'named', namespace: 'kube-system', name: 'multus' },
    ],
    [
      'delegates[0] wins over the folder',
      { delegates: [INLINE], confDir: '/etc/x' },
      undefined,
      { kind: 'inline', conf: INLINE, what: 'delegates[0] of the net-conf' },
    ],
    [
      'multusAutoconfigDir wins over confDir',
      { multusAutoconfigDir: '/etc/auto', confDir: '/etc/x' },
      undefined,
      { kind: 'first-file', directory: '/etc/auto' },
    ],
    [
      'confDir wins over the default folder',
      { confDir: '/etc/x' },
      undefined,
      { kind: 'first-file', directory: '/etc/x' },
    ],
    [
      'the default folder is the last resort',
      {},
      undefined,
      { kind: 'first-file', directory: '/etc/cni/net.d' },
    ],
  ]
  for (const [title, keys, annotation, expected] of precedence) {
    it(`NPWG-101, NPWG-102 the default network: ${title}`, () => {
      const { networks } = chooseNetworks(conf(keys), pod(undefined, annotation))
      assert.equal(networks[0]?.reference, expected)
      assert.is(networks[0]?.isDefault, true)
      assert.is(networks.filter(({ isDefault }) => isDefault).length, 1)
    })
  }

  const references: readonly (readonly [string, NetworkReference])[] = [
    ['plain', { kind: 'named', namespace: 'net-system', name: 'plain' }],
    ['ns/nad', { kind: 'nad', namespace: 'ns', name: 'nad' }],
    ['/etc/cni/x.conf', { kind: 'path', path: '/etc/cni/x.conf' }],
    ['/etc/cni/net.d', { kind: 'path', path: '/etc/cni/net.d' }],
    ['etc/x.conflist', { kind: 'path', path: 'etc/x.conflist' }],
    ['a/b/c', { kind: 'path', path: 'a/b/c' }],
  ]
  for (const [value, expected] of references) {
    it(`NPWG-101 defaultNetwork "${value}" means ${expected.kind}`, () => {
      const { networks } = chooseNetworks(
        conf({ defaultNetwork: value, multusNamespace: 'net-system' }),
        undefined,
      )
      assert.equal(networks[0]?.reference, expected)
    })
  }

  it('NPWG-102 the default-network annotation without namespace means multusNamespace', () => {
    const { networks } = chooseNetworks(conf({ multusNamespace: 'net-system' }), pod(undefined, 'alt'))
    assert.equal(networks[0]?.reference, { kind: 'nad', namespace: 'net-system', name: 'alt' })
    assert.is(networks[0]?.isPodChoice, true)
  })

  it('NPWG-102 a default-network annotation with two networks is refused', () => {
    const error = thrownBy(() => chooseNetworks(netConf(), pod(undefined, 'a,b')))
    assert.is(error.code, CniErrorCode.InvalidNetworkConfig)
    assert.match(error.message, 'names 2 networks, exactly one is allowed')
  })

  it('an interface name in the default-network annotation is warned of', () => {
    const { warnings } = chooseNetworks(netConf(), pod(undefined, 'alt@foo0'))
    assert.match(warnings.join('\n'), /"interface" has no effect/)
  })

  it('NPWG-022, NPWG-031, NPWG-100 networks come in annotation order behind the default', () => {
    const { networks } = chooseNetworks(netConf(), pod('b,a,b'))
    assert.equal(
      networks.map(({ reference }) => (reference.kind === 'nad' ? reference.name : reference.kind)),
      ['inline', 'b', 'a', 'b'],
    )
    assert.equal(
      networks.map(({ isPodChoice }) => isPodChoice),
      [false, true, true, true],
    )
  })

  for (const empty of ['', '  \n', undefined]) {
    it(`NPWG-028 annotation ${JSON.stringify(empty)} asks for nothing`, () => {
      assert.is(chooseNetworks(netConf(), pod(empty)).networks.length, 1)
    })
  }

  it('NPWG-020 the same value under another key has no effect', () => {
    const other = { namespace: 'telco', annotations: { 'k8s.v1.cni.cncf.io/network': 'a' } }
    assert.is(chooseNetworks(netConf(), other).networks.length, 1)
  })

  it('a caller without a pod gets the default network and the other delegates', () => {
    const delegates = [INLINE, { type: 'macvlan', name: 'second' }]
    const { networks } = chooseNetworks(netConf({ delegates }), undefined)
    assert.equal(
      networks.map(({ reference }) => reference.kind === 'inline' && reference.what),
      ['delegates[0] of the net-conf', 'delegates[1] of the net-conf'],
    )
  })

  it('delegates go to no pod when defaultNetwork names the default', () => {
    const delegates = [INLINE, { type: 'macvlan', name: 'second' }]
    const { networks } = chooseNetworks(netConf({ delegates, defaultNetwork: 'own' }), pod())
    assert.is(networks.length, 1)
  })

  for (const [namespace, systemNamespaces, count] of [
    ['telco', undefined, 2],
    ['kube-system', undefined, 1],
    ['kube-system', ['infra'], 2],
    ['infra', ['infra'], 1],
    ['kube-system', [], 2],
  ] as const) {
    it(`defaultNetworks with systemNamespaces ${JSON.stringify(systemNamespaces)}: a pod of ${namespace} has ${count}`, () => {
      const keys = {
        defaultNetworks: ['extra'],
        ...(systemNamespaces === undefined ? {} : { systemNamespaces }),
      }
      const { networks } = chooseNetworks(netConf(keys), pod(undefined, undefined, namespace))
      assert.is(networks.length, count)
      if (count === 2) {
        assert.equal(networks[1]?.reference, { kind: 'named', namespace: 'kube-system', name: 'extra' })
        assert.is(networks[1]?.isPodChoice, false)
      }
    })
  }

  it('a system pod still gets what its annotation asks for', () => {
    const { networks } = chooseNetworks(
      netConf({ defaultNetworks: ['extra'] }),
      pod('a', undefined, 'kube-system'),
    )
    assert.is(networks.length, 2)
  })

  it('the auxiliary chain comes last, from the folder of defaultNetwork', () => {
    const keys = { defaultNetwork: '/etc/cni/net.d/10-a.conf', auxiliaryCNIChainName: 'aux' }
    const { networks } = chooseNetworks(conf(keys), pod('a'))
    assert.equal(networks.at(-1)?.reference, { kind: 'auxiliary', directory: '/etc/cni/net.d', name: 'aux' })
  })

  it('the auxiliary chain without a path in defaultNetwork is a fault', () => {
    const error = thrownBy(() =>
      chooseNetworks(conf({ defaultNetwork: 'own', auxiliaryCNIChainName: 'aux' }), pod()),
    )
    assert.is(error.code, CniErrorCode.InvalidNetworkConfig)
    assert.match(error.message, /auxiliaryCNIChainName "aux"/)
  })

  it('NPWG-060, C-1 the faults of both annotations come in one error', () => {
    const error = thrownBy(() => chooseNetworks(netConf(), pod('a/b/c', 'Net_A')))
    assert.is(error.code, CniErrorCode.InvalidNetworkConfig)
    const text = error.faults.join('\n')
    assert.match(text, 'more than one "/"')
    assert.match(text, 'net-a')
  })
})

spec('one error for several', (it) => {
  it('has the first code and message and every fault with its hint', () => {
    const error = allFaults([
      new CniError(CniErrorCode.PluginNotFound, 'first', { hint: 'do this' }),
      new CniError(CniErrorCode.InvalidNetworkConfig, 'second', { faults: ['one', 'two'] }),
    ])
    assert.is(error.code, CniErrorCode.PluginNotFound)
    assert.is(error.message, 'first (and 1 more)')
    assert.is(error.hint, 'do this')
    assert.equal(error.faults, ['first; do this', 'one', 'two'])
  })

  it('is the fault itself when there is one', () => {
    const fault = new CniError(CniErrorCode.Io, 'only')
    assert.is(allFaults([fault]), fault)
  })
})
