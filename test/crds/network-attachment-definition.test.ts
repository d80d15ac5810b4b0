import { readFileSync } from 'node:fs'
import { Ajv } from 'ajv'
import * as assert from 'uvu/assert'
import { parse } from 'yaml'
import { isJsonObject, type JsonObject } from '../../src/cni/json.ts'
import { spec } from '../spec.ts'

function objectAt(object: JsonObject, ...path: string[]): JsonObject {
  let found: unknown = object
  for (const key of path) found = isJsonObject(found) ? found[key] : undefined
  if (!isJsonObject(found)) throw new Error(`${path.join('.')} is no object`)
  return found
}

const text = readFileSync(new URL('../../crds/network-attachment-definition.yaml', import.meta.url), 'utf8')
const parsed: unknown = parse(text)
const crd = isJsonObject(parsed) ? parsed : {}
const definition = objectAt(crd, 'spec')
const versions: unknown[] = Array.isArray(definition.versions) ? definition.versions : []
const version = isJsonObject(versions[0]) ? versions[0] : {}

spec('crds/network-attachment-definition.yaml', (it) => {
  it('NPWG-001, NPWG-002, NPWG-003 has the names of the standard', () => {
    assert.is(crd.apiVersion, 'apiextensions.k8s.io/v1')
    assert.is(crd.kind, 'CustomResourceDefinition')
    assert.is(objectAt(crd, 'metadata').name, 'network-attachment-definitions.k8s.cni.cncf.io')
    assert.is(definition.group, 'k8s.cni.cncf.io')
    assert.is(definition.scope, 'Namespaced')
    assert.equal(definition.names, {
      plural: 'network-attachment-definitions',
      singular: 'network-attachment-definition',
      kind: 'NetworkAttachmentDefinition',
      listKind: 'NetworkAttachmentDefinitionList',
      shortNames: ['net-attach-def', 'nad'],
    })
  })

  it('NPWG-004, NPWG-005 serves and stores one version, v1, without a status', () => {
    assert.is(versions.length, 1)
    assert.equal([version.name, version.served, version.storage], ['v1', true, true])
    assert.is('subresources' in version, false)
  })

  it('prints columns whose paths begin at the object', () => {
    const columns: unknown[] = Array.isArray(version.additionalPrinterColumns)
      ? version.additionalPrinterColumns
      : []
    assert.ok(columns.length > 0)
    for (const column of columns) {
      assert.match(String(isJsonObject(column) ? column.jsonPath : ''), /^\.(metadata|spec)\./)
    }
  })

  const validate = new Ajv({ strict: false }).compile(objectAt(version, 'schema', 'openAPIV3Schema'))
  const identity = {
    apiVersion: 'k8s.cni.cncf.io/v1',
    kind: 'NetworkAttachmentDefinition',
    metadata: { name: 'a' },
  }
  const cases: [string, object, boolean][] = [
    ['NPWG-006 no spec', {}, true],
    ['NPWG-006 an empty spec', { spec: {} }, true],
    ['a config that is a text', { spec: { config: '{"type":"bridge"}' } }, true],
    ['NPWG-004 a config that is an object', { spec: { config: {} } }, false],
    ['a config that is a number', { spec: { config: 7 } }, false],
    ['a spec that is a text', { spec: 'x' }, false],
  ]
  for (const [title, changes, expected] of cases) {
    it(`the schema ${expected ? 'accepts' : 'refuses'} ${title}`, () => {
      assert.is(validate({ ...identity, ...changes }), expected)
    })
  }
})
