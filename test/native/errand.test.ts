import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import * as assert from 'uvu/assert'
import { decodeNumber } from '../../src/executor/frame.ts'
import { readNetnsId } from '../../src/executor/netns.ts'
import { encodeMessage } from '../../src/executor/protocol.ts'
import { openJournalDir } from '../../src/journal/journal.ts'
import { lockSandbox } from '../../src/journal/lock.ts'
import { createNetns } from '../rig/netns.ts'
import { stubPlugin } from '../rig/stub.ts'
import { isAlive } from '../rig/teardown.ts'
import { spec } from '../spec.ts'
import { fakeDaemon, type Peer } from './fake-daemon.ts'
import { testShim } from './shim.ts'

async function lockFor(peer: Peer, containerId: string): Promise<boolean> {
  peer.send(encodeMessage.errand(containerId))
  const { fields } = await peer.next()
  assert.is(fields[0]?.toString(), containerId)
  return decodeNumber(fields[1]) === 1
}

spec('shim: errands', (it) => {
  it('after the answer it works on another sandbox, and the runtime does not wait for it', async () => {
    const shim = testShim()
    const stub = stubPlugin(shim.binDir, 'stub', { del: { blockBefore: 'gate' } })
    const seen: unknown[] = []
    let isOver = false
    const daemon = await fakeDaemon(shim.socket, async (peer) => {
      peer.send(encodeMessage.done(0, true, true, 'answer'))
      seen.push(await lockFor(peer, 'old-1'))
      seen.push(existsSync(join(shim.stateDir, 'locks/old-1')))
      seen.push((await peer.exec({ command: 'DEL', containerId: 'old-1' })).status)
      seen.push(await lockFor(peer, 'old-2'))
      peer.send(encodeMessage.errand(''))
      isOver = await peer.closed()
    })
    const run = await shim.run('ADD')
    assert.is(run.stdout, 'answer')
    stub.release('gate')
    // Its own lock is free, and gone, at once.
    assert.not(existsSync(join(shim.stateDir, 'locks/pod-1')))
    while (!isOver && daemon.faults.length === 0) await sleep(10)
    assert.equal(daemon.faults, [])
    assert.equal(seen, [true, true, 0, true])
    assert.is(stub.calls().length, 1)
    for (const id of ['old-1', 'old-2']) (await lockSandbox(shim.stateDir, id, 5000, false)).release(true)
  })

  it('a sandbox that is being worked on is left alone', async () => {
    const shim = testShim()
    const lock = await lockSandbox(shim.stateDir, 'old-1', 100, false)
    let isLocked: boolean | undefined
    await fakeDaemon(shim.socket, async (peer) => {
      peer.send(encodeMessage.done(0, true, true, ''))
      isLocked = await lockFor(peer, 'old-1')
      peer.send(encodeMessage.errand(''))
    })
    await shim.run('ADD')
    while (isLocked === undefined) await sleep(10)
    assert.is(isLocked, false)
    lock.release(true)
  })

  it('a call for a sandbox whose lock it does not hold ends the connection', async () => {
    const shim = testShim()
    const stub = stubPlugin(shim.binDir, 'stub')
    let fault: unknown
    await fakeDaemon(shim.socket, async (peer) => {
      peer.send(encodeMessage.done(0, true, true, ''))
      await lockFor(peer, 'old-1')
      await peer.exec({ command: 'DEL', containerId: 'pod-1' }).catch((error: unknown) => {
        fault = error
      })
    })
    await shim.run('ADD')
    while (fault === undefined) await sleep(10)
    assert.match(String(fault), 'closed the connection')
    assert.is(stub.calls().length, 0)
  })

  for (const [title, recorded, asked, isAllowed] of [
    ['the recorded netns', 'pod', 'pod', true],
    ['a netns that no record names', 'pod', 'other', false],
    ["a path that is another netns's by now", 'reused', 'pod', false],
    ["the node's own netns", 'own', 'own', false],
  ] as const) {
    it(`a DEL in ${title} is ${isAllowed ? 'run' : 'refused'}`, async () => {
      const shim = testShim()
      const stub = stubPlugin(shim.binDir, 'stub')
      const [pod, other] = [await createNetns('pod'), await createNetns('other')]
      const paths = { pod: pod.path, other: other.path, reused: pod.path, own: '/proc/self/ns/net' }
      const netns = paths[recorded]
      const netnsId = recorded === 'reused' ? '4:1:1' : (readNetnsId(netns) ?? '')
      openJournalDir(shim.stateDir)
        .plan({ containerId: 'old-1', ifName: 'eth0' }, { meta: {}, netns, netnsId, files: [] }, [])
        .close()
      let isRun: boolean | undefined
      await fakeDaemon(shim.socket, async (peer) => {
        peer.send(encodeMessage.done(0, true, true, ''))
        await lockFor(peer, 'old-1')
        isRun = await peer.exec({ command: 'DEL', containerId: 'old-1', netns: paths[asked] }).then(
          () => true,
          () => false,
        )
        peer.send(encodeMessage.errand(''))
      })
      await shim.run('ADD')
      while (isRun === undefined) await sleep(10)
      assert.is(isRun, isAllowed)
      assert.is(stub.calls().length, isAllowed ? 1 : 0)
    })
  }

  it('it ends after two seconds, and so does what it runs', async () => {
    const shim = testShim()
    const stub = stubPlugin(shim.binDir, 'stub', { del: { hang: true } })
    const begin = performance.now()
    let took = 0
    await fakeDaemon(shim.socket, async (peer) => {
      peer.send(encodeMessage.done(0, true, true, ''))
      await lockFor(peer, 'old-1')
      await peer.exec({ command: 'DEL', containerId: 'old-1' }).catch(() => undefined)
      await peer.closed()
      took = performance.now() - begin
    })
    await shim.run('ADD')
    while (took === 0) await sleep(10)
    assert.ok(took > 1500 && took < 9000, String(took))
    ;(await lockSandbox(shim.stateDir, 'old-1', 5000, false)).release(true)
    assert.not(isAlive(stub.calls()[0]?.pid ?? 0))
  })

  it('an agent serves errands without a request, connects again, and ends at SIGTERM', async () => {
    const shim = testShim()
    const stub = stubPlugin(shim.binDir, 'stub')
    const locked: boolean[] = []
    const script = async (peer: Peer): Promise<void> => {
      locked.push(await lockFor(peer, 'old-1'))
      await peer.exec({ command: 'DEL', containerId: 'old-1' })
      locked.push(await lockFor(peer, 'old-2'))
      peer.send(encodeMessage.errand(''))
      ;(await lockSandbox(shim.stateDir, 'old-2', 5000, false)).release(true)
      if (locked.length < 4) peer.socket.destroy()
    }
    const agent = spawn(shim.executable, ['--agent'], {
      env: { CNI_PATH: shim.binDir },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    await sleep(100)
    const daemon = await fakeDaemon(shim.socket, script)
    while (locked.length < 4 && daemon.faults.length === 0) await sleep(10)
    await sleep(200)
    assert.equal(daemon.faults, [])
    assert.equal(locked, [true, true, true, true])
    assert.is(stub.calls().length, 2)
    assert.is(daemon.hellos[0]?.isAgent, true)
    assert.equal(daemon.hellos[0]?.env, {})
    agent.kill('SIGTERM')
    const code = await new Promise((resolve) => agent.once('exit', resolve))
    assert.is(code, 0)
  })
})
