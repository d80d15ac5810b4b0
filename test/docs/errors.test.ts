import { globSync, readFileSync } from 'node:fs'
import * as assert from 'uvu/assert'
import { CniErrorCode } from '../../src/cni/codes.ts'
import { spec } from '../spec.ts'
import { anchorOf, codeOf, headingsOf, ROOT, readDocument, sectionOf, tableRows } from './markdown.ts'

const text = readDocument('docs/errors.md')
const sources = globSync('src/**/*.ts', { cwd: ROOT })
  .map((path) => readFileSync(ROOT + path, 'utf8'))
  .join('\n')
  // A text that is written over several lines reads as one.
  .replace(/['`"] \+\s+['`"]/g, '')

/** What of a message is the same each time: at least a word long. */
function constantParts(message: string): string[] {
  return message
    .split('…')
    .map((part) => part.trim())
    .filter((part) => part.length > 3)
}

spec('docs/errors.md', (it) => {
  it('every code has one heading with its number and its name, in order, and no other has one', () => {
    const codes = headingsOf(sectionOf(text, 'By their codes'))
    const known = Object.entries(CniErrorCode).sort(([, left], [, right]) => left - right)
    assert.equal(
      codes,
      known.map(([name, code]) => `${code} ${name}`),
    )
  })

  it('every code is explained in a sentence at least', () => {
    for (const [name, code] of Object.entries(CniErrorCode)) {
      assert.ok(sectionOf(text, `${code} ${name}`).trim().length > 80, name)
    }
  })

  const messages = tableRows(text, 'Message')

  it('every message by its words leads to the code it comes with', () => {
    assert.ok(messages.length > 20)
    for (const { Code = '' } of messages) {
      const [, number, anchor] = /^\[(\d+)\]\(#(.+)\)$/.exec(Code) ?? []
      const entry = Object.entries(CniErrorCode).find(([, code]) => String(code) === number)
      assert.is(anchor, anchorOf(`${number} ${entry?.[0]}`))
    }
  })

  it('every message in the table is one that the code can print', () => {
    const unknown = messages.flatMap(({ Message }) =>
      constantParts(codeOf(Message)).filter((part) => !sources.includes(part)),
    )
    assert.equal(unknown, [])
  })

  it('what is said instead of a message of Multus is in the first table or a sentence', () => {
    const ours = messages.map(({ Message }) => codeOf(Message))
    for (const { Here = '' } of tableRows(text, 'Multus says')) {
      const [quoted] = /^`[^`]+`/.exec(Here) ?? []
      if (quoted !== undefined) assert.ok(ours.includes(codeOf(quoted)), quoted)
      else assert.match(Here, /\.$/)
    }
  })
})
