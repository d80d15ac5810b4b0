import * as assert from 'uvu/assert'
import { parse } from 'yaml'
import { formatDocument, statePaint } from '../../src/cli/output.ts'
import { parseJson } from '../../src/cni/json.ts'
import { spec } from '../spec.ts'

spec('output', (it) => {
  const document = { a: [1], text: 'yes', none: null }

  it('JSON is indented and ends in a newline', () => {
    assert.is(
      formatDocument(document, 'json', () => ''),
      `${JSON.stringify(document, null, 2)}\n`,
    )
  })

  it('YAML quotes what would be read as something else', () => {
    assert.is(
      formatDocument({ ...document, on: 'true' }, 'yaml', () => ''),
      'a:\n  - 1\ntext: yes\nnone: null\non: "true"\n',
    )
  })

  it('a table is what the command makes of the document', () => {
    assert.is(
      formatDocument(document, 'table', ({ text }) => `<${text}>\n`),
      '<yes>\n',
    )
  })

  it('what could steer a terminal is written out, in every format, and means the same in JSON and YAML', () => {
    const hostile = {
      texts: ['a\u001b[2Jb\u009b0m', 'c\u0007\rd\u202ee', 'f\n\tg'],
      conf: parseJson('[1.50]', ''),
    }
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    const steering = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/
    const table = formatDocument(hostile, 'table', ({ texts }) => texts.join('|'))
    assert.is(table, 'a\\u001b[2Jb\\u009b0m|c\\u0007\\u000dd\\u202ee|f\n\tg')
    const json = formatDocument(hostile, 'json', () => '')
    assert.not.match(json, steering)
    assert.not.match(json, '\u202e')
    assert.equal(JSON.parse(json).texts, hostile.texts)
    assert.match(json, '1.50')
    const yaml = formatDocument(hostile, 'yaml', () => '')
    assert.not.match(yaml, steering)
    assert.equal(parse(yaml).texts, hostile.texts)
  })

  it('CNI-071 a number of a configuration is printed to the digit', () => {
    const conf = { conf: parseJson('{"vni": 12345678901234567890, "rate": 1.50}', 'conf') }
    assert.match(
      formatDocument(conf, 'json', () => ''),
      '"vni": 12345678901234567890',
    )
    assert.match(
      formatDocument(conf, 'json', () => ''),
      '"rate": 1.50',
    )
    assert.is(
      formatDocument(conf, 'yaml', () => ''),
      'conf:\n  vni: 12345678901234567890\n  rate: 1.5\n',
    )
  })

  it('only the titles and the state are painted', () => {
    const paint = statePaint(
      (style, text) => `<${style}>${text}`,
      1,
      (text) => (text === 'live' ? 'green' : 'red'),
    )
    assert.is(paint('POD', { row: 'head', column: 0 }), '<bold>POD')
    assert.is(paint('a/b', { row: 0, column: 0 }), 'a/b')
    assert.is(paint('live', { row: 0, column: 1 }), '<green>live')
    assert.is(paint('damaged', { row: 1, column: 1 }), '<red>damaged')
  })
})
