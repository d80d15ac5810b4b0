import * as assert from 'uvu/assert'
import { parse } from 'yaml'
import { indentQuotedLines } from '../../src/network/quoted-lines.ts'
import { spec } from '../spec.ts'

const cases: readonly [title: string, text: string, config: string][] = [
  ['at the margin', `spec:\n  config: '{\n"a": 1\n}'\nother: 1\n`, '{ "a": 1 }'],
  ['at the level of the key', `spec:\n  config: '{\n  "a": 1\n  }'\nother: 1\n`, '{ "a": 1 }'],
  ['in double quotes', `spec:\n  config: "{\n\\"a\\": 1\n}"\nother: 1\n`, '{ "a": 1 }'],
  ['with quotes in it', `spec:\n  config: '{\n"a": "it''s"\n}'\nother: 1\n`, '{ "a": "it\'s" }'],
  ['behind tabs', `spec:\n  config: '{\n\t"a": [\n \t 1\n  \t]}'\nother: 1\n`, '{ "a": [ 1 ]}'],
  ['with an empty line', `spec:\n  config: '{\n\n"a": 1}'\nother: 1\n`, '{\n"a": 1}'],
  [
    'behind a comment and a block',
    `# it's\nspec:\n  script: |\n    x: 'y\n  config: '{\n}'\nother: 1\n`,
    '{ }',
  ],
]

spec('quoted texts whose lines are not indented', (it) => {
  for (const [title, text, config] of cases) {
    it(`${title}: are read as the API reads them`, () => {
      assert.throws(() => parse(text))
      const value = parse(indentQuotedLines(text).text)
      assert.is(value.spec.config, config)
      assert.is(value.other, 1)
    })

    it(`${title}: every character is found again where it was`, () => {
      const indented = indentQuotedLines(text)
      const back = Array.from({ length: indented.text.length }, (_, offset) => indented.toWritten(offset))
      assert.equal([...new Set(back)].length, text.length)
      for (const [offset, written] of back.entries()) {
        if (indented.text[offset] !== ' ') assert.is(text[written], indented.text[offset])
      }
    })
  }

  it('a text that is right stays as it is', () => {
    const text = `a: 'b'\nc: "d\n  e"\nf: 'it''s'\ng: |\n  'h\n i: "j"\n`
    assert.is(indentQuotedLines(text).text, text)
    assert.is(indentQuotedLines(text).toWritten(7), 7)
  })
})
