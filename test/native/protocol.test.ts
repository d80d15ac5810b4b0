import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import * as assert from 'uvu/assert'
import { encodeFrame } from '../../src/executor/frame.ts'
import { readNetnsId } from '../../src/executor/netns.ts'
import { Ended, encodeMessage, MessageKind } from '../../src/executor/protocol.ts'
import { eventually } from '../rig/daemon.ts'
import { createNetns } from '../rig/netns.ts'
import { stubPlugin } from '../rig/stub.ts'
import { spec } from '../spec.ts'
import { execFields, fakeDaemon, type Peer } from './fake-daemon.ts'
import { testShim } from './shim.ts'

spec('shim: protocol', (it) => {
  it('hello has the versions, the CNI variables, the search path without doubles and stdin to the byte', async () => {
    const shim = testShim()
    const daemon = await fakeDaemon(shim.socket, (peer) => peer.done())
    const conf = '{"cniVersion":"1.0.0","name":"ä","n":1.10000000000000000001}\n'
    const run = await shim.run('ADD', {
      conf,
      args: 'A=ü;B=2',
      path: ['/a', '/b', '', '/a', shim.binDir],
      env: { CNI_NETNS_OVERRIDE: '1', OTHER: 'x' },
    })
    assert.is(run.status, 0, run.stdout)
    const [hello] = daemon.hellos
    assert.is(hello?.lowest, 1)
    assert.is(hello?.highest, 1)
    assert.is(hello?.isAgent, false)
    assert.is(hello?.stdin, conf)
    assert.equal(hello?.searchPath, ['/a', '/b', shim.binDir])
    assert.equal(hello?.env, {
      CNI_COMMAND: 'ADD',
      CNI_CONTAINERID: 'pod-1',
      CNI_NETNS: '/run/netns/none',
      CNI_IFNAME: 'eth0',
      CNI_ARGS: 'A=ü;B=2',
      CNI_PATH: `/a:/b::/a:${shim.binDir}`,
      CNI_NETNS_OVERRIDE: '1',
    })
    assert.is(hello?.netnsId, '')
  })

  it('the netns identity is the one that the TypeScript side reads, and our own namespace is told', async () => {
    const shim = testShim()
    const netns = await createNetns()
    const daemon = await fakeDaemon(shim.socket, (peer) => peer.done())
    await shim.run('ADD', { netns })
    await shim.run('ADD', { netns: '/proc/self/ns/net' })
    await shim.run('ADD', { netns: `/proc/${process.pid}/ns/net` })
    const [pod, self, other] = daemon.hellos
    assert.is(pod?.netnsId, readNetnsId(netns.path))
    assert.is(pod?.isHostNetns, false)
    assert.is(self?.isHostNetns, true)
    assert.is(other?.netnsId, readNetnsId(`/proc/${process.pid}/ns/net`))
    assert.is(other?.isHostNetns, true)
  })

  it('a probe tells the interfaces, and of each plugin whether it is there, may run, or is Plexus', async () => {
    const shim = testShim()
    const netns = await createNetns()
    await netns.exec('ip', ['link', 'add', 'eth7', 'type', 'veth', 'peer', 'name', 'eth8'])
    stubPlugin(shim.binDir, 'good')
    stubPlugin(shim.binDir, 'loose')
    const folder = join(shim.dir, 'open')
    mkdirSync(folder, { mode: 0o755 })
    chmodSync(folder, 0o777)
    writeFileSync(join(folder, 'elsewhere'), '#!/bin/sh\n', { mode: 0o755 })
    symlinkSync(join(folder, 'elsewhere'), join(shim.binDir, 'linked'))
    writeFileSync(join(shim.binDir, 'writable'), '#!/bin/sh\n')
    chmodSync(join(shim.binDir, 'writable'), 0o775)
    symlinkSync(shim.executable, join(shim.binDir, 'self'))
    mkdirSync(join(shim.binDir, 'folder'))
    symlinkSync(join(shim.binDir, 'good'), join(shim.binDir, 'good-link'))
    const answers: unknown[] = []
    const daemon = await fakeDaemon(shim.socket, async (peer) => {
      const types = ['good', 'none', 'linked', 'writable', 'self', 'folder', '../bin/good', 'good-link']
      peer.send(encodeMessage.probe(netns.path, types), encodeMessage.probe('/run/netns/none', []))
      const facts = await peer.facts()
      answers.push(facts.netnsId, facts.isHostNetns, [...facts.links].sort())
      answers.push(
        facts.plugins.map(({ state }) => state).join(''),
        facts.plugins[0]?.text,
        facts.plugins[7]?.text,
      )
      answers.push(facts.plugins[2]?.text)
      answers.push(await peer.facts())
      peer.done()
    })
    const run = await shim.run('ADD', { netns })
    assert.equal(daemon.faults, [])
    assert.is(run.status, 0)
    assert.equal(answers, [
      readNetnsId(netns.path),
      false,
      ['eth7', 'eth8', 'lo'],
      '+-!!p--+',
      join(shim.binDir, 'good'),
      join(shim.binDir, 'good-link'),
      `${folder} can be written by others than root`,
      { netnsId: '', isHostNetns: false, isNotEntered: false, links: [], plugins: [] },
    ])
  })

  it('a link that anybody may have put into a sticky folder is refused, a plugin in a folder of root below it runs', async () => {
    const shim = testShim()
    const sticky = join(shim.dir, 'sticky')
    const below = join(sticky, 'below')
    for (const folder of [sticky, below]) mkdirSync(folder, { mode: 0o755 })
    chmodSync(sticky, 0o1777)
    stubPlugin(below, 'plugin')
    symlinkSync('/bin/sh', join(sticky, 'anything'))
    const answers: unknown[] = []
    const daemon = await fakeDaemon(shim.socket, async (peer) => {
      peer.send(encodeMessage.probe('', ['plugin', 'anything']))
      answers.push(...(await peer.facts()).plugins)
      peer.done()
    })
    await shim.run('ADD', { path: [sticky, below] })
    assert.equal(daemon.faults, [])
    assert.equal(answers, [
      { state: '+', text: join(below, 'plugin') },
      { state: '!', text: `${sticky} can be written by others than root` },
    ])
  })

  it('a burst goes on by itself, and its exits come together', async () => {
    const shim = testShim()
    for (const type of ['a', 'b', 'c']) stubPlugin(shim.binDir, type)
    const exits: unknown[] = []
    await fakeDaemon(shim.socket, async (peer) => {
      peer.send(
        encodeMessage.exec(execFields({ id: 7, type: 'a' })),
        encodeMessage.exec(execFields({ id: 8, mode: 1, type: 'b' })),
        encodeMessage.exec(execFields({ id: 9, mode: 1, type: 'c' })),
      )
      for (let i = 0; i < 3; i++) {
        const { id, status, ended } = await peer.exit()
        exits.push([id, status, ended])
      }
      peer.done()
    })
    const run = await shim.run('ADD')
    assert.is(run.status, 0)
    assert.equal(exits, [
      [7, 0, Ended.itself],
      [8, 0, Ended.itself],
      [9, 0, Ended.itself],
    ])
  })

  it('after a failure what waited for success is dropped, and what waited for the end runs', async () => {
    const shim = testShim()
    const failing = stubPlugin(shim.binDir, 'a', { add: { error: { code: 77, msg: 'no' } } })
    const dropped = stubPlugin(shim.binDir, 'b')
    const after = stubPlugin(shim.binDir, 'c')
    const exits: unknown[] = []
    await fakeDaemon(shim.socket, async (peer) => {
      peer.send(
        encodeMessage.exec(execFields({ id: 1, type: 'a' })),
        encodeMessage.exec(execFields({ id: 2, mode: 1, type: 'b' })),
        encodeMessage.exec(execFields({ id: 3, mode: 1, type: 'b' })),
        encodeMessage.exec(execFields({ id: 4, mode: 2, type: 'c' })),
      )
      for (let i = 0; i < 4; i++) {
        const { id, status, ended } = await peer.exit()
        exits.push([id, status, ended])
      }
      // What comes later waits for the last one of before.
      peer.send(encodeMessage.exec(execFields({ id: 5, mode: 1, type: 'c' })))
      exits.push((await peer.exit()).ended)
      peer.done()
    })
    await shim.run('ADD')
    assert.equal(exits, [[1, 1, 0], [2, undefined, 5], [3, undefined, 5], [4, 0, 0], 0])
    assert.is(failing.calls().length, 1)
    assert.is(dropped.calls().length, 0)
    assert.is(after.calls().length, 2)
  })

  it('calls that start now run side by side', async () => {
    const shim = testShim()
    const stub = stubPlugin(shim.binDir, 'stub', { add: { blockBefore: 'gate' } })
    await fakeDaemon(shim.socket, async (peer) => {
      peer.send(...[1, 2, 3, 4].map((id) => encodeMessage.exec(execFields({ id }))))
      await stub.reached(4)
      stub.release('gate')
      for (let i = 0; i < 4; i++) await peer.exit()
      peer.done()
    })
    await shim.run('ADD')
    assert.equal(
      stub.calls().map(({ exit }) => exit),
      [0, 0, 0, 0],
    )
  })

  it('done gives status and stdout, and removes the lock file when nothing is recorded', async () => {
    const shim = testShim()
    let isForgotten = false
    await fakeDaemon(shim.socket, (peer) => peer.done(3, '{"a":1}\n', isForgotten))
    const kept = await shim.run('ADD')
    assert.is(kept.status, 3)
    assert.is(kept.stdout, '{"a":1}\n')
    assert.ok(existsSync(join(shim.stateDir, 'locks/pod-1')))
    isForgotten = true
    await shim.run('DEL')
    assert.not(existsSync(join(shim.stateDir, 'locks/pod-1')))
  })

  it('log goes to stderr', async () => {
    const shim = testShim()
    await fakeDaemon(shim.socket, (peer) => {
      peer.send(encodeMessage.log('something to know'))
      peer.done()
    })
    assert.is((await shim.run('ADD')).stderr, 'something to know\n')
  })

  it('frames in pieces of one byte are understood', async () => {
    const shim = testShim()
    stubPlugin(shim.binDir, 'stub')
    const daemon = await fakeDaemon(shim.socket, async (peer) => {
      await drip(peer, encodeMessage.exec(execFields({ stdin: '{"cniVersion":"1.0.0","name":"x"}' })))
      const { status } = await peer.exit()
      await drip(peer, encodeMessage.done(status ?? 9, false, false, 'ok'))
    })
    const run = await shim.run('ADD')
    assert.equal(daemon.faults, [])
    assert.is(run.stdout, 'ok')
  })

  it('an answer of 15 MiB and a stdin of 14 MiB pass, also past a peer that reads slowly', async () => {
    const shim = testShim()
    stubPlugin(shim.binDir, 'stub', { add: { stdoutBytes: 15 * 2 ** 20 } })
    const large = 'x'.repeat(15 * 2 ** 20)
    const sizes: number[] = []
    await fakeDaemon(shim.socket, async (peer) => {
      sizes.push(peer.hello.stdin.length)
      peer.send(encodeMessage.exec(execFields({ stdin: `{"name":"${'y'.repeat(14 * 2 ** 20)}"}` })))
      peer.socket.pause()
      await sleep(300)
      peer.socket.resume()
      const exit = await peer.exit()
      sizes.push(exit.stdout.length)
      peer.done(0, large)
    })
    const run = await shim.run('ADD', { conf: `{"name":"${'z'.repeat(14 * 2 ** 20)}"}` })
    assert.is(run.stdout.length, large.length)
    assert.equal(sizes, [14 * 2 ** 20 + 11, 15 * 2 ** 20])
  })

  for (const [title, bytes] of [
    ['of no length', Buffer.from([0, 0, 0, 0])],
    ['that is too long', Buffer.from([0xff, 0, 0, 0, 4])],
    ['one byte above the limit', Buffer.from([1, 0, 0, 1, 4])],
    ['whose fields overrun it', Buffer.from([0, 0, 0, 6, 10, 0, 0, 0, 9, 65])],
    ['whose last field is cut', Buffer.from([0, 0, 0, 3, 10, 0, 0])],
    ['of an unknown kind', encodeFrame(77, [])],
    ['that only a shim sends', encodeFrame(MessageKind.facts, [])],
    ['exec without fields', encodeFrame(MessageKind.exec, [])],
    ['exec for another container', encodeMessage.exec(execFields({ containerId: 'pod-2' }))],
    ['exec of a path', encodeMessage.exec(execFields({ type: '../stub' }))],
    ['exec of an unknown verb', encodeMessage.exec(execFields({ command: 'EXEC' }))],
    ['exec with a NUL in a text', encodeMessage.exec(execFields({ args: 'a\0b' }))],
    ['exec of an unknown mode', encodeMessage.exec(execFields({ mode: 64 }))],
    ["exec of a verb that is not the request's", encodeMessage.exec(execFields({ command: 'CHECK' }))],
    ['errand before done', encodeMessage.errand('pod-2')],
    ['a version that we do not speak', encodeMessage.hello(9, '')],
  ] as const) {
    it(`a frame ${title} ends the request with an error and closes the connection`, async () => {
      const shim = testShim()
      const stub = stubPlugin(shim.binDir, 'stub')
      let isClosed = false
      const daemon = await fakeDaemon(shim.socket, async (peer) => {
        peer.send(bytes)
        isClosed = await peer.closed()
      })
      const run = await shim.run('ADD')
      assert.is(run.status, 1)
      assert.is(run.json?.code, 5)
      assert.match(String(run.json?.msg), 'protocol')
      assert.is(daemon.hellos.length, 1)
      await eventually(() => assert.ok(isClosed))
      assert.is(stub.calls().length, 0)
    })
  }

  const OWN = '/proc/self/ns/net'
  // A shim that obeys must do no harm to the machine: there is no such interface.
  const ROUTES = [
    { family: 4, losers: ['absent0'], owner: undefined, gateways: [], keepCidrs: [], keepIfName: undefined },
  ] as const
  for (const [title, command, netns, frame] of [
    ['ADD in another netns', 'ADD', undefined, execFields({ netns: '/run/netns/other' })],
    ['ADD in none', 'ADD', undefined, execFields({ netns: '' })],
    ["ADD in the node's own netns", 'ADD', OWN, execFields({ netns: OWN })],
    [
      'CHECK in another netns',
      'CHECK',
      undefined,
      execFields({ command: 'CHECK', netns: '/run/netns/other' }),
    ],
    ['DEL in another netns', 'ADD', undefined, execFields({ command: 'DEL', netns: '/run/netns/other' })],
    ['DEL in another netns', 'DEL', undefined, execFields({ command: 'DEL', netns: '/run/netns/other' })],
    [
      'DEL in a netns of no record',
      'GC',
      undefined,
      execFields({ command: 'DEL', netns: '/run/netns/none' }),
    ],
    ['VERSION in a netns', 'ADD', undefined, execFields({ command: 'VERSION', netns: '/run/netns/none' })],
    ['routes of another netns', 'ADD', undefined, '/run/netns/other'],
    ["routes of the node's own netns", 'ADD', OWN, OWN],
    ["routes of a DEL's netns", 'DEL', undefined, '/run/netns/none'],
  ] as const) {
    it(`${command}: ${title} is refused`, async () => {
      const shim = testShim()
      const stub = stubPlugin(shim.binDir, 'stub')
      let isClosed = false
      await fakeDaemon(shim.socket, async (peer) => {
        peer.send(typeof frame === 'string' ? encodeMessage.routes(frame, ROUTES) : encodeMessage.exec(frame))
        const end = await peer.next().catch((error: unknown) => String(error))
        isClosed = typeof end === 'string' && end.includes('closed the connection')
        if (!isClosed) peer.done()
      })
      const run = await shim.run(command, netns === undefined ? {} : { netns })
      if (command === 'ADD' || command === 'GC') {
        assert.is(run.status, 1)
        assert.is(run.json?.code, 5)
        assert.match(String(run.json?.msg), 'the plexus daemon asked for what it may not')
        assert.match(String(run.json?.msg), `in netns "${typeof frame === 'string' ? frame : frame.netns}"`)
      } else assert.match(run.stderr, 'the plexus daemon')
      await eventually(() => assert.ok(isClosed))
      assert.is(stub.calls().length, 0)
    })
  }

  it("with CNI_NETNS_OVERRIDE the node's own netns is a namespace as any other", async () => {
    const shim = testShim()
    const stub = stubPlugin(shim.binDir, 'stub')
    const daemon = await fakeDaemon(shim.socket, async (peer) => {
      await peer.exec({ netns: OWN })
      await peer.exec({ command: 'VERSION', netns: 'dummy' })
      await peer.exec({ command: 'DEL', netns: OWN })
      peer.done()
    })
    const run = await shim.run('ADD', { netns: OWN, env: { CNI_NETNS_OVERRIDE: 'True' } })
    assert.is(run.status, 0, run.stdout)
    assert.equal(daemon.faults, [])
    assert.equal(
      stub.calls().map(({ command, netns }) => `${command} ${netns}`),
      [`ADD ${OWN}`, 'VERSION dummy', `DEL ${OWN}`],
    )
  })

  it('a version that does not fit is the error that the daemon words', async () => {
    const shim = testShim()
    await fakeDaemon(
      shim.socket,
      (peer) => {
        peer.send(encodeMessage.hello(0, 'too old'))
        peer.done(1, '{"code":11,"msg":"too old"}')
      },
      false,
    )
    const run = await shim.run('ADD')
    assert.is(run.status, 1)
    assert.is(run.json?.msg, 'too old')
  })

  it('a socket directory that others may enter is refused, with the reason', async () => {
    const shim = testShim()
    const daemon = await fakeDaemon(shim.socket, (peer) => peer.done())
    chmodSync(join(shim.dir, 'run'), 0o755)
    const run = await shim.run('ADD')
    assert.is(run.json?.code, 5)
    assert.match(String(run.json?.msg), "must be a directory of root's with mode 0700")
    assert.is(daemon.hellos.length, 0)
    assert.is((await shim.run('STATUS')).json?.code, 50)
    assert.is((await shim.run('DEL')).status, 0)
  })

  it('a peer that is not root is refused', async () => {
    const shim = testShim()
    const script = `require('net').createServer(() => {}).listen(process.argv[1], () => console.log('ready'))`
    const caps = ['--inh-caps', '+dac_override', '--ambient-caps', '+dac_override']
    const stranger = spawn('setpriv', [
      '--reuid',
      '65534',
      ...caps,
      process.execPath,
      '-e',
      script,
      shim.socket,
    ])
    await once(stranger.stdout, 'data')
    const run = await shim.run('ADD')
    assert.is(run.json?.code, 5)
    assert.match(String(run.json?.msg), 'is not root')
    stranger.kill('SIGKILL')
  })
})

async function drip(peer: Peer, frame: Buffer): Promise<void> {
  for (const byte of frame) {
    await new Promise<void>((resolve) => peer.socket.write(Buffer.from([byte]), () => resolve()))
    await new Promise<void>((resolve) => setImmediate(resolve))
  }
}
