import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { FINDING_CODES } from '../../src/validation/finding.ts'
import { POD_KINDS } from '../../src/validation/pod-template.ts'
import { validateFiles } from '../../src/validation/validate.ts'
import { spec } from '../spec.ts'
import { readCorpus } from '../validation/corpus.ts'
import { fencedBlocks, headingsOf, ROOT, readDocument, sectionOf, tableRows } from './markdown.ts'

const text = readDocument('docs/validation.md')

/** Codes that need a folder or several files to be found, and the test that does. */
const FOUND_ELSEWHERE = ['file-unreadable', 'network-not-found', 'attachment-oddity']

spec('docs/validation.md', (it) => {
  it('has a heading for every code, in the order of the code, and no other', () => {
    assert.equal(headingsOf(sectionOf(text, 'Findings')), Object.keys(FINDING_CODES))
  })

  it('says of each code whether it is an error or a warning, and what it means', () => {
    for (const [code, severity] of Object.entries(FINDING_CODES)) {
      const section = sectionOf(text, code).trim()
      assert.ok(section.startsWith(severity === 'error' ? 'Error. ' : 'Warning. '), code)
      assert.ok(section.length > 40, code)
    }
  })

  it('every code is found in the corpus or by a test of its own', () => {
    const found = new Set(
      readCorpus('bad').flatMap((file) => validateFiles([file]).findings.map(({ code }): string => code)),
    )
    assert.equal(
      Object.keys(FINDING_CODES).filter((code) => !found.has(code)),
      FOUND_ELSEWHERE,
    )
  })

  it('names every kind that is looked at', () => {
    const kinds = tableRows(text, 'What').map(({ What }) => What)
    assert.equal(
      POD_KINDS.filter((kind) => !kinds.join().includes(kind)),
      [],
    )
  })

  it('its example has the findings that it shows', () => {
    const [manifest, shown] = fencedBlocks(text)
    const { findings } = validateFiles([{ name: 'upf.yaml', text: manifest?.text ?? '' }])
    const lines = findings.map(
      ({ file, line, column, severity, object, message, code }) =>
        `${file}:${line}:${column}: ${severity}: ${object}: ${message} [${code}]`,
    )
    assert.equal(
      shown?.text.split('\n').filter((line) => line.startsWith('upf.yaml:')),
      lines,
    )
  })

  it('names every plugin that has a schema', () => {
    const section = sectionOf(text, 'What is checked')
    for (const folder of ['plugin', 'ipam']) {
      for (const file of readdirSync(join(ROOT, 'schemas', folder))) {
        assert.ok(section.includes(file.replace('.json', '')), file)
      }
    }
  })
})
