import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { parseNetConf } from '../../src/config/net-conf.ts'
import { openErrands, SHIM_LIMITS } from '../../src/daemon/errands.ts'
import type { ErrandSession } from '../../src/daemon/session.ts'
import { openJournalDir } from '../../src/journal/journal.ts'
import { stubNode } from '../plugin/stub-node.ts'
import { eventually, installDaemon } from '../rig/daemon.ts'
import { tempDir } from '../rig/temp-dir.ts'
import { spec } from '../spec.ts'

spec('errands', (it) => {
  it('a record that cannot be read any more holds up none behind it', async () => {
    const stateDir = join(tempDir('errands'), 'state')
    const journal = openJournalDir(stateDir)
    for (const containerId of ['a', 'b']) {
      const key = { containerId, ifName: 'eth0' }
      const open = journal.plan(key, { meta: key, netns: '', netnsId: '4:1', files: [] }, [])
      open.attempted()
      open.close()
    }
    const done: string[] = []
    const errands = openErrands({
      intervalMs: () => 0,
      done: (outcome, key) => done.push(`${outcome} ${key.containerId}`),
    })
    errands.scan(stateDir, () => undefined)
    const unreadable = join(stateDir, 'sandboxes/a/eth0')
    rmSync(unreadable)
    mkdirSync(unreadable)
    const session = {
      lock: async () => true,
      executor: { netnsId: async () => undefined, execSeries: () => [] },
    } as unknown as ErrandSession
    const conf = parseNetConf({ type: 'plexus', stateDir })
    let fault = ''
    await errands.run(session, conf, undefined, SHIM_LIMITS).catch((error: Error) => {
      fault = error.message
    })
    assert.equal(done, ['undone b'])
    assert.match(fault, `${unreadable} cannot be read`)
    assert.is(errands.pending, 1)
  })

  it('a record that is all undone goes when a daemon starts, though nobody connects', async () => {
    const node = await stubNode()
    const { start } = installDaemon(node)
    const journal = openJournalDir(node.stateDir)
    const exec = { id: 0, mode: 2, timeoutMs: 1000, type: 'primary', command: 'DEL', containerId: 'a' }
    const rest = { netns: '', ifName: 'eth0', args: '', stdin: '{}' }
    for (const containerId of ['done', 'half']) {
      const key = { containerId, ifName: 'eth0' }
      const calls = [0, 1].map((id) => ({ ...exec, ...rest, id, containerId }))
      const open = journal.plan(key, { meta: key, netns: '', netnsId: '4:1', files: [] }, calls)
      open.started([0, 1])
      open.undone(...(containerId === 'done' ? [0, 1] : [0]))
      open.close()
    }
    const daemon = await start()
    await eventually(() => assert.equal(journal.keys(), [{ containerId: 'half', ifName: 'eth0' }]))
    await daemon.stop()
  })
})
