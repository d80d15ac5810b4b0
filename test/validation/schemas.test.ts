import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv } from 'ajv'
import { Ajv2020 } from 'ajv/dist/2020.js'
import * as assert from 'uvu/assert'
import { schemaFiles } from '../../scripts/schema-files.ts'
import { isJsonObject, type JsonObject, parseJson } from '../../src/cni/json.ts'
import type { Finding } from '../../src/validation/finding.ts'
import { ipamSchemaOf, schemaOf } from '../../src/validation/known-plugins.ts'
import { objectReport } from '../../src/validation/report.ts'
import { checkObject } from '../../src/validation/schema-check.ts'
import { objectDocument } from '../../src/validation/source-text.ts'
import { seededRandom } from '../cni/random.ts'
import { spec } from '../spec.ts'
import { readCorpus } from './corpus.ts'

const root = join(import.meta.dirname, '../..')
const files = schemaFiles()
const formats = Object.fromEntries(
  ['ip', 'cidr', 'mac', 'interface-name'].map((name) => [name, true as const]),
)
const PLUGINS = [
  ...['bridge', 'macvlan', 'ipvlan', 'vlan', 'host-device', 'ptp', 'dummy', 'tap', 'sriov', 'ovs', 'bond'],
  ...['tuning', 'portmap', 'bandwidth', 'sbr', 'vrf', 'firewall', 'route-override'],
]
const IPAM_PLUGINS = ['host-local', 'static', 'dhcp', 'whereabouts']

/** Codes of faults that a standard validator finds too. */
const COMMON_CODES = [
  'missing-key',
  'value-type',
  'value-range',
  'value-choice',
  'value-format',
  'addresses-as-strings',
]

function checks(value: JsonObject, schema: Parameters<typeof checkObject>[1]): Finding[] {
  const findings: Finding[] = []
  const report = objectReport(findings, objectDocument(value), [], null)
  checkObject(value, schema, { type: 'it', report, path: [] })
  return findings
}

spec('schemas', (it) => {
  it('there is one for every plugin that Plexus knows', () => {
    for (const type of PLUGINS) assert.ok(schemaOf(type) !== undefined, type)
    for (const type of IPAM_PLUGINS) assert.ok(ipamSchemaOf(type) !== undefined, type)
  })

  it('schemas/ is what scripts/write-schemas.ts writes', () => {
    const found = globSync('schemas/**/*.json', { cwd: root }).sort()
    assert.equal(found, [...files.keys()].sort())
    for (const [path, text] of files) assert.is(readFileSync(join(root, path), 'utf8'), text, path)
  })

  it('each is a JSON Schema in which every key is described', () => {
    const visit = (schema: unknown, where: string): void => {
      if (!isJsonObject(schema)) return
      for (const [key, value] of Object.entries(isJsonObject(schema.properties) ? schema.properties : {})) {
        assert.ok(isJsonObject(value) && String(value.description ?? '').length > 0, `${where} ${key}`)
        visit(value, `${where} ${key}`)
      }
      visit(schema.items, `${where}[]`)
    }
    for (const [path, text] of files) {
      if (path.startsWith('schemas/plugin/') || path.startsWith('schemas/ipam/'))
        visit(JSON.parse(text), path)
      if (path !== 'schemas/network-configuration.json') {
        const { $schema: _dialect, ...schema } = JSON.parse(text)
        new Ajv({ strict: true, allowUnionTypes: true, formats }).compile(schema)
      }
    }
  })

  it("an editor's schema of configurations accepts the good ones and refuses wrong values", () => {
    const ajv = new Ajv2020({ strict: false, formats })
    for (const [path, text] of files)
      ajv.addSchema({ ...JSON.parse(text), $id: `https://plexus.test/${path}` })
    const validate = ajv.getSchema('https://plexus.test/schemas/network-configuration.json')
    assert.ok(validate)
    for (const { name, text } of readCorpus('good')) {
      if (name.endsWith('.conflist'))
        assert.ok(validate(JSON.parse(text)), `${name} ${JSON.stringify(validate.errors)}`)
    }
    assert.not(validate({ cniVersion: '1.0.0', type: 'bridge', vlan: 5000 }))
    assert.not(validate({ cniVersion: '1.0.0', plugins: [{ type: 'vlan' }] }))
    assert.not(validate({ cniVersion: '1.0.0', type: 'bridge', ipam: { type: 'host-local', ranges: [{}] } }))
    assert.ok(validate({ cniVersion: '1.0.0', type: 'of-somebody', vlan: 5000 }))
  })

  it('whatever the values, the check finds a fault where a standard validator finds one', () => {
    const random = seededRandom(7)
    const pick = <T>(items: readonly T[]): T => items[random.below(items.length)] as T
    const ajv = new Ajv({ strict: true, allErrors: true, formats })
    const values = [
      0,
      -1,
      1,
      7,
      5000,
      1.5,
      '',
      'on',
      'l2',
      '100',
      'eth1',
      '10.0.0.0/24',
      true,
      [],
      [{}],
      [[{}]],
      {},
      { name: 'a' },
    ]
    let refused = 0
    for (const type of [...PLUGINS, ...IPAM_PLUGINS]) {
      const schema = schemaOf(type) ?? ipamSchemaOf(type)
      assert.ok(schema)
      const validate = ajv.compile(schema)
      const keys = Object.keys(schema.properties).filter((key) => key !== 'type')
      for (let round = 0; round < 200; round++) {
        const value: JsonObject = { type }
        for (let count = random.below(4); count >= 0; count--) value[pick(keys)] = pick(values)
        const isGood = validate(value)
        const found = checks(value, schema).filter(
          ({ code, message }) =>
            COMMON_CODES.includes(code) &&
            !/an IP address|prefix length|hardware address|interface name/.test(message),
        )
        // An empty text counts as absent, as with the plugins.
        const isEmpty =
          (validate.errors ?? []).every(({ keyword }) => keyword === 'pattern') &&
          JSON.stringify(value).includes('""')
        if (isGood !== (found.length === 0) && !isEmpty) {
          assert.unreachable(
            `${JSON.stringify(value)}: ${JSON.stringify(validate.errors)} ${JSON.stringify(found)}`,
          )
        }
        refused += isGood ? 0 : 1
      }
    }
    assert.ok(refused > 500, String(refused))
  })

  it('numbers that a double cannot hold are numbers, and fractions are no whole ones', () => {
    const schema = schemaOf('bridge')
    assert.ok(schema)
    const conf = (text: string): JsonObject => parseJson(text, 'it') as JsonObject
    assert.equal(
      checks(conf('{"type": "bridge", "mtu": 1500.0}'), schema).map(({ message }) => message),
      ['it: "mtu" must be a whole number, not 1500.0'],
    )
    assert.equal(
      checks(conf('{"type": "bridge", "mtu": 99999999999999999999}'), schema).map(({ code }) => code),
      ['value-type'],
    )
  })
})
