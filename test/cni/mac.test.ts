import * as assert from 'uvu/assert'
import { normalizeHardwareAddress } from '../../src/cni/mac.ts'
import { spec } from '../spec.ts'

const good: [string, 6 | 8, string][] = [
  ['02:00:5E:00:53:01', 6, '02:00:5e:00:53:01'],
  ['02-00-5e-00-53-01', 6, '02:00:5e:00:53:01'],
  ['0200.5e00.5301', 6, '02:00:5e:00:53:01'],
  ['C2:11:22:33:44:55:66:77', 8, 'c2:11:22:33:44:55:66:77'],
  ['c211.2233.4455.6677', 8, 'c2:11:22:33:44:55:66:77'],
]
const bad: [string, 6 | 8][] = [
  ['', 6],
  ['02005e005301', 6],
  ['02:00:5e:00:53', 6],
  ['02:00:5e:00:53:01:02', 6],
  ['2:0:5e:0:53:1', 6],
  ['02:00-5e:00:53:01', 6],
  ['02:00:5e:00:53:0g', 6],
  ['02:00:5e:00:53:01\n', 6],
  [' 02:00:5e:00:53:01', 6],
  ['0200:5e00:5301', 6],
  ['02:00:5e:00:53:01', 8],
  ['c2:11:22:33:44:55:66:77', 6],
]

spec('hardware addresses', (it) => {
  for (const [text, bytes, expected] of good) {
    it(`NPWG C-16 ${text} becomes ${expected}`, () =>
      assert.is(normalizeHardwareAddress(text, bytes), expected))
  }
  for (const [text, bytes] of bad) {
    it(`NPWG C-16 ${JSON.stringify(text)} is no address of ${bytes} bytes`, () => {
      assert.is(normalizeHardwareAddress(text, bytes), undefined)
    })
  }
})
