import * as assert from 'uvu/assert'
import { locateJson, pointerToken } from '../../src/cni/json-position.ts'
import { readSource, type SourceDocument, valueAt } from '../../src/validation/source-text.ts'
import { validateFiles } from '../../src/validation/validate.ts'
import { spec } from '../spec.ts'

const CONFIG = `{
  "name": "it's 😀", "cniVersion": "1.0.0",
  "type": "bridge",

  "ipam": {"type": "host-local",
           "ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd00::/64"}]]}
}`

const indent = (text: string, blanks: number): string => text.replaceAll(/^(?=.)/gm, ' '.repeat(blanks))
const single = (text: string): string => `'${text.replaceAll("'", "''")}'`
const flat = CONFIG.replaceAll(/\s*\n\s*/g, ' ')

/** The same configuration in every way that YAML has for a text. */
const STYLES: Readonly<Record<string, string>> = {
  'a literal block': `spec:\n  config: |\n${indent(CONFIG, 4)}\n`,
  'a literal block without the last line end': `spec:\n  config: |-\n${indent(CONFIG, 8)}\n`,
  'a literal block with an indentation of its own': `spec:\n  config: |2 # JSON\n${indent(CONFIG, 4)}\n`,
  'a folded block': `spec:\n  config: >\n${indent(CONFIG, 4)}\n`,
  'a folded block that keeps line ends': `spec:\n  config: >+\n${indent(CONFIG, 6)}\n\n`,
  'single quotes in one line': `spec:\n  config: ${single(flat)}\n`,
  'single quotes over lines': `spec:\n  config: ${indent(single(CONFIG), 4).trimStart()}\n`,
  'single quotes with lines at the margin': `spec:\n  config: ${single(CONFIG)}\n`,
  'double quotes in one line': `spec:\n  config: ${JSON.stringify(CONFIG)}\n`,
  'double quotes with escapes of all sorts': `spec:\n  config: "${JSON.stringify(CONFIG)
    .slice(1, -1)
    .replaceAll(':', '\\x3a')
    .replaceAll('b', '\\u0062')
    .replaceAll('h', '\\U00000068')
    .replaceAll('😀', '\\U0001F600')}"\n`,
  'double quotes over lines': `spec:\n  config: "${JSON.stringify(flat).slice(1, -1).replaceAll(', ', ', \\\n      ')}"\n`,
  'a flow mapping': `{spec: {config: ${single(flat)}}}\n`,
  'an anchor': `spec:\n  config: &it |\n${indent(CONFIG, 4)}\n`,
  'an alias': `first: &it ${single(flat)}\nspec:\n  config: *it\n`,
  'a merged mapping': `base: &base\n  config: |\n${indent(CONFIG, 4)}\nspec:\n  <<: *base\n`,
  'line ends of Windows': `spec:\n  config: |\n${indent(CONFIG, 4)}\n`.replaceAll('\n', '\r\n'),
  'a second document': `kind: X\n---\nspec:\n  config: |\n${indent(CONFIG, 4)}\n`,
  'JSON after JSON': `{"kind": "X"}\n{\n  "spec": {\n    "config": ${JSON.stringify(CONFIG)}\n  }\n}`,
  'JSON after a byte order mark': `\ufeff{\n"spec": {"config": ${JSON.stringify(CONFIG)}}}`,
  'YAML after a byte order mark': `\ufeff# NAD\nspec:\n  config: |\n${indent(CONFIG, 4)}\n`,
  'a manifest in JSON': `{\n  "spec": {\n    "config": ${JSON.stringify(CONFIG)}\n  }\n}`,
}

const PATH = ['spec', 'config']

function lastDocument(text: string): SourceDocument {
  const { documents, faults } = readSource({ name: 'x', text })
  assert.equal(faults, [])
  const document = documents.at(-1)
  if (document === undefined) throw new Error('no document')
  return document
}

spec('places in JSON inside of YAML', (it) => {
  for (const [style, text] of Object.entries(STYLES)) {
    it(`${style}: every key and value is where it stands in the file`, () => {
      const document = lastDocument(text)
      const value = String(valueAt(document.value, PATH))
      const { keys, values, fault } = locateJson(value)
      assert.is(fault, undefined)
      const lines = text.split('\n')
      const plain = (source: string): string => {
        const escaped = /^\\(?:x(..)|u(....)|U(.{8}))/.exec(source)
        const code = escaped?.[1] ?? escaped?.[2] ?? escaped?.[3]
        return code === undefined
          ? source.replace(/^\\/, '')
          : String.fromCodePoint(Number.parseInt(code, 16))
      }
      for (const offset of [...keys.values(), ...values.values()]) {
        const place = document.positionInText(PATH, offset)
        const source = lines[(place?.line ?? 0) - 1]?.slice((place?.column ?? 0) - 1) ?? ''
        assert.is(plain(source)[0], value[offset], `offset ${offset}: ${source}`)
        // Two units on, so that a place that is right by chance does not pass.
        assert.ok(source.length > 0)
      }
      assert.is(
        new Set([...keys.values()].map((offset) => JSON.stringify(document.positionInText(PATH, offset))))
          .size,
        keys.size,
      )
    })
  }

  it('a fault has the same place whatever the style, relative to its line', () => {
    for (const [style, text] of Object.entries(STYLES)) {
      const broken = text.replace('10.1.0.0/24', '10.1.0.9/24')
      const manifest = /^\ufeff?(?:\{"kind": "X"\}\n)?\{(?:\n|spec)/.test(broken)
        ? broken.replace(
            /\{(?=\n|spec)/,
            '{"apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition", "metadata": {"name": "a"}, ',
          )
        : broken.replace(
            /^(?=spec:|first:|base:)/m,
            'apiVersion: k8s.cni.cncf.io/v1\nkind: NetworkAttachmentDefinition\nmetadata: {name: a}\n',
          )
      const { findings } = validateFiles([{ name: 'a.yaml', text: manifest }])
      const finding = findings.find(({ code }) => code === 'subnet-host-bits')
      const source = manifest.split('\n')[(finding?.line ?? 0) - 1]?.slice((finding?.column ?? 1) - 1) ?? ''
      assert.match(source, /^(?:\\?"|\\x22)su(?:b|\\u0062)net/, style)
    }
  })

  it('a configuration for a runtime has no byte order mark and one value only', () => {
    const text = '{"cniVersion": "1.0.0", "name": "a", "type": "bridge"}'
    const found = (name: string, written: string): unknown =>
      validateFiles([{ name, text: written }]).findings.map(
        ({ line, column, code, message }) => `${line}:${column} ${code} ${message}`,
      )
    assert.equal(found('a.conf', `\ufeff${text}`), [
      '1:1 json-syntax not JSON: a byte order mark stands before the value',
    ])
    assert.equal(found('a.json', `\ufeff${text}`), [])
    assert.equal(found('a.conf', `${text}\n${text}`), [
      '2:1 json-syntax not JSON: expected the end, found "{"',
    ])
    assert.equal(found('a.json', `${text}\n{"kind": "Pod",}`), [
      '2:16 json-syntax not JSON: expected a key in double quotes, found "}"',
    ])
  })

  it('a stream may have any number of objects', () => {
    const text = `${'{"kind": "X"}\n'.repeat(150_000)}{"kind": "Pod", "apiVersion": "v1"}`
    const { findings, checked } = validateFiles([{ name: 'a.json', text }])
    assert.equal([checked.others, checked.pods, findings[0]?.line], [150_000, 1, 150_001])
  })

  it('a key that is twice in its object is told, in YAML and in JSON', () => {
    const found = (name: string, text: string): unknown =>
      validateFiles([{ name, text }]).findings.map(
        ({ severity, line, column, message }) => `${severity} ${line}:${column} ${message}`,
      )
    assert.equal(
      found('a.yaml', 'kind: Pod\nmetadata: {name: a}\n"metadata": {name: b}\nspec: {a: 1, a: 2}\n'),
      ['error 3:1 not YAML: key "metadata" is there twice', 'error 4:14 not YAML: key "a" is there twice'],
    )
    assert.equal(
      found(
        'a.json',
        '{"kind": "Pod", "metadata": {"name": "a"},\n"apiVersion": "v1", "metadata": {"name": "b"}}',
      ),
      ['warning 2:21 key "metadata" is there twice; the last one counts'],
    )
  })

  it('what is nested without end is no stack overflow', () => {
    const text = `kind: Pod\nspec: ${'['.repeat(20_000)}${']'.repeat(20_000)}\n`
    const [finding] = validateFiles([{ name: 'a.yaml', text }]).findings
    assert.is(finding?.message, 'not YAML: nested too deep')
  })

  it('places of values in the manifest itself are those of their keys', () => {
    const document = lastDocument('a:\n  - b: 1\n    c: {d: [x, y]}\n')
    assert.equal(document.position(['a', 0, 'c', 'd', 1]), { line: 3, column: 16 })
    assert.equal(document.position(['a', 0, 'b']), { line: 2, column: 5 })
    assert.equal(document.position(['a', 0, 'missing', 'deeper']), { line: 2, column: 5 })
    assert.is(pointerToken('a/b'), '/a~1b')
  })
})
