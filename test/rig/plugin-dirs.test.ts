import { existsSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { spec } from '../spec.ts'
import { runPlexus } from './plexus.ts'
import { currentPlugins, debianPlugins } from './plugin-dirs.ts'

async function versionsOf(dir: string): Promise<readonly unknown[]> {
  const run = await runPlexus('VERSION', { executable: join(dir, 'bridge'), conf: { cniVersion: '0.4.0' } })
  return run.json?.supportedVersions as unknown[]
}

spec('rig: real plugins', (it) => {
  it("the distribution's speak CNI 1.0.0", async () => {
    assert.ok((await versionsOf(debianPlugins())).includes('1.0.0'))
  })

  it('the current ones speak CNI 1.1.0, also when two ask at once', async () => {
    const [dir, again] = await Promise.all([currentPlugins(), currentPlugins()])
    assert.is(dir, again)
    assert.ok(existsSync(join(dir, 'host-local')))
    assert.ok((await versionsOf(dir)).includes('1.1.0'))
  })
})
