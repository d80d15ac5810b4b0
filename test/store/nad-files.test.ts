import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import type { NetworkAttachmentDefinition } from '../../src/network/nad.ts'
import { openNadFiles } from '../../src/store/nad-files.ts'
import { spec } from '../spec.ts'
import { temporaryFolder } from './temporary-folder.ts'

const nad = (changes: Partial<NetworkAttachmentDefinition> = {}): NetworkAttachmentDefinition => ({
  namespace: 'telco',
  name: 'n6',
  annotations: { 'k8s.v1.cni.cncf.io/resourceName': 'vendor/pool' },
  config: '{"type":"bridge","mtu":1e3}',
  resourceVersion: '7',
  ...changes,
})

const silent = (message: string): void => assert.unreachable(message)

spec('kept NADs', (it) => {
  it('a NAD comes back as it was, from another process, readable by root alone', () => {
    const stateDir = temporaryFolder()
    openNadFiles(stateDir, silent).keep(nad())
    const bare = nad({ name: 'x'.repeat(253), annotations: {} })
    delete bare.config
    openNadFiles(stateDir, silent).keep(bare)
    const files = openNadFiles(stateDir, silent)
    assert.equal(files.keys().sort(), ['telco/n6', `telco/${bare.name}`])
    assert.equal(files.read('telco/n6'), nad())
    assert.equal(files.read(`telco/${bare.name}`), bare)
    assert.is(files.read('telco/n3'), undefined)
    const dir = join(stateDir, 'nads')
    assert.is(statSync(dir).mode & 0o777, 0o700)
    for (const file of readdirSync(dir)) assert.is(statSync(join(dir, file)).mode & 0o777, 0o600)
  })

  it('the same object is written once, a changed one in its place, a deleted one not at all', () => {
    const stateDir = temporaryFolder()
    const files = openNadFiles(stateDir, silent)
    const path = (): string => join(stateDir, 'nads', readdirSync(join(stateDir, 'nads'))[0] ?? '')
    const first = nad()
    files.keep(first)
    const { ino } = statSync(path())
    files.keep(first)
    assert.is(statSync(path()).ino, ino)
    files.update('telco/n6', nad({ config: '{}' }))
    assert.is(files.read('telco/n6')?.config, '{}')
    // Not used by this node: not kept.
    files.update('telco/n3', nad({ name: 'n3' }))
    assert.is(files.read('telco/n3'), undefined)
    files.update('telco/n6', undefined)
    assert.equal(readdirSync(join(stateDir, 'nads')), [])
    assert.equal(files.keys(), [])
  })

  it('a damaged copy is as good as none, and told', () => {
    const stateDir = temporaryFolder()
    openNadFiles(stateDir, silent).keep(nad())
    const dir = join(stateDir, 'nads')
    const path = join(dir, readdirSync(dir)[0] ?? '')
    const whole = readFileSync(path, 'utf8')
    // Cut off, of another NAD, and no NAD at all.
    for (const text of [whole.slice(0, 20), whole.replace('n6', 'n9'), '[]', '{"namespace":1}']) {
      writeFileSync(path, text)
      const warnings: string[] = []
      const files = openNadFiles(stateDir, (message) => warnings.push(message))
      assert.is(files.read('telco/n6'), undefined)
      assert.match(warnings.join(), path)
    }
  })

  it('a folder that cannot be written is told, and stops nobody', () => {
    const stateDir = temporaryFolder()
    writeFileSync(join(stateDir, 'nads'), '')
    const warnings: string[] = []
    const files = openNadFiles(stateDir, (message) => warnings.push(message))
    files.keep(nad())
    files.keep(nad())
    assert.is(warnings.length, 2)
    assert.match(warnings[0] ?? '', 'NAD telco/n6 is not kept')
    assert.is(files.read('telco/n6'), undefined)
    assert.equal(files.keys(), [])
  })
})
