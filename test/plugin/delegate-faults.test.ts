import * as assert from 'uvu/assert'
import { eventually } from '../rig/daemon.ts'
import { nad } from '../rig/manifests.ts'

import { type Behaviour, stubPlugin } from '../rig/stub.ts'
import { markedProcesses } from '../rig/teardown.ts'
import { spec } from '../spec.ts'
import { assertAdded, assertDone, assertRefused, ipsOf, type StubNode, stubNode } from './stub-node.ts'

const ROLLBACK = [
  'primary ADD eth0',
  'alpha ADD net1',
  'beta ADD net2',
  'beta DEL net2',
  'alpha DEL net1',
  'primary DEL eth0',
]

/** How a delegate's ADD goes wrong, the code that is answered, and its own words in ours. */
const faults: [title: string, add: Behaviour, code: number, phrases: (string | RegExp)[], conf?: object][] = [
  ['CNI-116 prints garbage', { stdout: 'no json at all' }, 105, ['printed no result', 'no json at all']],
  ['CNI-116 prints a list', { stdout: '[1]' }, 105, ['result']],
  ['CNI-116 prints two documents', { stdout: '{"cniVersion":"1.0.0"}{}' }, 105, ['printed no result']],
  ['CNI-074 prints nothing', { stdout: '' }, 105, ['printed no result']],
  ['prints bytes that are no text', { stdout: Uint8Array.of(0xff, 0xfe, 0) }, 105, ['printed no result']],
  [
    'CNI-116 prints an address without prefix length',
    { result: { cniVersion: '1.0.0', ips: [{ address: '10.0.0.1' }] } },
    105,
    ['10.0.0.1'],
  ],
  [
    'CNI-075 answers in an unknown version',
    { result: { cniVersion: '7.0.0' } },
    105,
    ['unsupported CNI result version', '7.0.0'],
  ],
  [
    'CNI-104 prints 2 MB where 1 MB is allowed',
    { stdoutBytes: 2e6 },
    105,
    ['printed without end'],
    { maxOutputBytes: 1e6 },
  ],
  ['CNI-100 hangs', { hang: true }, 11, ['did not end within 2 s'], { delegateTimeout: 2 }],
  [
    'CNI-100 hangs and ignores SIGTERM',
    { hang: true, ignoreTerm: true },
    11,
    ['did not end within 2 s'],
    { delegateTimeout: 2 },
  ],
  [
    'CNI-096 exits 1 with an error object',
    { error: { code: 117, msg: 'no free VF on ens1', details: 'asked for 8' } },
    117,
    ['no free VF on ens1; asked for 8'],
  ],
  ['CNI-098 wants a retry', { error: { code: 11, msg: 'agent restarts' } }, 11, ['agent restarts']],
  [
    'CNI-096 answers code 3, at which a runtime sends no DEL',
    { error: { code: 3, msg: 'who?' } },
    100,
    ['who?'],
  ],
  ['CNI-096 exits 1 with code 0', { error: { code: 0, msg: 'something' } }, 100, ['something']],
  [
    'CNI-096 exits 3 with words on stderr alone',
    { stderr: 'panic: oops\n', exit: 3 },
    100,
    ['netplugin failed: "panic: oops": exit status 3'],
  ],
  [
    'CNI-096 exits 4 without a word',
    { exit: 4 },
    100,
    ['netplugin failed with no error message: exit status 4'],
  ],
  [
    'CNI-096 exits 1 with garbage',
    { stdout: 'oh no', exit: 1 },
    100,
    ['netplugin failed but error parsing its diagnostic message "oh no"'],
  ],
  ['CNI-096 dies by a signal', { signal: 'SIGSEGV' }, 100, ['signal: SIGSEGV']],
  [
    'CNI-096 is killed while it speaks',
    { stdout: '{"cniVersion":"1.0', signal: 'SIGKILL' },
    100,
    ['signal: SIGKILL'],
  ],
]

/** Gives `beta` a config of 1 MB, so that closing stdin early is noticed. */
function writeBigNad(node: StubNode): void {
  node.write(
    nad({ name: 'beta-net', config: { cniVersion: '1.0.0', type: 'beta', filler: 'y'.repeat(1_000_000) } }),
  )
}

spec('a delegate whose ADD goes wrong', (it) => {
  for (const [title, add, code, phrases, overrides] of faults) {
    it(`${title}: its own words in ours, all that was attached is undone`, async () => {
      const node = await stubNode(overrides)
      node.behave(node.beta, { add })
      const pod = await node.pod()
      const before = await node.watch(pod)
      const added = await pod.run('ADD')
      const where = ['pod default/pod-a', 'network "beta-net" (NAD default/beta-net)', 'plugin "beta"']
      assertRefused(added, code, ...where, ...phrases)
      assert.equal(node.steps(), ROLLBACK)
      await node.assertClean(before)
      assertDone(await pod.run('DEL'))
      await node.assertClean(before)
    })
  }

  for (const [title, add] of [
    ['reads nothing', { stdin: 'ignore' }],
    ['closes stdin at once', { stdin: 'close' }],
  ] as [string, Behaviour][]) {
    it(`CNI-094 one that ${title} of 1 MB does not harm us`, async () => {
      const node = await stubNode()
      writeBigNad(node)
      const result = { cniVersion: '1.0.0', ips: [{ address: '10.3.0.2/24' }] }
      node.behave(node.beta, { add: { ...add, result } })
      const pod = await node.pod()
      const before = await node.watch(pod)
      assertAdded(await pod.run('ADD'))
      node.behave(node.beta, { add: { ...add, error: { code: 118, msg: 'did not want to read' } } })
      assertDone(await pod.run('DEL'))
      await node.assertClean(before)
      assertRefused(await pod.run('ADD'), 118, 'did not want to read')
      await node.assertClean(before)
    })
  }

  it('CNI-097 one that ends with success but prints an error object is an empty result with a warning', async () => {
    const node = await stubNode()
    node.behave(node.beta, { add: { error: { code: 7, msg: 'half an error' }, exit: 0 } })
    const pod = await node.pod()
    const before = await node.watch(pod)
    const added = await pod.run('ADD')
    assertAdded(added)
    assert.is(ipsOf(added).length, 2)
    assert.match(added.stderr, 'half an error')
    assertDone(await pod.run('DEL'))
    await node.assertClean(before)
  })

  it('CNI-074 null is an empty result', async () => {
    const node = await stubNode()
    node.behave(node.beta, { add: { result: null } })
    const pod = await node.pod()
    assertAdded(await pod.run('ADD'))
    assertDone(await pod.run('DEL'))
  })

  it('CNI-095 stderr is handed on, of success and of failure, and stdout stays one document', async () => {
    const node = await stubNode()
    node.behave(node.alpha, { add: { stderr: 'marker-good\n' } })
    node.behave(node.beta, { add: { stderr: 'marker-bad\n', exit: 9 } })
    const pod = await node.pod()
    const added = await pod.run('ADD')
    assertRefused(added, 100, 'marker-bad')
    assert.match(added.stderr, 'marker-good')
    assert.match(added.stderr, 'marker-bad')
  })

  it('CNI-029 a result of 400 KB arrives whole', async () => {
    const node = await stubNode()
    const ips = Array.from({ length: 6000 }, (_, i) => ({
      address: `10.7.${i >> 8}.${i & 255}/16`,
      gateway: '10.7.255.254',
    }))
    node.behave(node.beta, { add: { result: { cniVersion: '1.0.0', ips } } })
    const pod = await node.pod()
    const added = await pod.run('ADD')
    assertAdded(added)
    assert.ok(added.stdout.length > 300_000)
    assert.is(ipsOf(added).length, 6002)
  })

  it('CNI-100 a grandchild that keeps the pipes open is not waited for and not left behind', async () => {
    const node = await stubNode()
    node.behave(node.beta, { add: { holdPipesMs: 30_000 } })
    const pod = await node.pod()
    const before = await node.watch(pod)
    const added = await pod.run('ADD')
    assertAdded(added)
    assert.ok(added.durationMs < 15_000, `${added.durationMs} ms`)
    await eventually(() => assert.equal(markedProcesses(), []))
    assertDone(await pod.run('DEL'))
    await node.assertClean(before)
  })

  it('CNI-100 the time of a whole ADD is bounded, its undo included', async () => {
    const node = await stubNode({ addTimeout: 4 })
    node.behave(node.beta, { add: { hang: true, ignoreTerm: true } })
    const pod = await node.pod()
    const before = await node.watch(pod)
    const added = await pod.run('ADD')
    assertRefused(added, 11, 'network "beta-net"', 'did not end within')
    assert.ok(added.durationMs < 15_000, `${added.durationMs} ms`)
    await node.assertClean(before)
  })

  it('a nested IPAM plugin fails: its words come through its caller, and its lease is freed', async () => {
    const node = await stubNode()
    const pool = stubPlugin(node.binDir, 'pool', {
      add: { error: { code: 11, msg: 'no addresses in range set' } },
    })
    node.write(
      nad({ name: 'beta-net', config: { cniVersion: '1.0.0', type: 'beta', ipam: { type: 'pool' } } }),
    )
    node.behave(node.beta, { add: { ipam: true }, del: { ipam: true } })
    const pod = await node.pod()
    const before = await node.watch(pod)
    assertRefused(await pod.run('ADD'), 11, 'no addresses in range set', 'plugin "beta"')
    assert.equal(
      pool.calls().map(({ command }) => command),
      ['ADD', 'DEL'],
    )
    await node.assertClean(before)
  })
})
