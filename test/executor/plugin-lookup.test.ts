import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { CniErrorCode } from '../../src/cni/codes.ts'
import { findPlugin, isSameFile, pluginNotFound } from '../../src/executor/plugin-lookup.ts'
import { tempDir } from '../rig/temp-dir.ts'
import { spec } from '../spec.ts'

/** Two folders of plugins: `a` only in the first, `b` in both, `c` only in the second. */
function folders(): { first: string; second: string } {
  const base = tempDir('lookup')
  const [first, second] = [join(base, 'first'), join(base, 'second')]
  for (const folder of [first, second]) mkdirSync(folder)
  for (const path of [`${first}/a`, `${first}/b`, `${second}/b`, `${second}/c`]) writeFileSync(path, '')
  return { first, second }
}

spec('plugin lookup', (it) => {
  it('CNI-091 the first directory that has the file counts, without regard to the execute bit', () => {
    const { first, second } = folders()
    const path = [first, second]
    assert.equal(
      ['a', 'b', 'c', 'd'].map((type) => findPlugin(type, path)),
      [`${first}/a`, `${first}/b`, `${second}/c`, undefined],
    )
  })

  it('CNI-091 links are followed and named as they are, a link to nothing and a folder are no plugin', () => {
    const { first, second } = folders()
    symlinkSync('a', join(first, 'multi'))
    symlinkSync('/nowhere', join(first, 'c'))
    mkdirSync(join(first, 'folder'))
    assert.is(findPlugin('multi', [first]), `${first}/multi`)
    assert.is(findPlugin('c', [first, second]), `${second}/c`)
    assert.is(findPlugin('folder', [first]), undefined)
  })

  it('CNI-083 a type that is a path is never looked for', () => {
    const { first } = folders()
    for (const type of ['', '.', '..', '../first/a', `${first}/a`, 'a/']) {
      assert.is(findPlugin(type, [first]), undefined, type)
    }
  })

  it('a directory that is not there is passed over', () => {
    const { first } = folders()
    assert.is(findPlugin('a', ['/nowhere/at/all', first]), `${first}/a`)
  })

  it("CNI-091 what is not found is said in the reference library's words", () => {
    const error = pluginNotFound('ovs', ['/opt/cni/bin', '/usr/lib/cni'])
    assert.is(error.code, CniErrorCode.PluginNotFound)
    assert.is(error.message, 'failed to find plugin "ovs" in path [/opt/cni/bin /usr/lib/cni]')
    assert.is(pluginNotFound('ovs', []).message, 'failed to find plugin "ovs": no paths provided')
  })

  it('two paths to one file are the same, a path to nothing is none', () => {
    const { first } = folders()
    symlinkSync('a', join(first, 'plexus'))
    assert.is(isSameFile(`${first}/a`, `${first}/plexus`), true)
    assert.is(isSameFile(`${first}/a`, `${first}/b`), false)
    assert.is(isSameFile('/nowhere', '/nowhere'), false)
  })
})
