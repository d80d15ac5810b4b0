import * as assert from 'uvu/assert'
import { CniError } from '../../src/cni/cni-error.ts'
import { CniErrorCode } from '../../src/cni/codes.ts'
import { parseSelectionElements } from '../../src/network/selection-element.ts'
import { spec } from '../spec.ts'

const options = { annotation: 'k8s.v1.cni.cncf.io/networks', namespace: 'telco' }

const plain = (name: string, namespace = 'telco') => ({ name, namespace, optional: false, extensions: {} })

function faultsOf(text: string): readonly string[] {
  try {
    parseSelectionElements(text, options)
  } catch (error) {
    assert.instance(error, CniError)
    if (!(error instanceof CniError)) throw error
    assert.is(error.code, CniErrorCode.InvalidNetworkConfig)
    assert.ok(error.message.startsWith('annotation k8s.v1.cni.cncf.io/networks: '), error.message)
    return error.faults
  }
  throw new Error(`accepted: ${text}`)
}

spec('networks annotation, comma form', (it) => {
  const accepted: [string, string, object[]][] = [
    [
      'NPWG-023 a name is in the namespace of the pod, namespace/name in its own',
      'net-a,other/net-c',
      [plain('net-a'), plain('net-c', 'other')],
    ],
    ['NPWG-024 @ifName asks for an interface name', 'net-a@foo0', [{ ...plain('net-a'), interface: 'foo0' }]],
    [
      'NPWG-025 blanks and line ends around items and their parts are ignored',
      ' net-a ,\n other / net-b @ x1 ',
      [plain('net-a'), { ...plain('net-b', 'other'), interface: 'x1' }],
    ],
    ['NPWG-028 an empty annotation asks for nothing', '', []],
    ['NPWG-028 a blank annotation asks for nothing', ' \n\t', []],
    ['NPWG-030 a network may be named twice', 'net-a,net-a', [plain('net-a'), plain('net-a')]],
    ['NPWG-031 elements keep the order of the annotation', 'c,a,b', [plain('c'), plain('a'), plain('b')]],
    ['C-14 one comma at the end is tolerated', 'net-a, ', [plain('net-a')]],
    ['C-13 a name with dots is legal', 'net.v2', [plain('net.v2')]],
    [
      'C-12 interface names follow the kernel, not DNS',
      'a@eth0.100,b@net_1',
      [
        { ...plain('a'), interface: 'eth0.100' },
        { ...plain('b'), interface: 'net_1' },
      ],
    ],
  ]
  for (const [title, text, expected] of accepted) {
    it(title, () => {
      assert.equal(parseSelectionElements(text, options), { elements: expected, warnings: [] })
    })
  }

  const refused: [string, string, RegExp][] = [
    ['NPWG-026 two slashes are a fault', 'a/b/c', /^element 0 \("a\/b\/c"\) at 1:1: .*more than one "\/"$/],
    ['NPWG-026 two at signs are a fault', 'a@b@c', /more than one "@"$/],
    [
      'NPWG-011 the token, the rule and the legal spelling are named',
      'ok,Net_A',
      /^element 1 \("Net_A"\), key "name" at 1:4: "Net_A" is no DNS-1123 subdomain .*; did you mean "net-a"\?$/,
    ],
    [
      'NPWG-027 an interface name of 16 bytes is a fault',
      'a@abcdefghijklmnop',
      /key "interface" at 1:3: .*16 bytes/,
    ],
    ['NPWG-027 an interface name with a colon is a fault', 'a@b:c', /key "interface"/],
    ['an interface name is missing after the at sign', 'a@', /key "interface" at 1:3: .*is empty/],
    ['a name is missing after the slash', 'ns/', /key "name" at 1:4: "" is empty/],
    ['a namespace is missing before the slash', '/a', /key "namespace" at 1:1: "" is empty/],
    ['C-14 an empty item between commas is a fault', 'a,,b', /^element 1 at 1:3: is empty/],
    ['a comma alone is a fault', ',', /^element 0 at 1:1: is empty/],
    ['names on one line without comma are a fault', 'net-a net-b', /"net-a net-b" is no DNS-1123 subdomain/],
    [
      'NPWG-048 an interface name asked for twice is a fault that names both',
      'a@x0,b@x0',
      /^element 1 \("b@x0"\), key "interface" at 1:8: interface name "x0" is asked for by element 0 \("a"\) too$/,
    ],
  ]
  for (const [title, text, expected] of refused) {
    it(title, () => {
      const faults = faultsOf(text)
      assert.is(faults.length, 1)
      assert.match(faults[0] ?? '', expected)
    })
  }

  it('all faults of an annotation are told at once, each with line and column', () => {
    const faults = faultsOf('Net_A,\n  b/c/d,\n,x@')
    const places = faults.map((fault) => /at (\d+:\d+)/.exec(fault)?.[1])
    assert.equal(places, ['1:1', '2:3', '2:9', '3:4'])
  })

  it('NPWG-060 one bad element makes the whole annotation invalid', () => {
    assert.is(faultsOf('good,Bad').length, 1)
  })

  it('tells the first hundred faults and how many more there are', () => {
    const faults = faultsOf(','.repeat(500))
    assert.is(faults.length, 101)
    assert.is(faults[100], 'and 400 more faults')
  })
})
