import { existsSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { parseNetConf } from '../../src/config/net-conf.ts'
import { type UndoContext, undoRecorded } from '../../src/engine/undo-recorded.ts'
import type { Executor } from '../../src/executor/executor.ts'
import { type Journal, openJournalDir } from '../../src/journal/journal.ts'
import { tempDir } from '../rig/temp-dir.ts'
import { spec } from '../spec.ts'

const KEY = { containerId: 'c1', ifName: 'eth0' }
const PLANNED = { meta: { containerId: 'c1' }, netns: '', netnsId: '4:1', files: [] }

/** A record with nothing to undo, and the means to undo it with a journal that may be another one. */
function recorded() {
  const stateDir = join(tempDir('undo'), 'state')
  const journal = openJournalDir(stateDir)
  journal.plan(KEY, PLANNED, []).close()
  const lookup = journal.lookup(KEY)
  if (lookup.state !== 'intact') throw new Error(lookup.state)
  const warnings: string[] = []
  const later: (() => void | Promise<void>)[] = []
  const undo = (given: Journal) => {
    const context: UndoContext = {
      executor: { netnsId: async () => undefined } as Partial<Executor> as Executor,
      journal: given,
      conf: parseNetConf({ type: 'plexus' }),
      store: undefined,
      now: () => performance.now(),
      startedAt: performance.now(),
      warn: (message) => warnings.push(message),
      called: () => undefined,
    }
    return undoRecorded(context, KEY, lookup, '', performance.now() + 1000, async (task) => {
      later.push(task)
    })
  }
  return { journal, undo, later, warnings, path: join(stateDir, 'sandboxes', 'c1', 'eth0') }
}

spec('undo of what is recorded', (it) => {
  it('a record that is marked goes after the answer, unless another one has come in its place', async () => {
    const { journal, undo, later, path } = recorded()
    await undo(journal)
    assert.ok(existsSync(path))
    journal.plan(KEY, PLANNED, []).close()
    for (const task of later) await task()
    assert.ok(existsSync(path))
  })

  it('a record that cannot be marked goes at once: later it could be that of the next ADD', async () => {
    const { journal, undo, later, path, warnings } = recorded()
    const refuse = (): never => {
      throw new Error('EMFILE')
    }
    await undo({ ...journal, open: refuse })
    assert.equal([existsSync(path), later.length], [false, 0])
    assert.match(warnings.join('\n'), 'EMFILE')
  })
})
