import * as assert from 'uvu/assert'
import {
  compareVersions,
  isAtLeast,
  isCniVersion,
  parseVersion,
  pickVersion,
  resultFamily,
} from '../../src/cni/version.ts'
import { spec } from '../spec.ts'
import { thrownBy } from './thrown.ts'

const numbers: [string, [number, number, number]][] = [
  ['', [0, 1, 0]],
  ['1', [1, 0, 0]],
  ['1.1', [1, 1, 0]],
  ['0.3.1', [0, 3, 1]],
  ['10.20.30', [10, 20, 30]],
]

const picks: [title: string, cniVersion: string, cniVersions: unknown[], expected: string][] = [
  ['the highest that we know out of the list', '', ['0.4.0', '1.0.0', '2.0.0'], '1.0.0'],
  ['cniVersion itself when it is the highest', '1.1.0', ['0.4.0', '1.0.0'], '1.1.0'],
  ['an older one when cniVersion is too new', '2.0.0', ['0.4.0', '1.0.0'], '1.0.0'],
  ['cniVersion as it is written when nothing is left', '2.0.0', ['3.0.0'], '2.0.0'],
  ['cniVersion when the list is empty', '0.3.1', [], '0.3.1'],
  ['no version that is not released, though it would be higher', '0.4.0', ['0.9.0', '1.0'], '0.4.0'],
]

spec('versions', (it) => {
  for (const [text, expected] of numbers) {
    it(`CNI-034 "${text}" is read as ${expected.join('.')}`, () => assert.equal(parseVersion(text), expected))
  }
  for (const text of ['1.2.3.4', 'a', '1.x', '1.', '.1', '1.0.0-rc1', '-1', ' 1', '1.0.0\n']) {
    it(`CNI-034 ${JSON.stringify(text)} is no version`, () =>
      assert.is(thrownBy(() => parseVersion(text)).code, 7))
  }
  it('CNI-034 versions compare by number, not by text', () => {
    assert.ok(compareVersions('0.10.0', '0.9.0') > 0)
    assert.ok(compareVersions('0.3.0', '0.3.1') < 0)
    assert.is(compareVersions('', '0.1.0'), 0)
    assert.is(compareVersions('1', '1.0.0'), 0)
  })
  for (const [title, cniVersion, cniVersions, expected] of picks) {
    it(`CNI-037 picks ${title}`, () => assert.is(pickVersion(cniVersion, cniVersions), expected))
  }
  for (const entry of [1, null, 'one']) {
    it(`CNI-037 refuses the entry ${JSON.stringify(entry)}`, () => {
      assert.is(thrownBy(() => pickVersion('1.0.0', [entry])).code, 7)
    })
  }
  for (const text of ['0.3', '1.0', '1.0.0-rc1', '', '1.2.0', undefined, 1]) {
    it(`CNI-033 ${JSON.stringify(text)} is no released version`, () => assert.not(isCniVersion(text)))
  }
  it('the three result families cover all versions', () => {
    const families = (['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'] as const).map(
      resultFamily,
    )
    assert.is(families.join(''), 'AABBBCC')
  })
  it('CNI-035 a version is at least itself and what is lower', () => {
    assert.ok(isAtLeast('0.4.0', '0.4.0'))
    assert.ok(isAtLeast('1.0.0', '0.4.0'))
    assert.not(isAtLeast('0.3.1', '0.4.0'))
  })
})
