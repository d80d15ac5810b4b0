import * as assert from 'uvu/assert'
import { CniError } from '../../src/cni/cni-error.ts'
import { CniErrorCode } from '../../src/cni/codes.ts'
import type { JsonObject } from '../../src/cni/json.ts'
import { parseNad, resourceName } from '../../src/network/nad.ts'
import { spec } from '../spec.ts'

const nad = (changes: JsonObject = {}): JsonObject => ({
  apiVersion: 'k8s.cni.cncf.io/v1',
  kind: 'NetworkAttachmentDefinition',
  metadata: { name: 'n6', namespace: 'telco' },
  ...changes,
})

function errorOf(manifest: JsonObject): CniError {
  try {
    parseNad(manifest, 'nads.yaml document 1')
  } catch (error) {
    if (error instanceof CniError) return error
    throw error
  }
  throw new Error('accepted')
}

spec('NetworkAttachmentDefinition', (it) => {
  it('NPWG-007, NPWG-010 spec.config is handed on as it is written', () => {
    const config = '{"cniVersion": "1.0.0","type":"x", "big": 12345678901234567890}'
    assert.equal(parseNad(nad({ spec: { config } }), 'x'), {
      namespace: 'telco',
      name: 'n6',
      annotations: {},
      config,
    })
  })

  for (const [title, changes] of [
    ['no spec', {}],
    ['an empty spec', { spec: {} }],
    ['a null spec', { spec: null }],
    ['an empty config', { spec: { config: '' } }],
  ] as const) {
    it(`NPWG-006 ${title} leaves config to a file of the name`, () => {
      assert.is('config' in parseNad(nad(changes), 'x'), false)
    })
  }

  it('a manifest without namespace is in the namespace default', () => {
    assert.is(parseNad(nad({ metadata: { name: 'n6' } }), 'x').namespace, 'default')
  })

  it('NPWG-017, NPWG-018 the resource name is read, other annotations are carried', () => {
    const annotations = { 'k8s.v1.cni.cncf.io/resourceName': ' intel.com/sriov ', 'vendor.example/x': 'y' }
    const metadata = { name: 'n6', namespace: 'telco', annotations, labels: { a: 'b' }, resourceVersion: '7' }
    const parsed = parseNad(nad({ metadata }), 'x')
    assert.equal(parsed.annotations, annotations)
    assert.is(parsed.resourceVersion, '7')
    assert.is(resourceName(parsed), 'intel.com/sriov')
    assert.is(resourceName({ ...parsed, annotations: {} }), undefined)
    assert.is(resourceName({ ...parsed, annotations: { 'k8s.v1.cni.cncf.io/resourceName': '' } }), undefined)
  })

  const refused: [string, JsonObject, RegExp][] = [
    [
      'NPWG-004 a config that is an object',
      { spec: { config: { type: 'bridge' } } },
      /\(NAD telco\/n6\): spec.config must be a string with JSON in it, not \{"type":"bridge"\}; write/,
    ],
    ['a config that is a number', { spec: { config: 7 } }, /spec.config must be a string/],
    ['a spec that is a text', { spec: 'x' }, /spec must be an object, not "x"$/],
    [
      'NPWG-001 another version',
      { apiVersion: 'k8s.cni.cncf.io/v2' },
      /apiVersion must be "k8s.cni.cncf.io\/v1"/,
    ],
    ['another kind', { kind: 'Pod' }, /kind must be "NetworkAttachmentDefinition", not "Pod"$/],
    ['no metadata', { metadata: undefined }, /metadata must be an object; metadata.name is missing$/],
    ['no name', { metadata: {} }, /metadata.name is missing$/],
    ['a name that is a number', { metadata: { name: 7 } }, /metadata.name must be a string, not 7$/],
    [
      'NPWG-011 a name that would be a path',
      { metadata: { name: '../x' } },
      /"..\/x" is no DNS-1123 subdomain/,
    ],
    [
      'a namespace that would be a path',
      { metadata: { name: 'a', namespace: '..' } },
      /".." is no DNS-1123 label/,
    ],
    [
      'annotations that are a list',
      { metadata: { name: 'a', annotations: [] } },
      /annotations must be an object$/,
    ],
    [
      'an annotation without quotes',
      { metadata: { name: 'a', annotations: { x: true } } },
      /metadata.annotations "x" must be a string in quotes, not true$/,
    ],
  ]
  for (const [title, changes, expected] of refused) {
    it(`refuses ${title}`, () => {
      const error = errorOf(nad(changes))
      assert.is(error.code, CniErrorCode.InvalidNetworkConfig)
      assert.ok(error.message.startsWith('nads.yaml document 1'), error.message)
      assert.match(error.message, expected)
    })
  }

  it('tells every fault at once', () => {
    const error = errorOf(nad({ kind: 'Nad', metadata: { name: 'A' }, spec: { config: [] } }))
    assert.is(error.faults.length, 3)
  })
})
