import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { eventually } from '../rig/daemon.ts'
import { tempDir } from '../rig/temp-dir.ts'
import { spec } from '../spec.ts'
import { builtShim } from './shim.ts'

const SIGTERM_BIT = 1n << 14n

spec('shim: --lock', (it) => {
  const shim = builtShim()
  const folder = tempDir('lock')
  const opened: number[] = []
  const open = (name: string): number => {
    const fd = openSync(join(folder, name), 'a')
    opened.push(fd)
    return fd
  }
  const lock = (
    fds: readonly number[],
    ...args: readonly string[]
  ): { status: number | null; stderr: string } =>
    spawnSync(shim, ['--lock', ...args], {
      stdio: ['ignore', 'ignore', 'pipe', ...fds],
      encoding: 'utf8',
      timeout: 30_000,
    })
  const status = (fds: readonly number[], ...args: readonly string[]): number | null =>
    lock(fds, ...args).status
  const begin = (fds: readonly number[], ...args: readonly string[]): ChildProcess =>
    spawn(shim, ['--lock', ...args], { stdio: ['ignore', 'ignore', 'ignore', ...fds], timeout: 30_000 })

  it.after.each(() => {
    for (const fd of opened.splice(0)) closeSync(fd)
  })

  it('locks what it inherits, and the lock stays with who has it open', () => {
    const mine = open('a')
    assert.is(status([mine], '1000', 'exclusive'), 0)
    assert.is(status([open('a')], '0', 'exclusive'), 1)
    assert.is(status([open('a')], '0', 'shared'), 1)
    closeSync(opened.splice(opened.indexOf(mine), 1)[0] ?? -1)
    assert.is(status([open('a')], '0', 'exclusive'), 0)
  })

  it('waits no longer than it is told, over all descriptors', () => {
    assert.is(status([open('b')], '0', 'exclusive'), 0)
    const begun = performance.now()
    assert.is(status([open('a'), open('b')], '300', 'shared', 'exclusive'), 1)
    const tookMs = performance.now() - begun
    assert.ok(tookMs >= 290 && tookMs < 10_000, `${tookMs} ms`)
  })

  it('shared ones go together, each descriptor has its own mode', () => {
    assert.is(status([open('folder'), open('a')], '0', 'shared', 'exclusive'), 0)
    assert.is(status([open('folder'), open('b')], '0', 'shared', 'exclusive'), 0)
    assert.is(status([open('folder'), open('a')], '0', 'shared', 'exclusive'), 1)
    assert.is(status([open('folder')], '0', 'exclusive'), 1)
  })

  it('of two that wait one has it, and the other when that one has gone', async () => {
    const first = open('a')
    assert.is(status([first], '0', 'exclusive'), 0)
    const waiting = [open('a'), open('a')].map((fd) => ({ fd, child: begin([fd], '20000', 'exclusive') }))
    const ended: number[] = []
    const all = waiting.map(async ({ fd, child }) => {
      assert.equal(await once(child, 'exit'), [0, null])
      ended.push(fd)
    })
    closeSync(opened.splice(opened.indexOf(first), 1)[0] ?? -1)
    await eventually(() => assert.is(ended.length, 1))
    closeSync(opened.splice(opened.indexOf(ended[0] ?? -1), 1)[0] ?? -1)
    await Promise.all(all)
    assert.is(new Set(ended).size, 2)
  })

  it('SIGTERM ends the wait', async () => {
    assert.is(status([open('a')], '0', 'exclusive'), 0)
    const child = begin([open('a')], '20000', 'exclusive')
    await eventually(() => {
      const caught = /^SigCgt:\s*(\w+)$/m.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1]
      assert.ok((BigInt(`0x${caught}`) & SIGTERM_BIT) !== 0n)
    })
    child.kill('SIGTERM')
    assert.is((await once(child, 'exit'))[0], 1)
  })

  it('a descriptor that is not there is named', () => {
    const { status, stderr } = lock([open('a')], '0', 'exclusive', 'shared')
    assert.is(status, 2)
    assert.match(stderr, 'descriptor 4 cannot be locked: Bad file descriptor')
  })

  it('anything else is refused before anything is locked', () => {
    const wrong = [
      [],
      ['0'],
      ['exclusive'],
      ['-1', 'exclusive'],
      ['1s', 'exclusive'],
      ['', 'exclusive'],
      ['1000000000', 'exclusive'],
      ['0', 'exclusive', 'both'],
      ['0', ''],
    ]
    for (const args of wrong) {
      const { status, stderr } = lock([open('a'), open('a')], ...args)
      assert.is(status, 2, args.join(' '))
      assert.match(stderr, '--lock MILLISECONDS shared|exclusive')
    }
    assert.is(status([open('a')], '0', 'exclusive'), 0)
  })
})
