import { chmodSync, closeSync, copyFileSync, openSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import * as assert from 'uvu/assert'
import type { ExecFields } from '../../src/executor/frame.ts'
import { Ended, type ExitMessage, encodeMessage } from '../../src/executor/protocol.ts'
import type { PlexusCall, PlexusRun } from '../rig/plexus.ts'
import { type StubBehaviour, type StubPlugin, stubPlugin } from '../rig/stub.ts'
import { isAlive } from '../rig/teardown.ts'
import { spec } from '../spec.ts'
import { execFields, fakeDaemon } from './fake-daemon.ts'
import { type TestShim, testShim } from './shim.ts'

interface Executed {
  readonly shim: TestShim
  readonly stub: StubPlugin
  readonly exit: ExitMessage
  readonly run: PlexusRun
}

/** One ADD in which the daemon runs one stub once. */
async function execOne(
  behaviour: StubBehaviour,
  fields: Partial<ExecFields> = {},
  call: PlexusCall = {},
): Promise<Executed> {
  const shim = testShim()
  const stub = stubPlugin(shim.binDir, 'stub', behaviour)
  let exit: ExitMessage | undefined
  const daemon = await fakeDaemon(shim.socket, async (peer) => {
    exit = await peer.exec(fields)
    peer.done()
  })
  const run = await shim.run('ADD', call)
  assert.equal(daemon.faults, [])
  if (exit === undefined) throw new Error('no exit came')
  return { shim, stub, exit, run }
}

spec('shim: running a delegate', (it) => {
  it('CNI-089 it gets our environment with the six CNI variables replaced, a group of its own, nothing open', async () => {
    const { stub, exit, shim } = await execOne(
      {},
      { netns: '/run/netns/pod', ifName: 'net1', args: 'A=1', stdin: '{"cniVersion":"1.0.0","x":1}' },
      {
        netns: '/run/netns/pod',
        env: { HTTP_PROXY: 'p', CNI_NETNS_OVERRIDE: '1', NODE_OPTIONS: '--no-such-option' },
        path: ['/nowhere'],
      },
    )
    const [call] = stub.calls()
    assert.is(exit.status, 0)
    assert.is(call?.env.HTTP_PROXY, 'p')
    assert.is(call?.env.NODE_OPTIONS, undefined)
    assert.is(call?.env.CNI_NETNS_OVERRIDE, '1')
    assert.is(call?.env.CNI_PATH, `/nowhere:${shim.binDir}`)
    assert.equal(
      [call?.command, call?.containerId, call?.netns, call?.ifName, call?.env.CNI_ARGS, call?.stdinText],
      ['ADD', 'pod-1', '/run/netns/pod', 'net1', 'A=1', '{"cniVersion":"1.0.0","x":1}'],
    )
    assert.is(new Set(call?.envList.map((entry) => entry.split('=')[0])).size, call?.envList.length)
    assert.is(call?.pgid, call?.pid)
    assert.equal(call?.fds, [0, 1, 2])
    assert.match(call?.blockedSignals ?? '', /^0+$/)
    assert.match(call?.ignoredSignals ?? '', /^0+$/)
    assert.is(call?.cwd, process.cwd())
  })

  it('its status, stdout, stderr and time come back, and its stderr is shown', async () => {
    const { exit, run } = await execOne({
      add: { sleepMs: 60, stderr: 'hm\n', error: { code: 77, msg: 'no' }, exit: 3 },
    })
    assert.is(exit.status, 3)
    assert.is(JSON.parse(exit.stdout).code, 77)
    assert.is(exit.stderr, 'hm\n')
    assert.is(run.stderr, 'hm\n')
    assert.ok(exit.durationUs >= 60_000 && exit.durationUs < 5_000_000, String(exit.durationUs))
  })

  it('a signal that ends it is told', async () => {
    const { exit } = await execOne({ add: { signal: 'SIGSEGV' } })
    assert.is(exit.status, undefined)
    assert.is(exit.signal, 11)
    assert.is(exit.ended, Ended.itself)
  })

  it('CNI-094 it may leave its stdin unread', async () => {
    const { exit } = await execOne(
      { add: { stdin: 'ignore', result: {} } },
      { stdin: `{"x":"${'x'.repeat(2 ** 20)}"}` },
    )
    assert.is(exit.status, 0)
  })

  it('one that hangs is ended at its limit with all its children', async () => {
    const begin = performance.now()
    const { exit, stub } = await execOne({ add: { hang: true } }, { timeoutMs: 1500 })
    assert.is(exit.ended, Ended.timeout)
    assert.is(exit.signal, 15)
    assert.ok(performance.now() - begin < 15_000)
    assert.not(isAlive(stub.calls()[0]?.pid ?? 0))
  })

  it('one that takes no notice of SIGTERM is killed half a second later', async () => {
    const { exit, stub } = await execOne({ add: { ignoreTerm: true, hang: true } }, { timeoutMs: 1500 })
    assert.is(exit.ended, Ended.timeout)
    assert.is(exit.signal, 9)
    assert.not(isAlive(stub.calls()[0]?.pid ?? 0))
  })

  it('one that prints without end is ended', async () => {
    const { exit } = await execOne({ add: { stdoutBytes: 40 * 2 ** 20 } })
    assert.is(exit.ended, Ended.output)
    assert.ok(exit.stdout.length <= 64 * 1024)
  })

  it('of a flood on stderr the first MiB is kept', async () => {
    const { exit, run } = await execOne({ add: { stderrBytes: 5 * 2 ** 20, result: {} } })
    assert.is(exit.status, 0)
    assert.is(exit.stderr.length, 2 ** 20)
    assert.ok(run.stderr.length <= 2 ** 20)
  })

  for (const detached of [false, true]) {
    it(`a child ${detached ? 'in a session of its own ' : ''}that keeps the pipes open is not waited for`, async () => {
      const begin = performance.now()
      const { exit } = await execOne({ add: { holdPipesMs: 20_000, detached, result: { a: 1 } } })
      assert.is(exit.status, 0)
      assert.is(exit.stdout, '{"a":1}')
      assert.ok(performance.now() - begin < 15_000)
    })
  }

  it('CNI-091 a plugin that is nowhere is told with the directories', async () => {
    const { exit, shim } = await execOne({}, { type: 'none' })
    assert.is(exit.ended, Ended.notStarted)
    assert.is(exit.code, 101)
    assert.is(exit.stderr, `failed to find plugin "none" in path [${shim.binDir}]`)
  })

  it('a file that others may write is not run', async () => {
    const shim = testShim()
    const path = join(shim.binDir, 'loose')
    writeFileSync(path, '#!/bin/sh\n')
    chmodSync(path, 0o777)
    let exit: ExitMessage | undefined
    await fakeDaemon(shim.socket, async (peer) => {
      exit = await peer.exec({ type: 'loose' })
      peer.done()
    })
    await shim.run('ADD')
    assert.is(exit?.ended, Ended.notStarted)
    assert.is(exit?.code, 102)
    assert.match(exit?.stderr ?? '', `${path} can be written by others than root`)
  })

  it('what cannot be executed is told', async () => {
    const shim = testShim()
    writeFileSync(join(shim.binDir, 'text'), 'no program\n', { mode: 0o755 })
    let exit: ExitMessage | undefined
    await fakeDaemon(shim.socket, async (peer) => {
      exit = await peer.exec({ type: 'text' })
      peer.done()
    })
    await shim.run('ADD')
    assert.equal([exit?.ended, exit?.code], [Ended.notStarted, 5])
    assert.match(exit?.stderr ?? '', 'Exec format error')
  })

  it('a script runs, and so does a plugin that a trusted link leads to', async () => {
    const shim = testShim()
    writeFileSync(join(shim.binDir, 'script'), '#!/bin/sh\necho "{\\"zero\\":\\"$0\\"}"\n', { mode: 0o755 })
    let exit: ExitMessage | undefined
    await fakeDaemon(shim.socket, async (peer) => {
      exit = await peer.exec({ type: 'script' })
      peer.done()
    })
    await shim.run('ADD')
    assert.is(exit?.stdout, `{"zero":"${join(shim.binDir, 'script')}"}\n`)
  })

  it('CNI-099 one that is being written is tried again', async () => {
    const shim = testShim()
    const stub = stubPlugin(shim.binDir, 'origin')
    const path = join(shim.binDir, 'busy')
    copyFileSync(stub.path, path)
    const fd = openSync(path, 'r+')
    let exit: ExitMessage | undefined
    await fakeDaemon(shim.socket, async (peer) => {
      const answer = peer.exec({ type: 'busy' })
      // Its next try comes a second after the first.
      await sleep(900)
      closeSync(fd)
      exit = await answer
      peer.done()
    })
    await shim.run('ADD')
    assert.is(exit?.status, 0, exit?.stderr)
    assert.ok((exit?.durationUs ?? 0) > 900_000)
  })

  it('CNI-099 one that was busy waits until fewer than 32 others run', async () => {
    const shim = testShim()
    const stub = stubPlugin(shim.binDir, 'stub', { add: { blockBefore: 'gate' } })
    const origin = stubPlugin(shim.binDir, 'origin')
    const path = join(shim.binDir, 'busy')
    copyFileSync(origin.path, path)
    const fd = openSync(path, 'r+')
    const statuses: (number | undefined)[] = []
    await fakeDaemon(shim.socket, async (peer) => {
      const calls = Array.from({ length: 32 }, (_, id) => execFields({ id: id + 1 }))
      peer.send(
        encodeMessage.exec(execFields({ id: 0, type: 'busy' })),
        ...calls.map((call) => encodeMessage.exec(call)),
      )
      await stub.reached(32)
      closeSync(fd)
      // Its next try comes within a second, when there is no room.
      await sleep(1500)
      stub.release('gate')
      for (let i = 0; i < 33; i++) statuses.push((await peer.exit()).status)
      peer.done()
    })
    const run = await shim.run('ADD')
    assert.is(run.status, 0, run.stderr)
    assert.equal(
      statuses,
      Array.from({ length: 33 }, () => 0),
    )
  })

  it('CNI-099 one that stays busy within its limit is told as such', async () => {
    const shim = testShim()
    const stub = stubPlugin(shim.binDir, 'origin')
    const path = join(shim.binDir, 'busy')
    copyFileSync(stub.path, path)
    const fd = openSync(path, 'r+')
    let exit: ExitMessage | undefined
    await fakeDaemon(shim.socket, async (peer) => {
      exit = await peer.exec({ type: 'busy', timeoutMs: 1500 })
      peer.done()
    })
    await shim.run('ADD')
    closeSync(fd)
    assert.equal([exit?.ended, exit?.code], [Ended.notStarted, 11])
    assert.match(exit?.stderr ?? '', 'is being written')
  })

  it('GC may run calls for every container, STATUS and VERSION for none', async () => {
    const shim = testShim()
    const stub = stubPlugin(shim.binDir, 'stub')
    const daemon = await fakeDaemon(shim.socket, async (peer) => {
      if (peer.hello.env.CNI_COMMAND === 'GC') {
        await peer.exec({ id: 1, command: 'DEL', containerId: 'old-pod' })
        await peer.exec({ id: 2, command: 'GC', containerId: '', ifName: '' })
      } else await peer.exec({ command: 'STATUS', containerId: '', ifName: '' })
      peer.done()
    })
    assert.is((await shim.run('GC')).status, 0)
    assert.is((await shim.run('STATUS')).status, 0)
    assert.equal(daemon.faults, [])
    assert.equal(
      stub.calls().map(({ command, containerId }) => `${command} ${containerId}`),
      ['DEL old-pod', 'GC ', 'STATUS '],
    )
  })

  it('when the daemon dies in the middle the delegate is waited for, and an ADD is error 11', async () => {
    const shim = testShim()
    const stub = stubPlugin(shim.binDir, 'stub', { add: { sleepMs: 300 } })
    const daemon = await fakeDaemon(shim.socket, async (peer) => {
      peer.send(encodeMessage.exec(execFields({ id: 1 })), encodeMessage.exec(execFields({ id: 2, mode: 1 })))
      await stub.reached(1)
      peer.socket.destroy()
    })
    const run = await shim.run('ADD')
    assert.is(run.json?.code, 11)
    assert.match(String(run.json?.msg), 'lost while plugins ran')
    assert.is(daemon.hellos.length, 1)
    assert.is(stub.calls().length, 1)
    assert.is(stub.calls()[0]?.exit, 0)
  })
})
