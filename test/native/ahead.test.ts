import {
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  writeFileSync,
} from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { ExecMode, HOLD, KEEP_PROCESSOR, START_AHEAD } from '../../src/executor/frame.ts'
import { Ended, encodeMessage } from '../../src/executor/protocol.ts'
import { eventually } from '../rig/daemon.ts'
import { type StubCall, type StubPlugin, stubPlugin } from '../rig/stub.ts'
import { isAlive } from '../rig/teardown.ts'
import { spec } from '../spec.ts'
import { execFields, fakeDaemon, type Peer } from './fake-daemon.ts'
import { type TestShim, testShim } from './shim.ts'

const AHEAD = ExecMode.afterSuccess + START_AHEAD

/** Processes that run an executable. */
function processesOf(executable: string): string[] {
  return readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid)) return false
    try {
      return readlinkSync(`/proc/${pid}/exe`) === executable
    } catch {
      return false
    }
  })
}

/** Calls that have had their input. */
function fed(stub: StubPlugin | undefined): StubCall[] {
  return (stub?.calls() ?? []).filter(({ stdinText = '' }) => stdinText !== '')
}

async function ends(peer: Peer, count: number): Promise<unknown[]> {
  const exits: unknown[] = []
  for (let i = 0; i < count; i++) {
    const { id, status, ended } = await peer.exit()
    exits.push([id, status, ended])
  }
  return exits
}

/** Stubs with a file of its own each, so that their processes can be told apart. */
function programs(shim: TestShim, types: readonly string[]): StubPlugin[] {
  return types.map((type) => {
    const stub = stubPlugin(shim.binDir, type)
    copyFileSync(stub.path, `${stub.path}.copy`)
    renameSync(`${stub.path}.copy`, stub.path)
    return stub
  })
}

spec('shim: plugins that start up ahead of their turn', (it) => {
  it('one waits for its input while the call before it runs, and then runs as any other', async () => {
    const shim = testShim()
    const [first, second] = programs(shim, ['first', 'second'])
    first?.behave({ add: { blockBefore: 'gate' } })
    let exits: unknown[] = []
    const daemon = await fakeDaemon(shim.socket, async (peer) => {
      peer.send(
        encodeMessage.exec(execFields({ id: 1, type: 'first' })),
        encodeMessage.exec(execFields({ id: 2, type: 'second', mode: AHEAD, ifName: 'net1' })),
      )
      exits = await ends(peer, 2)
      peer.done()
    })
    const running = shim.start('ADD')
    await first?.reached(1)
    await eventually(() => assert.is(processesOf(second?.path ?? '').length, 1))
    assert.is(fed(second).length, 0)
    first?.release('gate')
    assert.is((await running.finished).status, 0)
    assert.equal(daemon.faults, [])
    assert.equal(exits, [
      [1, 0, Ended.itself],
      [2, 0, Ended.itself],
    ])
    assert.is(fed(second)[0]?.ifName, 'net1')
  })

  it('its time begins at its turn', async () => {
    const shim = testShim()
    const [first, second] = programs(shim, ['first', 'second'])
    first?.behave({ add: { sleepMs: 2500 } })
    let exits: unknown[] = []
    await fakeDaemon(shim.socket, async (peer) => {
      peer.send(
        encodeMessage.exec(execFields({ id: 1, type: 'first' })),
        encodeMessage.exec(execFields({ id: 2, type: 'second', mode: AHEAD, timeoutMs: 2400 })),
      )
      exits = await ends(peer, 2)
      peer.done()
    })
    await shim.run('ADD')
    assert.equal(exits, [
      [1, 0, Ended.itself],
      [2, 0, Ended.itself],
    ])
    assert.is(fed(second).length, 1)
  })

  it('a script is not started ahead', async () => {
    const shim = testShim()
    const [first] = programs(shim, ['first'])
    first?.behave({ add: { blockBefore: 'gate' } })
    const marks = join(shim.dir, 'marks')
    mkdirSync(marks)
    writeFileSync(
      join(shim.binDir, 'script'),
      `#!/bin/sh\n[ -e ${marks}/released ] || : >${marks}/early\necho '{}'\n`,
      { mode: 0o755 },
    )
    let exits: unknown[] = []
    await fakeDaemon(shim.socket, async (peer) => {
      peer.send(
        encodeMessage.exec(execFields({ id: 1, type: 'first' })),
        encodeMessage.exec(execFields({ id: 2, type: 'script', mode: AHEAD })),
      )
      exits = await ends(peer, 2)
      peer.done()
    })
    const running = shim.start('ADD')
    await first?.reached(1)
    writeFileSync(join(marks, 'released'), '')
    first?.release('gate')
    await running.finished
    assert.equal(exits[1], [2, 0, Ended.itself])
    assert.equal(readdirSync(marks), ['released'])
  })

  it('when the call before it fails it is gone before the request ends, without ever having had its input', async () => {
    const shim = testShim()
    const [first, second] = programs(shim, ['first', 'second'])
    first?.behave({ add: { blockBefore: 'gate', error: { code: 105, msg: 'no' } } })
    let exits: unknown[] = []
    await fakeDaemon(shim.socket, async (peer) => {
      peer.send(
        encodeMessage.exec(execFields({ id: 1, type: 'first' })),
        encodeMessage.exec(execFields({ id: 2, type: 'second', mode: AHEAD })),
      )
      exits = await ends(peer, 2)
      assert.equal(processesOf(second?.path ?? ''), [])
      peer.done()
    })
    const running = shim.start('ADD')
    await eventually(() => assert.is(processesOf(second?.path ?? '').length, 1))
    first?.release('gate')
    await running.finished
    assert.equal(exits, [
      [1, 1, Ended.itself],
      [2, undefined, Ended.dropped],
    ])
    assert.is(fed(second).length, 0)
  })

  it('one whose plugin is missing is told at its turn', async () => {
    const shim = testShim()
    programs(shim, ['first'])
    let exits: unknown[] = []
    await fakeDaemon(shim.socket, async (peer) => {
      peer.send(
        encodeMessage.exec(execFields({ id: 1, type: 'first' })),
        encodeMessage.exec(execFields({ id: 2, type: 'none', mode: AHEAD })),
      )
      exits = await ends(peer, 2)
      peer.done()
    })
    await shim.run('ADD')
    assert.equal(exits, [
      [1, 0, Ended.itself],
      [2, undefined, Ended.notStarted],
    ])
  })

  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    it(`${signal} to the shim: the waiting plugin goes with the one that runs`, async () => {
      const shim = testShim()
      const [first, second] = programs(shim, ['first', 'second'])
      first?.behave({ add: { hang: true } })
      await fakeDaemon(shim.socket, async (peer) => {
        peer.send(
          encodeMessage.exec(execFields({ id: 1, type: 'first' })),
          encodeMessage.exec(execFields({ id: 2, type: 'second', mode: AHEAD })),
        )
        if (signal === 'SIGKILL') return
        await peer.next()
        peer.done(1, '{"code":11}')
      })
      const running = shim.start('ADD')
      await eventually(() => assert.is(processesOf(second?.path ?? '').length, 1))
      running.kill(signal)
      await running.finished
      await eventually(() => assert.equal(processesOf(second?.path ?? ''), []))
      await eventually(() => assert.equal(processesOf(first?.path ?? ''), []))
      assert.is(fed(second).length, 0)
    })
  }

  it('when the daemon dies the waiting plugin ends without its input', async () => {
    const shim = testShim()
    const [first, second] = programs(shim, ['first', 'second'])
    first?.behave({ add: { blockBefore: 'gate' } })
    const daemon = await fakeDaemon(shim.socket, (peer) => {
      peer.send(
        encodeMessage.exec(execFields({ id: 1, type: 'first' })),
        encodeMessage.exec(execFields({ id: 2, type: 'second', mode: AHEAD })),
      )
    })
    const running = shim.start('ADD')
    await eventually(() => assert.is(processesOf(second?.path ?? '').length, 1))
    daemon.kill()
    await eventually(() => assert.equal(processesOf(second?.path ?? ''), []))
    first?.release('gate')
    assert.is((await running.finished).json?.code, 11)
    assert.is(fed(second).length, 0)
  })
})

spec('shim: a plugin held for the call that comes next', (it) => {
  const held = encodeMessage.exec(
    execFields({ id: 0, type: 'first', mode: START_AHEAD + HOLD, timeoutMs: 0, stdin: '' }),
  )

  it('is the plugin of that call, and starts once', async () => {
    const shim = testShim()
    const [first] = programs(shim, ['first'])
    let exits: unknown[] = []
    let startedAs: string[] = []
    const daemon = await fakeDaemon(shim.socket, async (peer) => {
      peer.send(held)
      await eventually(() => assert.is(processesOf(first?.path ?? '').length, 1))
      startedAs = processesOf(first?.path ?? '')
      assert.is(fed(first).length, 0)
      peer.send(encodeMessage.exec(execFields({ id: 1, type: 'first' })))
      exits = await ends(peer, 1)
      peer.done()
    })
    assert.is((await shim.run('ADD')).status, 0)
    assert.equal(daemon.faults, [])
    assert.equal(exits, [[1, 0, Ended.itself]])
    assert.equal(
      first?.calls().map(({ pid }) => String(pid)),
      startedAs,
    )
  })

  for (const [what, other] of [
    ['another plugin', { type: 'second' }],
    ['another interface', { ifName: 'net7' }],
    ['other arguments', { args: 'A=2' }],
    ['an undo', { command: 'DEL' }],
  ] as const) {
    it(`is ended without input when that is of ${what}`, async () => {
      const shim = testShim()
      const [first, second] = programs(shim, ['first', 'second'])
      let exits: unknown[] = []
      const daemon = await fakeDaemon(shim.socket, async (peer) => {
        peer.send(held)
        await eventually(() => assert.is(processesOf(first?.path ?? '').length, 1))
        const heldPid = Number(processesOf(first?.path ?? '')[0])
        peer.send(encodeMessage.exec(execFields({ id: 1, type: 'first', ...other })))
        exits = await ends(peer, 1)
        assert.not(isAlive(heldPid))
        peer.done()
      })
      await shim.run('ADD')
      assert.equal(daemon.faults, [])
      assert.equal(exits, [[1, 0, Ended.itself]])
      assert.is(fed(first).length + fed(second).length, 1)
    })
  }

  for (const end of ['the answer', 'the end of the daemon'] as const) {
    it(`is ended with ${end} when no call comes`, async () => {
      const shim = testShim()
      const [first] = programs(shim, ['first'])
      const daemon = await fakeDaemon(shim.socket, async (peer) => {
        peer.send(held)
        await eventually(() => assert.is(processesOf(first?.path ?? '').length, 1))
        if (end === 'the answer') peer.done(1, '{"code":11}')
        else daemon.kill()
      })
      shim.configure({ addWait: '1' })
      assert.is((await shim.run('ADD')).json?.code, 11)
      assert.equal(processesOf(first?.path ?? ''), [])
      assert.is(fed(first).length, 0)
    })
  }
})

spec('shim: a plugin that stays on its processor', (it) => {
  const allowed = (pid: number | undefined): string =>
    /Cpus_allowed_list:\s*(\S+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? ''

  /** The processors that plugins may use which run at once, in the order of their starts. */
  const allowedOf = async (modes: readonly number[]): Promise<string[]> => {
    const shim = testShim()
    const stub = stubPlugin(shim.binDir, 'stub', { add: { blockBefore: 'gate' } })
    const lists: string[] = []
    const daemon = await fakeDaemon(shim.socket, async (peer) => {
      const names = modes.map((_, index) => `net${index}`)
      peer.send(
        ...modes.map((mode, id) => encodeMessage.exec(execFields({ id, ifName: names[id] ?? '', mode }))),
      )
      const calls = await stub.reached(modes.length)
      for (const name of names) lists.push(allowed(calls.find(({ ifName }) => ifName === name)?.pid))
      stub.release('gate')
      await ends(peer, modes.length)
      peer.done()
    })
    assert.is((await shim.run('ADD')).status, 0)
    assert.equal(daemon.faults, [])
    return lists
  }

  it('may use one alone, and the next one may use all again', async () => {
    const lists = await allowedOf([KEEP_PROCESSOR, ExecMode.now])
    assert.match(lists.join(' '), /(^| )\d+( |$)/)
    assert.ok(lists.includes(allowed(process.pid)))
  })

  it('takes another one than the plugin that it runs beside', async () => {
    const beside = ExecMode.withBefore + KEEP_PROCESSOR
    const lists = await allowedOf([KEEP_PROCESSOR, ...Array<number>(7).fill(beside)])
    // Where the kernel has shown us no other one it is left free.
    if (availableParallelism() > 1)
      for (const [index, list] of lists.entries()) assert.is.not(list, lists[index - 1], lists.join(' '))
  })
})

spec('shim: calls that start with the one before them', (it) => {
  const burst = (): Buffer[] => [
    encodeMessage.exec(execFields({ id: 1, type: 'first' })),
    encodeMessage.exec(execFields({ id: 2, type: 'second', mode: AHEAD })),
    encodeMessage.exec(execFields({ id: 3, type: 'third', mode: ExecMode.withBefore + START_AHEAD })),
  ]

  it('wait for what that one waits for, and run beside it', async () => {
    const shim = testShim()
    const [first, second, third] = programs(shim, ['first', 'second', 'third'])
    first?.behave({ add: { blockBefore: 'gate' } })
    second?.behave({ add: { blockBefore: 'gate' } })
    let exits: unknown[] = []
    await fakeDaemon(shim.socket, async (peer) => {
      peer.send(...burst())
      exits = await ends(peer, 3)
      peer.done()
    })
    const running = shim.start('ADD')
    await eventually(() => assert.is(processesOf(third?.path ?? '').length, 1))
    assert.equal([fed(second).length, fed(third).length], [0, 0])
    first?.release('gate')
    await eventually(() => assert.equal([fed(second).length, fed(third).length], [1, 1]))
    second?.release('gate')
    await running.finished
    assert.equal(
      exits.toSorted(),
      [1, 2, 3].map((id) => [id, 0, Ended.itself]),
    )
  })

  it('are dropped with it', async () => {
    const shim = testShim()
    const [first, second, third] = programs(shim, ['first', 'second', 'third'])
    first?.behave({ add: { error: { code: 105, msg: 'no' } } })
    let exits: unknown[] = []
    await fakeDaemon(shim.socket, async (peer) => {
      peer.send(...burst())
      exits = await ends(peer, 3)
      peer.done()
    })
    await shim.run('ADD')
    assert.equal(exits, [
      [1, 1, Ended.itself],
      [2, undefined, Ended.dropped],
      [3, undefined, Ended.dropped],
    ])
    assert.equal([fed(second).length, fed(third).length], [0, 0])
  })
})
