import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { assertAdded, assertDone, assertRefused, type StubNode, stubNode } from '../plugin/stub-node.ts'
import { eventually, installDaemon } from '../rig/daemon.ts'
import { nad } from '../rig/manifests.ts'
import { journalFiles, leases } from '../rig/state-files.ts'
import type { StubCall } from '../rig/stub.ts'
import type { TestPod } from '../rig/test-node.ts'
import { spec } from '../spec.ts'

/** Keys, order and numbers that only a lossless way keeps. */
const ALPHA =
  '{"zeta":1.50,"big":12345678901234567890,"cniVersion":"1.0.0","type":"alpha","unknown":{"b":[],"a":null}}'

async function oddNode(): Promise<StubNode> {
  const node = await stubNode()
  const manifest = nad({ name: 'alpha-net', config: {} })
  node.write({ ...manifest, spec: { config: ALPHA } })
  return node
}

/** Calls of alpha's DEL so far. */
const undosOf = (node: StubNode): StubCall[] => node.alpha.calls().filter(({ command }) => command === 'DEL')

/** What ADD was given, with its result at the end as prevResult: what every DEL of it must be given. */
function expectedStdin(node: StubNode): string {
  const [add] = node.alpha.calls()
  const given = add?.stdinText ?? ''
  assert.match(given, '"big":12345678901234567890')
  assert.match(given, '"zeta":1.50')
  return `${given.slice(0, -1)},"prevResult":${JSON.stringify(JSON.parse(add?.stdoutText ?? ''))}}`
}

const fails = (node: StubNode): void => {
  node.behave(node.alpha, { del: { error: { code: 117, msg: 'the controller is away' } } })
}

async function assertUndoneByErrand(
  node: StubNode,
  pod: TestPod,
  executable: string,
  expected: { readonly stdin: string; readonly netns: string },
): Promise<void> {
  const known = undosOf(node).length
  await eventually(async () => {
    assertDone(await pod.run('STATUS', { executable, conf: node.conf({ cniVersion: '1.1.0' }) }))
    assert.equal(journalFiles(node.stateDir), [])
  }, 30_000)
  const late = undosOf(node)
  assert.is(late.length, known + 1)
  const call = late.at(-1)
  assert.is(call?.stdinText, expected.stdin)
  const [add] = node.alpha.calls()
  const { CNI_CONTAINERID, CNI_IFNAME, CNI_ARGS } = add?.env ?? {}
  assert.equal(
    [call?.env.CNI_CONTAINERID, call?.env.CNI_IFNAME, call?.env.CNI_ARGS],
    [CNI_CONTAINERID, CNI_IFNAME, CNI_ARGS],
  )
  assert.is(call?.netns, expected.netns)
  assert.equal(leases(node.leaseDir), [])
  // Goes after the record.
  await eventually(() => assert.not(readdirSync(join(node.stateDir, 'locks')).includes(pod.containerId)))
}

spec('a delegate whose DEL keeps failing', (it) => {
  it('the fifth answer is success, however attempts are shared by daemons and the shim alone; an errand has the exact config', async () => {
    const node = await oddNode()
    const { shim: executable, configure, start } = installDaemon(node, { shim: { delWait: '0' } })
    let daemon = await start()
    const pod = await node.pod()
    const before = await node.watch(pod)
    assertAdded(await pod.run('ADD', { executable }))
    const stdin = expectedStdin(node)
    fails(node)
    // The NAD of today is not what ADD worked with.
    node.write(nad({ name: 'alpha-net', config: { cniVersion: '1.0.0', type: 'alpha', other: true } }))
    const del = () => pod.run('DEL', { executable })
    assertRefused(
      await del(),
      117,
      'pod default/pod-a',
      'network "alpha-net"',
      'the controller is away',
      'recorded',
    )
    assert.is(await daemon.stop(), 0)
    assertRefused(await del(), 106, 'the controller is away', 'recorded')
    daemon = await start()
    assertRefused(await del(), 117, 'the controller is away')
    daemon.kill('SIGKILL')
    await daemon.ended
    assertRefused(await del(), 106, 'the controller is away')
    daemon = await start()
    assertDone(await del())
    await eventually(() => assert.match(daemon.lines().join('\n'), 'failed 5 times and stays recorded'))
    assertDone(await del())
    assert.is(await daemon.stop(), 0)
    const replayed = await del()
    assertDone(replayed)
    assert.match(replayed.stderr, 'DEL failed 7 times and stays recorded')

    // Each other delegate was undone once, and each try had the same input.
    const steps = node.steps().slice(3)
    assert.equal(
      steps.filter((step) => !step.startsWith('alpha')),
      ['beta DEL net2', 'primary DEL eth0'],
    )
    assert.equal(
      undosOf(node).map(({ stdinText }) => stdinText),
      Array(7).fill(stdin),
    )
    assert.equal(journalFiles(node.stateDir), [`${pod.containerId}/eth0`])

    node.behave(node.alpha, {})
    configure({ errandInterval: 0.2 })
    daemon = await start()
    await assertUndoneByErrand(node, pod, executable, { stdin, netns: pod.netns.path })
    await eventually(async () =>
      assert.match((await daemon.get('/metrics')).body, 'plexus_errands_total{outcome="undone"} 1'),
    )
    assertDone(await pod.run('DEL', { executable }))
    await daemon.stop()
    await eventually(() => node.assertClean(before))
  })

  it('five times without a daemon: a daemon that comes later undoes it, also when the netns is gone', async () => {
    const node = await oddNode()
    const { shim: executable, start } = installDaemon(node, {
      shim: { delWait: '0' },
      conf: { errandInterval: 0.2 },
    })
    const first = await start()
    const pod = await node.pod()
    assertAdded(await pod.run('ADD', { executable }))
    const stdin = expectedStdin(node)
    assert.is(await first.stop(), 0)
    fails(node)
    for (let times = 1; times < 5; times++) assertRefused(await pod.run('DEL', { executable }), 106)
    assertDone(await pod.run('DEL', { executable }))
    await pod.netns.delete()
    node.behave(node.alpha, {})
    const second = await start()
    await assertUndoneByErrand(node, pod, executable, { stdin, netns: '' })
    await second.stop()
  })

  it('an errand that fails is tried again', async () => {
    const node = await oddNode()
    const { shim: executable, start } = installDaemon(node, { conf: { errandInterval: 0.1 } })
    const daemon = await start()
    const pod = await node.pod()
    assertAdded(await pod.run('ADD', { executable }))
    const stdin = expectedStdin(node)
    fails(node)
    assertRefused(await pod.run('DEL', { executable }), 117)
    await eventually(async () => {
      assertDone(await pod.run('STATUS', { executable, conf: node.conf({ cniVersion: '1.1.0' }) }))
      assert.ok(undosOf(node).length >= 4)
    }, 30_000)
    await eventually(async () =>
      assert.match((await daemon.get('/metrics')).body, /plexus_errands_total\{outcome="failed"\} [1-9]/),
    )
    node.behave(node.alpha, {})
    await assertUndoneByErrand(node, pod, executable, { stdin, netns: pod.netns.path })
    await daemon.stop()
  })
})
