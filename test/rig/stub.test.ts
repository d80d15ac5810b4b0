import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { spec } from '../spec.ts'
import { eventually } from './daemon.ts'
import { type PlexusCall, runPlexus, startPlexus } from './plexus.ts'
import { leases } from './state-files.ts'
import { forgetCalls, type StubBehaviour, type StubPlugin, stubCalls, stubPlugin } from './stub.ts'
import { markedProcesses } from './teardown.ts'
import { tempDir } from './temp-dir.ts'

const binDir = tempDir('bin')
const conf = { cniVersion: '1.0.0', name: 'net', type: 'a' }

/** Whether a process ignores SIGTERM by now, of which the mask has the 15th bit. */
function ignoresTerm(pid: number): boolean {
  const [, mask = ''] = /^SigIgn:\s+([0-9a-f]+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
  return (Number.parseInt(mask.slice(-4), 16) & (1 << 14)) !== 0
}

function callOf(stub: StubPlugin, more: PlexusCall = {}): PlexusCall {
  return {
    executable: stub.path,
    conf,
    containerId: 'c1',
    netns: '/run/netns/none',
    ifName: 'net1',
    path: [binDir],
    ...more,
  }
}

spec('rig: the recording stub records', (it) => {
  it('every call with environment, stdin and a global order', async () => {
    forgetCalls(binDir)
    const a = stubPlugin(binDir, 'a')
    const b = stubPlugin(binDir, 'b')
    await runPlexus('ADD', callOf(a, { conf: '{"name":"n", "big": 9007199254740993}', args: 'X=1' }))
    await runPlexus('DEL', callOf(b))
    await runPlexus('DEL', callOf(a))
    const all = stubCalls(binDir)
    const steps = all.map((call) => [call.type, call.command])
    assert.equal(steps, [
      ['a', 'ADD'],
      ['b', 'DEL'],
      ['a', 'DEL'],
    ])
    assert.equal(a.calls().length, 2)
    const [first, second] = all
    assert.ok(first !== undefined && second !== undefined && second.order > first.order)
    assert.is(first.stdinText, '{"name":"n", "big": 9007199254740993}')
    assert.is(JSON.stringify(first.stdin), '{"name":"n","big":9007199254740993}')
    assert.equal([first.ifName, first.containerId, first.netns], ['net1', 'c1', '/run/netns/none'])
    assert.is(first.env.CNI_ARGS, 'X=1')
    assert.is(first.envList.filter((entry) => entry.startsWith('CNI_IFNAME=')).length, 1)
    assert.equal(first.fds.slice(0, 3), [0, 1, 2])
    assert.match(first.ownNetns, /^net:\[\d+\]$/)
    assert.is(first.exit, 0)
    assert.ok(first.endedNs !== undefined && first.endedNs > first.startedNs)
  })

  it('many calls at once without losing or renumbering one', async () => {
    forgetCalls(binDir)
    const stub = stubPlugin(binDir, 'many')
    await Promise.all(
      Array.from({ length: 40 }, (_, i) => runPlexus('ADD', callOf(stub, { ifName: `net${i}` }))),
    )
    const orders = stub.calls().map((call) => call.order)
    assert.is(new Set(orders).size, 40)
    assert.is(Math.max(...orders) - Math.min(...orders), 39)
  })
})

spec('rig: the recording stub answers', (it) => {
  const families: [version: string, key: string][] = [
    ['0.1.0', 'ip4'],
    ['0.2.0', 'ip4'],
    ['0.3.1', 'ips'],
    ['0.4.0', 'ips'],
    ['1.0.0', 'ips'],
    ['1.1.0', 'ips'],
  ]
  for (const [version, key] of families) {
    it(`ADD in ${version} with a result of that version`, async () => {
      const { status, json } = await runPlexus(
        'ADD',
        callOf(stubPlugin(binDir, 'a'), { conf: { ...conf, cniVersion: version } }),
      )
      assert.is(status, 0)
      assert.is(json?.cniVersion, version)
      assert.ok(json?.[key])
      assert.is(
        JSON.stringify(json).includes('"version":"4"'),
        version.startsWith('0.3') || version === '0.4.0',
      )
      assert.is(JSON.stringify(json).includes('"sandbox":"/run/netns/none"'), key === 'ips')
    })
  }

  it('in a chain with prevResult, to the byte', async () => {
    const text = '{"cniVersion":"1.0.0","prevResult":{"ips" : [], "x":1.00,"s":"}\\"]"},"name":"n"}'
    const { stdout } = await runPlexus('ADD', callOf(stubPlugin(binDir, 'a'), { conf: text }))
    assert.is(stdout, '{"ips" : [], "x":1.00,"s":"}\\"]"}')
  })

  it('DEL, CHECK, GC and STATUS with nothing, VERSION with its versions, another command with code 4', async () => {
    const stub = stubPlugin(binDir, 'a')
    for (const command of ['DEL', 'CHECK', 'GC', 'STATUS']) {
      const run = await runPlexus(command, callOf(stub))
      assert.equal([run.status, run.stdout], [0, ''])
    }
    const version = await runPlexus('VERSION', callOf(stub, { conf: { cniVersion: '0.4.0' } }))
    assert.is(version.json?.cniVersion, '0.4.0')
    assert.match(version.stdout, /"1\.1\.0"\]\}$/)
    const wrong = await runPlexus('FLY', callOf(stub))
    assert.equal([wrong.status, wrong.json?.code], [1, 4])
  })

  it('with limited versions and refuses the others, or knows no VERSION at all', async () => {
    const limited = stubPlugin(binDir, 'old', { versions: ['0.3.1', '0.4.0'] })
    const version = await runPlexus('VERSION', callOf(limited))
    assert.equal(version.json?.supportedVersions, ['0.3.1', '0.4.0'])
    const refused = await runPlexus('ADD', callOf(limited))
    assert.is(refused.json?.code, 1)
    assert.is((await runPlexus('ADD', callOf(limited, { conf: { ...conf, cniVersion: '0.4.0' } }))).status, 0)
    limited.behave({ legacy: true })
    assert.is((await runPlexus('VERSION', callOf(limited))).json?.code, 4)
  })

  const outputs: [title: string, behaviour: StubBehaviour, status: number, stdout: string | RegExp][] = [
    [
      'a given result with placeholders',
      { add: { result: { n: '{{ifName}}', s: '{{netns}}', v: '{{cniVersion}}', deep: { a: { b: {} } } } } },
      0,
      '{"n":"net1","s":"/run/netns/none","v":"1.0.0","deep":{"a":{"b":{}}}}',
    ],
    ['garbage', { add: { stdout: 'not \\ json\n\tat all {{' } }, 0, 'not \\ json\n\tat all {{'],
    ['nothing', { add: { stdout: '' } }, 0, ''],
    ['null', { add: { result: null } }, 0, 'null'],
    ['megabytes', { add: { stdoutBytes: 3_000_000 } }, 0, /^x{3000000}$/],
    [
      'an error object',
      { add: { error: { code: 11, msg: 'pool is "full"', details: 'é' } } },
      1,
      '{"cniVersion":"1.0.0","code":11,"msg":"pool is \\"full\\"","details":"é"}',
    ],
    ['exit 0 with an error object', { add: { error: { code: 7, msg: 'x' }, exit: 0 } }, 0, /"code":7/],
    ['exit 3 without a word', { add: { exit: 3 } }, 3, ''],
    ['without reading', { add: { stdin: 'ignore', exit: 0 } }, 0, ''],
    ['after closing stdin early', { add: { stdin: 'close', sleepMs: 5 } }, 0, /^\{.*\}$/],
    ['only for one ifName', { add: { onlyIfName: 'net9', exit: 9 } }, 0, /^\{/],
    [
      'the addresses alone, as an IPAM plugin',
      { add: { stdout: '{{ipamResult}}' } },
      0,
      /^\{"cniVersion":"1.0.0","ips":\[\{"address":"10[.\d]+\/24","gateway":"10[.\d]+\.1"\}\]\}$/,
    ],
  ]
  for (const [title, behaviour, status, stdout] of outputs) {
    it(`ADD as told: ${title}`, async () => {
      const big = { ...conf, filler: 'y'.repeat(1_000_000) }
      const run = await runPlexus('ADD', callOf(stubPlugin(binDir, 'told', behaviour), { conf: big }))
      assert.is(run.status, status)
      if (typeof stdout === 'string') assert.is(run.stdout, stdout)
      else assert.match(run.stdout, stdout)
    })
  }

  it('bytes that are no UTF-8, and words on stderr', async () => {
    const stub = stubPlugin(binDir, 'a', {
      add: { stdout: Uint8Array.of(0xff, 0, 0x7b), stderr: 'why\n', exit: 1 },
    })
    const { status, stdout, stderr } = spawnSync(stub.path, {
      env: { CNI_COMMAND: 'ADD' },
      input: '{}',
    })
    assert.is(status, 1)
    assert.equal([...stdout], [0xff, 0, 0x7b])
    assert.is(stderr.toString(), 'why\n')
  })

  it('single calls in another way, counted for each command and ifName', async () => {
    const stub = stubPlugin(binDir, 'counted', { del: { calls: [2, 3], exit: 1 } })
    const statuses: unknown[] = []
    for (const ifName of ['net1', 'net1', 'net2', 'net1', 'net1']) {
      statuses.push((await runPlexus('DEL', callOf(stub, { ifName }))).status)
    }
    assert.equal(statuses, [0, 1, 0, 1, 0])
  })
})

spec('rig: the recording stub misbehaves in time', (it) => {
  it('hangs, and ignores SIGTERM when told to', async () => {
    const stub = stubPlugin(binDir, 'hangs', { add: { hang: true }, del: { hang: true, ignoreTerm: true } })
    const soft = startPlexus('ADD', callOf(stub))
    const hard = startPlexus('DEL', callOf(stub))
    await stub.reached(2)
    await Promise.all([stub.reached(1, 'ADD'), stub.reached(1, 'DEL')])
    // The record is written before the behaviour is read.
    await eventually(() => assert.ok(ignoresTerm(hard.pid)))
    soft.kill()
    hard.kill()
    assert.is((await soft.finished).signal, 'SIGTERM')
    assert.ok(markedProcesses().includes(hard.pid))
    hard.kill('SIGKILL')
    assert.is((await hard.finished).signal, 'SIGKILL')
    assert.is(stub.calls()[0]?.exit, undefined)
  })

  it('dies by a signal', async () => {
    const stub = stubPlugin(binDir, 'dies', { add: { signal: 'SIGSEGV' } })
    assert.is((await runPlexus('ADD', callOf(stub))).signal, 'SIGSEGV')
  })

  it('waits until it is released, before or after its effect', async () => {
    const held = tempDir('leases')
    const stub = stubPlugin(binDir, 'waits', { add: { blockBefore: 'one', lease: held, blockAfter: 'two' } })
    const run = startPlexus('ADD', callOf(stub))
    await stub.reached(1, 'ADD')
    assert.equal(leases(held), [])
    stub.release('one')
    while (leases(held).length === 0) await new Promise((resolve) => setTimeout(resolve, 2))
    assert.is(stub.calls()[0]?.exit, undefined)
    stub.release('two')
    assert.is((await run.finished).status, 0)
  })

  it('leaves a child that keeps the pipes open', async () => {
    const stub = stubPlugin(binDir, 'holds', { add: { holdPipesMs: 2000, detached: true } })
    const run = await runPlexus('ADD', callOf(stub))
    assert.ok(run.durationMs >= 2000)
    const [call] = stub.calls()
    assert.ok(call?.endedNs !== undefined && Number(call.endedNs - call.startedNs) < 1500e6)
  })
})

spec('rig: the recording stub has effects', (it) => {
  it('takes a lease once and releases it, also twice', async () => {
    const dir = tempDir('leases')
    const stub = stubPlugin(binDir, 'lease', { add: { lease: dir }, del: { lease: dir } })
    assert.is((await runPlexus('ADD', callOf(stub))).status, 0)
    assert.equal(leases(dir), ['c1-net1'])
    assert.match(String((await runPlexus('ADD', callOf(stub))).json?.msg), 'is taken already')
    assert.is((await runPlexus('DEL', callOf(stub))).status, 0)
    assert.is((await runPlexus('DEL', callOf(stub))).status, 0)
    assert.not(existsSync(join(dir, 'c1-net1')))
  })

  it('calls its IPAM plugin through CNI_PATH, uses its addresses, hands on its failure', async () => {
    forgetCalls(binDir)
    const ipam = stubPlugin(binDir, 'pool', { add: { result: { ips: [{ address: '192.0.2.7/24' }] } } })
    const stub = stubPlugin(binDir, 'main', { add: { ipam: true } })
    const call = callOf(stub, { conf: { ...conf, ipam: { type: 'pool' } } })
    assert.equal((await runPlexus('ADD', call)).json?.ips, [{ address: '192.0.2.7/24' }])
    assert.is(ipam.calls()[0]?.stdinText, JSON.stringify(call.conf))
    ipam.behave({ add: { error: { code: 11, msg: 'no address left' } } })
    const failed = await runPlexus('ADD', call)
    assert.equal([failed.status, failed.json?.msg], [1, 'no address left'])
    const missing = await runPlexus('ADD', { ...call, path: [tempDir('empty')] })
    assert.match(String(missing.json?.msg), "failed to find plugin 'pool'")
  })
})
