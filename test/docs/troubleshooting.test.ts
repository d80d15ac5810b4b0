import { readFileSync } from 'node:fs'
import * as assert from 'uvu/assert'
import { FINDINGS } from '../../src/node/doctor/finding.ts'
import { spec } from '../spec.ts'
import { codeOf, fencedBlocks, headingsOf, ROOT, readDocument, sectionOf, tableRows } from './markdown.ts'

const text = readDocument('docs/troubleshooting.md')
const symptoms = headingsOf(sectionOf(text, 'Symptoms'))
const testsOf = (path: string): string => readFileSync(ROOT + path, 'utf8')

spec('docs/troubleshooting.md', (it) => {
  it('every finding has one row with its severity, in order', () => {
    const rows = tableRows(text, 'Finding')
    assert.equal(
      rows.map(({ Finding, Severity }) => [codeOf(Finding), Severity]),
      Object.entries(FINDINGS),
    )
  })

  it('what --fix does is said of those findings alone that have a repair', () => {
    const repaired = tableRows(text, 'Finding').filter((row) => row['By `--fix`'] !== '–')
    assert.equal(
      repaired.map(({ Finding }) => codeOf(Finding)).sort(),
      [
        ...['shim-insecure', 'shim-conf-insecure', 'half-written-file', 'socket-dir-insecure'],
        ...['conflist-mode', 'state-mode', 'lock-stale', 'lease-stale'],
      ].sort(),
    )
  })

  it('there are ten symptoms at least, each with a cause, a command, and a test of its name', () => {
    assert.ok(symptoms.length >= 10)
    const titles = [...testsOf('test/node/symptoms.test.ts').matchAll(/^ {2}it\('(.+)', async/gm)]
    assert.equal(titles.map(([, title]) => title).sort(), [...symptoms].sort())
    for (const symptom of symptoms) {
      const section = sectionOf(text, symptom)
      assert.match(section, '**Cause.**', symptom)
      assert.match(section, /plexus (?:doctor|explain)/, symptom)
    }
  })

  it('a command names findings that there are, and that a test injects', () => {
    const injected = testsOf('test/node/doctor.test.ts') + testsOf('test/node/symptoms.test.ts')
    const named = fencedBlocks(text).flatMap(({ text: block }) =>
      [...block.matchAll(/^plexus doctor.*# ([a-z-]+(?:, [a-z-]+)*)$/gm)].flatMap(([, ids = '']) =>
        ids.split(', '),
      ),
    )
    assert.ok(named.length >= 10)
    for (const id of named) {
      assert.ok(Object.hasOwn(FINDINGS, id), id)
      assert.ok(injected.includes(`'${id}'`), id)
    }
  })
})
