import { spawnSync } from 'node:child_process'
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import * as assert from 'uvu/assert'
import type { ExecFields } from '../../src/executor/frame.ts'
import { readNetnsId } from '../../src/executor/netns.ts'
import { type JournalKey, type OpenJournal, openJournalDir } from '../../src/journal/journal.ts'
import { createNetns } from '../rig/netns.ts'
import { filesBelow } from '../rig/state-files.ts'
import { stubCalls, stubPlugin } from '../rig/stub.ts'
import { spec } from '../spec.ts'
import { execFields } from './fake-daemon.ts'
import { type TestShim, testShim } from './shim.ts'

const KEY: JournalKey = { containerId: 'pod-1', ifName: 'eth0' }

interface Recorded {
  readonly netns?: string
  readonly netnsId?: string
  readonly files?: readonly string[]
  readonly key?: JournalKey
  readonly calls?: readonly Partial<ExecFields>[]
}

/** A journal of TypeScript's with three calls: `a`, `b` on net1, `c` on net2. */
function record(shim: TestShim, recorded: Recorded = {}): OpenJournal {
  const { netns = '', netnsId = '', files = [], key = KEY } = recorded
  const calls = recorded.calls ?? [
    { type: 'a' },
    { type: 'b', ifName: 'net1', args: 'X=1' },
    { type: 'c', ifName: 'net2' },
  ]
  return openJournalDir(shim.stateDir).plan(
    key,
    { meta: { version: 1 }, netns, netnsId, files },
    calls.map((call, id) =>
      execFields({ id, command: 'DEL', stdin: `{"cniVersion":"1.0.0","name":"n${id}"}`, ...call }),
    ),
  )
}

const seen = (shim: TestShim): string[] =>
  stubCalls(shim.binDir).map(({ type, command, ifName, netns }) =>
    `${command} ${type} ${ifName} ${netns}`.trim(),
  )

const journalFile = (shim: TestShim): string => join(shim.stateDir, 'sandboxes/pod-1/eth0')

function withStubs(): TestShim {
  const shim = testShim()
  shim.configure({ delWait: '0' })
  for (const type of ['a', 'b', 'c']) stubPlugin(shim.binDir, type)
  return shim
}

spec('shim: DEL without a daemon', (it) => {
  it('CNI-049 undoes what was started, newest first, with the last recorded config, and leaves nothing', async () => {
    const shim = withStubs()
    const device = join(shim.dir, 'devinfo/cni/default-n-pod-1_net1')
    mkdirSync(join(shim.dir, 'devinfo/cni'), { recursive: true })
    writeFileSync(device, '{}')
    shim.configure({ delWait: '0', devInfoDir: join(shim.dir, 'devinfo') })
    const open = record(shim, { files: [device, `${device}x`] })
    open.started([0, 1])
    open.undo([
      execFields({
        id: 1,
        command: 'DEL',
        type: 'b',
        ifName: 'net1',
        stdin: '{"name":"n1","prevResult":{}}',
      }),
    ])
    open.close()
    const run = await shim.run('DEL')
    assert.is(run.status, 0, run.stdout)
    assert.is(run.stdout, '')
    assert.equal(seen(shim), ['DEL b net1', 'DEL a eth0'])
    assert.is(stubCalls(shim.binDir)[0]?.stdinText, '{"name":"n1","prevResult":{}}')
    assert.equal(filesBelow(shim.stateDir), [])
    assert.not(existsSync(device))
    assert.is(run.stderr, '')
  })

  for (const isOfConf of [false, true]) {
    it(`of what a record names only device-info of its container goes, folder of ${isOfConf ? 'the net-conf' : 'plexus.shim'}`, async () => {
      const shim = withStubs()
      const devInfoDir = join(shim.dir, 'devinfo')
      const folder = join(devInfoDir, 'cni')
      mkdirSync(join(folder, 'default-pod-1_dir'), { recursive: true })
      mkdirSync(join(folder, 'pod-1_x'))
      mkdirSync(join(shim.dir, 'else/cni'), { recursive: true })
      const ours = ['pod-1_net1', 'default-a-pod-1_net2'].map((name) => join(folder, name))
      const others = [
        join(folder, 'default-a-pod-2_net1'),
        join(folder, 'default-a-pod-1'),
        join(folder, 'xpod-1_net1'),
        join(folder, 'pod-1_x/pod-1_net1'),
        join(devInfoDir, 'pod-1_net1'),
        join(shim.dir, 'else/cni/pod-1_net1'),
      ]
      for (const path of [...ours, ...others]) writeFileSync(path, '{}')
      symlinkSync(others[0] ?? '', join(folder, 'pod-1_link'))
      const odd = [
        join(folder, 'pod-1_link'),
        join(folder, 'default-pod-1_dir'),
        `${folder}/../../else/cni/pod-1_net1`,
        `${folder}/../cni/default-a-pod-2_net1`,
        `${folder}/`,
        'pod-1_net1',
      ]
      const named = isOfConf ? {} : { devInfoDir }
      shim.configure({ delWait: '0', ...named })
      record(shim, { files: [...odd, ...others, ...ours] }).close()
      const run = await shim.run('DEL', {
        conf: { cniVersion: '1.0.0', name: 'x', type: 'plexus', ...(isOfConf ? { devInfoDir } : {}) },
      })
      assert.is(run.status, 0, run.stdout)
      for (const path of ours) assert.not(existsSync(path), path)
      for (const path of others) assert.ok(existsSync(path), path)
      assert.ok(lstatSync(join(folder, 'pod-1_link')).isSymbolicLink())
      assert.ok(existsSync(join(folder, 'default-pod-1_dir')))
      const warnings = run.stderr.split('\n').filter((line) => line.includes('is not removed'))
      assert.is(warnings.length, others.length + odd.length, run.stderr)
      assert.equal(filesBelow(shim.stateDir), [])
    })
  }

  it('a link in the state directory leads it nowhere', async () => {
    const elsewhere = (shim: TestShim): string => {
      const path = join(shim.dir, 'elsewhere')
      mkdirSync(path)
      for (const name of ['.planned-12345-1234567890', 'important', 'eth0'])
        writeFileSync(join(path, name), '')
      return path
    }
    const isWhole = (shim: TestShim): void =>
      assert.equal(filesBelow(join(shim.dir, 'elsewhere')), [
        '.planned-12345-1234567890',
        'eth0',
        'important',
      ])

    const aside = withStubs()
    record(aside).close()
    appendFileSync(journalFile(aside), 'x'.repeat(40))
    const bytes = readFileSync(journalFile(aside))
    bytes.writeUInt8(bytes.readUInt8(20) ^ 1, 20)
    writeFileSync(journalFile(aside), bytes)
    symlinkSync(elsewhere(aside), join(aside.stateDir, 'damaged'))
    const moved = await aside.run('DEL')
    assert.is(moved.status, 0, moved.stdout)
    assert.match(moved.stderr, 'cannot be moved to')
    assert.ok(existsSync(journalFile(aside)))
    isWhole(aside)

    const sandbox = withStubs()
    mkdirSync(join(sandbox.stateDir, 'sandboxes'), { recursive: true })
    symlinkSync(elsewhere(sandbox), join(sandbox.stateDir, 'sandboxes/pod-1'))
    const linked = await sandbox.run('DEL')
    assert.is(linked.json?.code, 5)
    assert.match(String(linked.json?.msg), 'journal cannot be read')
    isWhole(sandbox)

    const locks = withStubs()
    mkdirSync(locks.stateDir)
    symlinkSync(elsewhere(locks), join(locks.stateDir, 'locks'))
    assert.is((await locks.run('ADD')).json?.code, 5)
    assert.is((await locks.run('GC')).json?.code, 5)
    assert.is((await locks.run('DEL')).status, 0)
    isWhole(locks)

    const file = withStubs()
    mkdirSync(join(file.stateDir, 'locks'), { recursive: true })
    symlinkSync(join(elsewhere(file), 'made'), join(file.stateDir, 'locks/pod-1'))
    assert.is((await file.run('ADD')).json?.code, 5)
    isWhole(file)
  })

  it('a recorded call for another container is not run, and the record stays', async () => {
    const shim = withStubs()
    const open = record(shim, { calls: [{ type: 'a', containerId: 'pod-2' }, { type: 'b' }] })
    open.started([0, 1])
    open.close()
    const run = await shim.run('DEL')
    assert.is(run.json?.code, 106)
    assert.match(String(run.json?.msg), "a recorded call is another container's")
    assert.equal(seen(shim), ['DEL b eth0'])
    assert.is(filesBelow(join(shim.stateDir, 'sandboxes')).length, 1)
  })

  it('without a record it is success, and what a crash left goes', async () => {
    const shim = withStubs()
    mkdirSync(join(shim.stateDir, 'sandboxes/pod-1'), { recursive: true })
    writeFileSync(join(shim.stateDir, 'sandboxes/pod-1/.planned-12345-1234567890'), '')
    assert.is((await shim.run('DEL')).status, 0)
    assert.equal(filesBelow(shim.stateDir), [])
    assert.equal(seen(shim), [])
  })

  it('the delegates get the netns while it is the recorded one', async () => {
    const shim = withStubs()
    const netns = await createNetns()
    const open = record(shim, { netns: netns.path, netnsId: readNetnsId(netns.path) ?? '' })
    open.started([0])
    open.close()
    await shim.run('DEL', { netns })
    assert.equal(seen(shim), [`DEL a eth0 ${netns.path}`])
  })

  it("and none when the path is another one's by now", async () => {
    const shim = withStubs()
    const netns = await createNetns()
    const open = record(shim, { netns: netns.path, netnsId: '4:1:1' })
    open.started([0])
    open.close()
    await shim.run('DEL', { netns })
    assert.equal(seen(shim), ['DEL a eth0'])
  })

  it('CNI-047 goes on after a failure, keeps what failed, and TypeScript reads what is left', async () => {
    const shim = withStubs()
    const failing = stubPlugin(shim.binDir, 'b', {
      del: { error: { code: 77, msg: 'it "cannot"', details: 'now' } },
    })
    const open = record(shim)
    open.started([0, 1, 2])
    open.close()
    const run = await shim.run('DEL')
    assert.is(run.status, 1)
    assert.is(run.json?.code, 106)
    assert.match(String(run.json?.msg), 'container pod-1: network "n1": plugin "b" failed (del): ')
    assert.match(String(run.json?.msg), 'it \\"cannot\\"')
    assert.equal(seen(shim), ['DEL c net2', 'DEL b net1', 'DEL a eth0'])
    const lookup = openJournalDir(shim.stateDir).lookup(KEY)
    assert.is(lookup.state, 'intact')
    if (lookup.state !== 'intact') return
    assert.equal(
      lookup.record.calls.map(({ isUndone }) => isUndone),
      [true, false, true],
    )
    assert.is(lookup.record.failedDels, 1)
    failing.behave({})
    assert.is((await shim.run('DEL')).status, 0)
    assert.equal(seen(shim).slice(3), ['DEL b net1'])
    assert.equal(filesBelow(shim.stateDir), [])
  })

  it('the fifth failure lets the pod go and keeps the record', async () => {
    const shim = withStubs()
    stubPlugin(shim.binDir, 'a', { del: { error: { code: 77, msg: 'no' } } })
    const open = record(shim)
    open.started([0])
    open.close()
    const statuses: unknown[] = []
    for (let i = 0; i < 6; i++) statuses.push((await shim.run('DEL')).status)
    assert.equal(statuses, [1, 1, 1, 1, 0, 0])
    assert.ok(existsSync(journalFile(shim)))
  })

  it('a missing plugin is a failure, not a success', async () => {
    const shim = testShim()
    shim.configure({ delWait: '0' })
    const open = record(shim)
    open.started([0])
    open.close()
    const run = await shim.run('DEL')
    assert.is(run.json?.code, 106)
    assert.match(String(run.json?.msg), 'failed to find plugin "a" in path')
  })

  it('a torn last frame is cut off before a mark is appended', async () => {
    const shim = withStubs()
    stubPlugin(shim.binDir, 'a', { del: { error: { code: 77, msg: 'no' } } })
    const open = record(shim)
    open.started([0, 1])
    open.close()
    appendFileSync(journalFile(shim), Buffer.from([0, 0, 0, 9, 33, 0, 0]))
    assert.is((await shim.run('DEL')).status, 1)
    const lookup = openJournalDir(shim.stateDir).lookup(KEY)
    assert.is(lookup.state, 'intact')
    if (lookup.state !== 'intact') return
    assert.equal(
      lookup.record.calls.map(({ isUndone }) => isUndone),
      [false, true, false],
    )
  })

  it('of a damaged file every whole frame is undone, and the file is moved', async () => {
    const shim = withStubs()
    const open = record(shim)
    open.started([0])
    open.close()
    const bytes = readFileSync(journalFile(shim))
    bytes.writeUInt8(bytes.readUInt8(30) ^ 0xff, 30)
    writeFileSync(journalFile(shim), bytes)
    const run = await shim.run('DEL')
    assert.is(run.status, 0)
    assert.match(run.stderr, 'is damaged')
    assert.equal(seen(shim), ['DEL c net2', 'DEL b net1', 'DEL a eth0'])
    const [moved, ...more] = readdirSync(join(shim.stateDir, 'damaged'))
    assert.match(moved ?? '', /^pod-1-eth0-\d+$/)
    assert.equal(more, [])
    assert.not(existsSync(journalFile(shim)))
  })

  it("a damaged file's delegates keep off a netns that another container's record claims", async () => {
    const shim = withStubs()
    const netns = await createNetns()
    record(shim).close()
    const bytes = readFileSync(journalFile(shim))
    bytes.writeUInt8(bytes.readUInt8(14) ^ 0xff, 14)
    writeFileSync(journalFile(shim), bytes)
    record(shim, {
      key: { containerId: 'pod-2', ifName: 'eth0' },
      netns: netns.path,
      netnsId: readNetnsId(netns.path) ?? '',
    }).close()
    await shim.run('DEL', { netns })
    assert.equal(seen(shim), ['DEL c net2', 'DEL b net1', 'DEL a eth0'])
  })

  it('a file of a newer format stays, and the error names both', async () => {
    const shim = withStubs()
    const open = record(shim)
    open.started([0])
    open.close()
    const bytes = readFileSync(journalFile(shim))
    bytes.writeUInt32BE(2, 4)
    writeFileSync(journalFile(shim), bytes)
    const run = await shim.run('DEL')
    assert.is(run.json?.code, 11)
    assert.match(String(run.json?.msg), 'has format 2, this Plexus reads up to format 1')
    assert.equal(readFileSync(journalFile(shim)), bytes)
    assert.equal(seen(shim), [])
  })

  it('of a record of before a restart of the node every call is undone', async () => {
    const shim = withStubs()
    record(shim).close()
    const bytes = readFileSync(journalFile(shim))
    const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
    const at = bytes.indexOf(bootId)
    bytes.write('0', at)
    bytes.write('1', at + 1)
    // The record's checksum is of what follows its length.
    const length = bytes.readUInt32BE(8)
    bytes.writeUInt32BE(crc32(bytes.subarray(12, 12 + length)), 12 + length)
    writeFileSync(journalFile(shim), bytes)
    const run = await shim.run('DEL')
    assert.is(run.status, 0, run.stdout)
    assert.equal(seen(shim), ['DEL c net2', 'DEL b net1', 'DEL a eth0'])
    assert.equal(filesBelow(shim.stateDir), [])
  })

  it('a delegate that hangs is ended at its recorded limit, and the others run', async () => {
    const shim = withStubs()
    stubPlugin(shim.binDir, 'b', { del: { hang: true } })
    const open = record(shim, { calls: [{ type: 'a' }, { type: 'b', timeoutMs: 1000 }] })
    open.started([0, 1])
    open.close()
    const run = await shim.run('DEL')
    assert.match(String(run.json?.msg), 'did not end in time')
    assert.equal(seen(shim), ['DEL b eth0', 'DEL a eth0'])
  })

  it('the lock file stays while another interface of the container is recorded', async () => {
    const shim = withStubs()
    record(shim).close()
    record(shim, { key: { containerId: 'pod-1', ifName: 'eth1' } }).close()
    await shim.run('DEL')
    assert.ok(existsSync(join(shim.stateDir, 'locks/pod-1')))
    await shim.run('DEL', { ifName: 'eth1' })
    assert.not(existsSync(join(shim.stateDir, 'locks/pod-1')))
  })

  it('a state directory that cannot be written does not stop it', async () => {
    const shim = withStubs()
    const open = record(shim)
    open.started([0])
    open.close()
    const { stateDir } = shim
    copyFileSync(journalFile(shim), join(shim.dir, 'copy'))
    const script = `mount -t tmpfs none "$1" && mkdir -p "$1/sandboxes/pod-1" && cp "$2" "$1/sandboxes/pod-1/eth0" &&
      mount -o remount,ro "$1" && exec "$3"`
    const readOnly = spawnSync(
      'unshare',
      ['--mount', '/bin/sh', '-c', script, 'sh', stateDir, join(shim.dir, 'copy'), shim.executable],
      {
        env: {
          PATH: process.env.PATH,
          CNI_COMMAND: 'DEL',
          CNI_CONTAINERID: 'pod-1',
          CNI_IFNAME: 'eth0',
          CNI_PATH: shim.binDir,
        },
        input: '{}',
        encoding: 'utf8',
      },
    )
    assert.is(readOnly.status, 0, `${readOnly.stdout}${readOnly.stderr}`)
    assert.equal(seen(shim), ['DEL a eth0'])
  })
})
