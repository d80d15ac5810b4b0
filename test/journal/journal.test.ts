import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { CniErrorCode } from '../../src/cni/codes.ts'
import type { ExecFields } from '../../src/executor/frame.ts'
import { type JournalLookup, openJournalDir } from '../../src/journal/journal.ts'
import { type JournalRecord, pendingUndo } from '../../src/journal/record.ts'
import { thrownBy } from '../cni/thrown.ts'
import { tempDir } from '../rig/temp-dir.ts'
import { spec } from '../spec.ts'

const KEY = { containerId: 'c1', ifName: 'eth0' }
const PLANNED = { meta: { containerId: 'c1' }, netns: '/run/netns/p', netnsId: '4:1', files: ['/a', '/b'] }

const exec = (id: number, stdin = '{}'): ExecFields => ({
  id,
  mode: 2,
  timeoutMs: 1000,
  type: 'bridge',
  command: 'DEL',
  containerId: 'c1',
  netns: '/run/netns/p',
  ifName: 'eth0',
  args: '',
  stdin,
})

function recordIn(lookup: JournalLookup): JournalRecord {
  if (lookup.state === 'intact' || lookup.state === 'damaged') return lookup.record
  throw new Error(`journal is ${lookup.state}`)
}

/** A state directory with one journal of two started calls; `path` is its file. */
function planned() {
  const stateDir = join(tempDir('journal'), 'state')
  const journal = openJournalDir(stateDir)
  const open = journal.plan(KEY, PLANNED, [exec(0), exec(1)])
  open.started([0, 1])
  return { stateDir, journal, open, path: join(stateDir, 'sandboxes', 'c1', 'eth0') }
}

spec('journal on disk', (it) => {
  it('CNI-101 the plan with every DEL is there before anything starts, under its own name and modes', () => {
    const { journal, open, path, stateDir } = planned()
    open.close()
    assert.equal(open.record, {
      planned: PLANNED.meta,
      complete: undefined,
      calls: [exec(0), exec(1)].map((call) => ({ exec: call, isStarted: false, isUndone: false })),
      isPublished: false,
      failedDels: 0,
      netnsId: '4:1',
      bootId: readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(),
      isDamaged: false,
    })
    assert.is(statSync(path).mode & 0o777, 0o600)
    for (const folder of [stateDir, join(stateDir, 'sandboxes'), join(stateDir, 'sandboxes/c1')]) {
      assert.is(statSync(folder).mode & 0o777, 0o700, folder)
    }
    assert.equal(readdirSync(join(stateDir, 'sandboxes/c1')), ['eth0'])
    const record = recordIn(journal.lookup(KEY))
    assert.equal(record.planned, PLANNED.meta)
    assert.equal(
      pendingUndo(record).map((call) => call.exec),
      [exec(1), exec(0)],
    )
  })

  it('what is appended is read by the next process', () => {
    const { stateDir, open } = planned()
    open.undo([exec(1, '{"prevResult":{}}')])
    open.complete({ results: [] })
    open.attempted()
    open.undone(0)
    const mark = open.closeToMark()
    mark.set()
    mark.close()
    const record = recordIn(openJournalDir(stateDir).lookup(KEY))
    assert.equal(record.complete, { results: [] })
    assert.equal([record.isPublished, record.failedDels, record.isDamaged], [true, 1, false])
    assert.equal(
      pendingUndo(record).map((call) => call.exec.stdin),
      ['{"prevResult":{}}'],
    )
  })

  it('sync ends when file and directory are on disk', async () => {
    const { open } = planned()
    await open.sync()
    open.close()
  })

  it('a record that was opened again goes on behind a torn frame', () => {
    const { journal, open, path } = planned()
    open.close()
    appendFileSync(path, Buffer.from([0, 0, 0, 9, 37, 0]))
    const found = journal.lookup(KEY)
    assert.is(found.state, 'intact')
    const again = journal.open(KEY, recordIn(found))
    again.undone(1)
    again.close()
    assert.equal(
      pendingUndo(recordIn(journal.lookup(KEY))).map((call) => call.exec.id),
      [0],
    )
    assert.is(journal.lookup(KEY).state, 'intact')
  })

  it('is opened to be published only when ADD has ended and all of it can be read', () => {
    const { journal, open, path } = planned()
    assert.is(journal.openToPublish({ ...KEY, ifName: 'eth1' }), undefined)
    assert.is(journal.openToPublish(KEY), undefined)
    open.complete({ results: [] })
    open.close()
    const found = journal.openToPublish(KEY)
    assert.equal(found?.record.complete, { results: [] })
    found?.mark.set()
    found?.mark.close()
    assert.is(recordIn(journal.lookup(KEY)).isPublished, true)
    // Somebody is just appending: nothing is cut off, and nothing written behind it.
    const torn = Buffer.from([0, 0, 0, 9, 37, 0])
    appendFileSync(path, torn)
    assert.is(journal.openToPublish(KEY), undefined)
    assert.is(readFileSync(path).subarray(-torn.length).equals(torn), true)
  })

  it('that a record was published is never said in the one that has taken its place', () => {
    const { journal, open } = planned()
    open.complete({ results: [] })
    const mark = open.closeToMark()
    journal.remove(KEY)
    const next = journal.plan(KEY, PLANNED, [exec(0)])
    next.complete({ results: [] })
    mark.set()
    mark.close()
    next.close()
    assert.is(recordIn(journal.lookup(KEY)).isPublished, false)
    assert.is(journal.lookup(KEY).state, 'intact')
  })

  it('a damaged file gives its calls as started and can be put aside', () => {
    const { journal, open, path, stateDir } = planned()
    open.close()
    const bytes = readFileSync(path)
    bytes[30] = (bytes[30] ?? 0) ^ 0xff
    writeFileSync(path, bytes)
    const found = journal.lookup(KEY)
    assert.is(found.state, 'damaged')
    assert.is(pendingUndo(recordIn(found)).length, 2)
    const target = journal.setAside(KEY)
    assert.ok(target.startsWith(join(stateDir, 'damaged', 'c1-eth0-')), target)
    assert.is(readFileSync(target).equals(bytes), true)
    assert.is(journal.lookup(KEY).state, 'absent')
    assert.not(existsSync(join(stateDir, 'sandboxes/c1')))
    journal.plan(KEY, PLANNED, []).close()
    assert.ok(existsSync(journal.setAside(KEY)), 'a second one beside it')
  })

  it('a file of a newer format stays, with an error that names both versions', () => {
    const { journal, open, path } = planned()
    open.close()
    const bytes = readFileSync(path)
    bytes.writeUInt32BE(7, 4)
    writeFileSync(path, bytes)
    const found = journal.lookup(KEY)
    if (found.state !== 'newer') throw new Error(found.state)
    assert.is(found.error.code, CniErrorCode.TryAgainLater)
    assert.match(found.error.message, 'has format 7, this Plexus reads up to format 1')
    assert.ok(existsSync(path))
    assert.equal(journal.keys(), [KEY])
  })

  it('an empty state directory knows nothing and is not made by looking', () => {
    const stateDir = join(tempDir('journal'), 'state')
    const journal = openJournalDir(stateDir)
    assert.is(journal.lookup(KEY).state, 'absent')
    assert.equal(journal.keys(), [])
    assert.is(journal.knows('c1'), false)
    assert.not(existsSync(stateDir))
  })

  it('keys are told for every container and interface, without what a crash left', () => {
    const { journal, open, stateDir } = planned()
    open.close()
    journal.plan({ containerId: 'c2', ifName: 'eth1' }, PLANNED, []).close()
    mkdirSync(join(stateDir, 'sandboxes/c3'))
    writeFileSync(join(stateDir, 'sandboxes/c3/.planned-123-456789'), 'half')
    assert.equal(journal.keys(), [KEY, { containerId: 'c2', ifName: 'eth1' }])
    assert.equal(
      ['c1', 'c2', 'c3', 'c4'].map((id) => journal.knows(id)),
      [true, true, false, false],
    )
  })

  it('an interface with the longest name and a leading dot is no left-over', () => {
    const { journal, open } = planned()
    open.close()
    const key = { containerId: 'c2', ifName: '.planned-123456' }
    journal.plan(key, PLANNED, []).close()
    assert.equal(journal.keys(), [KEY, key])
  })

  it('remove takes the file and its folder, and twice is as good as once', () => {
    const { journal, open, stateDir } = planned()
    open.close()
    journal.plan({ containerId: 'c1', ifName: 'eth1' }, PLANNED, []).close()
    journal.remove(KEY)
    assert.equal(journal.keys(), [{ containerId: 'c1', ifName: 'eth1' }])
    journal.remove({ containerId: 'c1', ifName: 'eth1' })
    journal.remove(KEY)
    assert.equal(readdirSync(join(stateDir, 'sandboxes')), [])
  })

  it('planning again takes what a crash left of the time before', () => {
    const { journal, open, stateDir } = planned()
    open.close()
    const folder = join(stateDir, 'sandboxes/c1')
    writeFileSync(join(folder, '.planned-1-1234567890'), 'half')
    journal.plan(KEY, PLANNED, []).close()
    assert.equal(readdirSync(folder), ['eth0'])
  })

  it('CNI-108 a state directory that cannot be made is error 5 and leaves nothing', () => {
    const folder = tempDir('journal')
    writeFileSync(join(folder, 'file'), '')
    const journal = openJournalDir(join(folder, 'file', 'state'))
    const error = thrownBy(() => journal.plan(KEY, PLANNED, []))
    assert.is(error.code, CniErrorCode.Io)
    assert.match(error.message, /state directory .* cannot be written/)
    assert.equal(readdirSync(folder), ['file'])
    assert.is(journal.lookup(KEY).state, 'absent')
  })

  it('a journal that is a folder is error 5', () => {
    const { journal, open, stateDir } = planned()
    open.close()
    mkdirSync(join(stateDir, 'sandboxes/c2/eth0'), { recursive: true })
    chmodSync(join(stateDir, 'sandboxes/c2/eth0'), 0o700)
    assert.is(thrownBy(() => journal.lookup({ containerId: 'c2', ifName: 'eth0' })).code, CniErrorCode.Io)
  })
})
