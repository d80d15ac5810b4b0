import * as assert from 'uvu/assert'
import { validateFiles } from '../../src/validation/validate.ts'
import { spec } from '../spec.ts'
import { findingLines, readCorpus } from './corpus.ts'

const LEAST = 60

spec('manifests as users write them', (it) => {
  const good = readCorpus('good')
  const bad = readCorpus('bad')

  it(`there are at least ${LEAST} good ones and ${LEAST} with faults`, () => {
    assert.ok(good.length >= LEAST, `${good.length} good`)
    assert.ok(bad.length >= LEAST, `${bad.length} bad`)
  })

  for (const file of good) {
    it(`nothing is found in ${file.name}`, () => {
      const { findings, checked } = validateFiles([file])
      assert.is(findingLines(findings), '')
      assert.ok(checked.networks + checked.pods + checked.netConfs + checked.others > 0)
    })
  }

  for (const file of bad) {
    it(`every fault of ${file.name} is found at its place`, () => {
      assert.ok(file.expected !== '')
      assert.is(findingLines(validateFiles([file]).findings), file.expected)
    })
  }
})
