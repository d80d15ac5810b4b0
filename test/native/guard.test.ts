import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import * as assert from 'uvu/assert'
import { Ended, encodeMessage, MessageKind } from '../../src/executor/protocol.ts'
import { lockAllSandboxes, lockSandbox } from '../../src/journal/lock.ts'
import { eventually } from '../rig/daemon.ts'
import { stubPlugin } from '../rig/stub.ts'
import { isAlive } from '../rig/teardown.ts'
import { spec } from '../spec.ts'
import { execFields, fakeDaemon } from './fake-daemon.ts'
import { testShim } from './shim.ts'

/** Whether a process has its own way to end at SIGTERM by now. */
function heedsTerm(pid: number): boolean {
  const [, caught = ''] = /^SigCgt:\s+([0-9a-f]+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
  return (Number.parseInt(caught.slice(-4), 16) & (1 << 14)) !== 0
}

/** Processes of a group that still run. */
function members(group: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
          .replace(/^.*\) /s, '')
          .split(' ')
        return fields[0] !== 'Z' && Number(fields[2]) === group
      } catch {
        return false
      }
    })
}

spec('shim: its end, the guard and the lock', (it) => {
  it('SIGTERM ends the running delegate, tells the daemon, and the undo still runs', async () => {
    const shim = testShim()
    const stub = stubPlugin(shim.binDir, 'stub', { add: { hang: true } })
    const told: unknown[] = []
    const daemon = await fakeDaemon(shim.socket, async (peer) => {
      peer.send(encodeMessage.exec(execFields({ id: 1 })), encodeMessage.exec(execFields({ id: 2, mode: 1 })))
      // The order of the two does not matter to the daemon.
      for (let i = 0; i < 3; i++) {
        const { kind, fields } = await peer.next()
        if (kind === MessageKind.cancel) told.push('cancel')
        else told.push(`exit ${fields[0]?.readUInt32BE()} ended ${fields[3]?.readUInt32BE()}`)
      }
      const exit = await peer.exec({ id: 3, command: 'DEL' })
      told.push(exit.status)
      peer.done(1, '{"code":11}')
    })
    const running = shim.start('ADD')
    await stub.reached(1)
    running.kill('SIGTERM')
    const run = await running.finished
    assert.equal(daemon.faults, [])
    assert.is(run.status, 1)
    assert.is(run.stdout, '{"code":11}')
    assert.equal(told.slice(0, 3).sort(), [
      'cancel',
      `exit 1 ended ${Ended.cancelled}`,
      `exit 2 ended ${Ended.dropped}`,
    ])
    assert.is(told[3], 0)
  })

  it('SIGTERM while no daemon is there ends the wait', async () => {
    const shim = testShim()
    shim.configure({ addWait: '20' })
    const running = shim.start('ADD')
    await eventually(() => assert.ok(heedsTerm(running.pid)))
    running.kill('SIGTERM')
    const run = await running.finished
    assert.is(run.json?.code, 11)
    assert.ok(run.durationMs < 15_000)
  })

  it('after SIGKILL the guard ends the delegate and its child, and holds the lock until they are gone', async () => {
    const shim = testShim()
    const leases = join(shim.dir, 'leases')
    mkdirSync(leases)
    stubPlugin(shim.binDir, 'ipam', { add: { ignoreTerm: true, blockBefore: 'gate', lease: leases } })
    const stub = stubPlugin(shim.binDir, 'stub', { add: { ignoreTerm: true, ipam: true } })
    await fakeDaemon(shim.socket, async (peer) => {
      if (peer.hello.env.CNI_COMMAND === 'DEL') peer.done()
      else
        await peer
          .exec({ stdin: '{"cniVersion":"1.0.0","name":"n","type":"stub","ipam":{"type":"ipam"}}' })
          .catch(() => undefined)
    })
    const running = shim.start('ADD')
    const [call] = await stub.reached(1)
    const group = call?.pgid ?? 0
    while (members(group).length < 2) await sleep(5)
    running.kill('SIGKILL')
    await running.finished
    const run = await shim.run('DEL')
    assert.is(run.status, 0, run.stdout)
    assert.equal(members(group), [])
    assert.equal(readdirSync(leases), [])
  })

  it('nothing is left of a normal run: no guard, no open lock', async () => {
    const shim = testShim()
    stubPlugin(shim.binDir, 'stub')
    await fakeDaemon(shim.socket, async (peer) => {
      await peer.exec({})
      peer.done()
    })
    const running = shim.start('ADD')
    await running.finished
    const lock = await lockSandbox(shim.stateDir, 'pod-1', 5000, false)
    lock.release(true)
    const guards = (): string[] =>
      readdirSync('/proc').filter((pid) => {
        try {
          return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, 'utf8').startsWith(shim.executable)
        } catch {
          return false
        }
      })
    await eventually(() => assert.equal(guards(), []))
    assert.not(isAlive(running.pid))
  })

  it('CNI-102 waits for a lock that TypeScript holds, and TypeScript for its lock', async () => {
    const shim = testShim()
    const stub = stubPlugin(shim.binDir, 'stub', { add: { blockBefore: 'gate' } })
    const daemon = await fakeDaemon(shim.socket, async (peer) => {
      await peer.exec({})
      peer.done()
    })
    const lock = await lockSandbox(shim.stateDir, 'pod-1', 1000, false)
    const running = shim.start('ADD')
    await sleep(300)
    assert.is(daemon.hellos.length, 0)
    // The file goes while the shim waits: its lock must not be on the removed one.
    lock.release(true)
    await stub.reached(1)
    assert.ok(existsSync(join(shim.stateDir, 'locks/pod-1')))
    let error: unknown
    await lockSandbox(shim.stateDir, 'pod-1', 200, false).catch((caught: unknown) => {
      error = caught
    })
    assert.match(String(error), 'another call is at work')
    await lockAllSandboxes(shim.stateDir, 200).catch((caught: unknown) => {
      error = caught
    })
    assert.match(String(error), 'lock of all containers')
    stub.release('gate')
    assert.is((await running.finished).status, 0)
    ;(await lockAllSandboxes(shim.stateDir, 5000)).release(false)
  })

  it('CNI-067 GC excludes every other call', async () => {
    const shim = testShim()
    const seen: string[] = []
    await fakeDaemon(shim.socket, async (peer) => {
      const command = peer.hello.env.CNI_COMMAND ?? ''
      seen.push(`begin ${command}`)
      if (command === 'GC') await sleep(300)
      seen.push(`end ${command}`)
      peer.done()
    })
    const gc = shim.start('GC')
    while (seen.length === 0) await sleep(5)
    await Promise.all([shim.run('ADD'), gc.finished])
    assert.equal(seen, ['begin GC', 'end GC', 'begin ADD', 'end ADD'])
    // GC removes the lock files of containers of which nothing is recorded.
    assert.equal(readdirSync(join(shim.stateDir, 'locks')), ['pod-1'])
    await shim.run('GC')
    assert.equal(readdirSync(join(shim.stateDir, 'locks')), [])
  })
})
