import { existsSync, readFileSync } from 'node:fs'
import * as assert from 'uvu/assert'
import { spec } from '../spec.ts'
import { ROOT, readDocument, tableRows } from './markdown.ts'

/** The numbers of each family as [first, last], both included. */
const NUMBERS: Readonly<Record<string, readonly (readonly [number, number])[]>> = {
  CNI: [[1, 156]],
  NPWG: [
    [1, 18],
    [20, 31],
    [40, 60],
    [70, 76],
    [80, 85],
    [90, 96],
    [100, 106],
    [110, 118],
    [120, 133],
    [140, 161],
    [170, 173],
    [180, 183],
  ],
  C: [[1, 35]],
}

/** What a row without a test begins with; the reason follows. */
const REASONS =
  /^(?:Does not apply: .{10}|Nothing to test[.:]|No test of its own: .{10}|Later: .{10}|No test yet\.)/

const NAMED_TEST = /`(test\/[^`]+\.test\.ts)` “([^”]+)”/g

const rows = tableRows(readDocument('docs/conformance.md'), 'Id').map((row) => {
  const { Id: id = '', 'What is asked': asked = '', 'Shown by': shown = '' } = row
  const tests = [...shown.matchAll(NAMED_TEST)].map(([, path = '', name = '']) => ({ path, name }))
  return { id, asked, shown, tests }
})

/** Every id in the order of the tables. */
function allIds(): string[] {
  return Object.entries(NUMBERS).flatMap(([family, ranges]) =>
    ranges.flatMap(([first, last]) =>
      Array.from({ length: last - first + 1 }, (_, index) => {
        const number = String(first + index)
        return `${family}-${family === 'C' ? number : number.padStart(3, '0')}`
      }),
    ),
  )
}

/** A test file's text with its names as the tables write them: what stands for a value is `…`. */
function namesIn(path: string): string {
  return readFileSync(ROOT + path, 'utf8')
    .replace(/\$\{[^}]*\}/g, '…')
    .replaceAll(/\\(['"])/g, '$1')
}

spec('docs/conformance.md', (it) => {
  it('every number has one row, in order, and no other has one', () => {
    assert.equal(
      rows.map(({ id }) => id),
      allIds(),
    )
  })

  it('every row says what is asked, and names a test or a reason', () => {
    for (const { id, asked, shown, tests } of rows) {
      assert.ok(asked.length > 4 && /[.`]$/.test(asked), `${id}: ${asked}`)
      assert.ok(tests.length > 0 || REASONS.test(shown), `${id}: ${shown}`)
    }
  })

  it('every test that is named exists', () => {
    const texts = new Map<string, string>()
    const missing = rows.flatMap(({ id, tests }) =>
      tests.flatMap(({ path, name }) => {
        if (!existsSync(ROOT + path)) return [`${id}: ${path}`]
        const text = texts.get(path) ?? namesIn(path)
        texts.set(path, text)
        const isThere = ["'", '"', '`'].some((quote) => text.includes(`${quote}${name}${quote}`))
        return isThere ? [] : [`${id}: ${path} “${name}”`]
      }),
    )
    assert.equal(missing, [])
  })

  it('a name in the third column is either a test or in no “ ”', () => {
    for (const { id, shown, tests } of rows) {
      assert.is(shown.split('“').length - 1, tests.length, id)
      assert.is(shown.split('test.ts`').length - 1, tests.length, id)
    }
  })
})
