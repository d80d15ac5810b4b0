import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import {
  assertAdded,
  assertDone,
  assertRefused,
  ipsOf,
  type StubNode,
  stubNode,
} from '../plugin/stub-node.ts'
import { eventually, type Installation, installDaemon } from '../rig/daemon.ts'
import { podArgs } from '../rig/manifests.ts'
import { PLEXUS } from '../rig/plexus.ts'
import { journalFiles } from '../rig/state-files.ts'
import { tempDir } from '../rig/temp-dir.ts'
import type { TestPod } from '../rig/test-node.ts'
import { spec } from '../spec.ts'
import { assertNothingButStatus } from './after-replay.ts'

/** Stands in for the single-file executable: any program that is a standalone Plexus. */
function fallback(): string {
  const path = join(tempDir('fallback'), 'plexus-standalone')
  writeFileSync(path, `#!/bin/sh\nexec '${PLEXUS}'\n`)
  chmodSync(path, 0o755)
  return path
}

/** A net-conf as a runtime hands it on that passes the pod's annotations. */
function confWith(node: StubNode, annotations: object): object {
  return node.conf({ runtimeConfig: { 'io.kubernetes.cri.pod-annotations': annotations } })
}

async function withFallback(): Promise<{ node: StubNode; installed: Installation }> {
  const node = await stubNode()
  return {
    node,
    installed: installDaemon(node, { shim: { fallback: fallback(), addWait: '1', delWait: '0' } }),
  }
}

const linksOf = async (pod: TestPod): Promise<string[]> =>
  (await pod.netns.links()).map(({ ifname }) => ifname).sort()

spec('a pod without network annotations, no daemon, and a fallback', (it) => {
  it('the default network is attached after addWait, and removed without a daemon', async () => {
    const { node, installed } = await withFallback()
    const executable = installed.shim
    const pod = await node.pod({ networks: '' })
    const before = await node.watch(pod)
    const conf = confWith(node, { 'kubernetes.io/config.source': 'api' })
    const added = await pod.run('ADD', { executable, conf })
    assertAdded(added)
    assert.ok(added.durationMs >= 950 && added.durationMs < 20_000, `${added.durationMs} ms`)
    assert.is(ipsOf(added).length, 1)
    assert.equal(await linksOf(pod), ['eth0', 'lo'])
    assert.equal(journalFiles(node.stateDir), [`${pod.containerId}/eth0`])
    const deleted = await pod.run('DEL', { executable, conf })
    assertDone(deleted)
    assert.ok(deleted.durationMs < 10_000, `${deleted.durationMs} ms`)
    assert.equal(node.steps(), ['primary ADD eth0', 'primary DEL eth0'])
    assert.equal(await linksOf(pod), ['lo'])
    await assertNothingButStatus(node, before, pod)
    const daemon = await installed.start()
    assertDone(await pod.run('DEL', { executable, conf }))
    await daemon.stop()
    await assertNothingButStatus(node, before, pod)
  })

  it('a daemon that is back checks and removes it', async () => {
    const { node, installed } = await withFallback()
    const executable = installed.shim
    const pod = await node.pod({ networks: '' })
    const before = await node.watch(pod)
    const conf = confWith(node, {})
    assertAdded(await pod.run('ADD', { executable, conf }))
    const daemon = await installed.start()
    assertDone(await pod.run('CHECK', { executable, conf }))
    assertRefused(await pod.run('ADD', { executable, conf }), 103, 'already attached')
    assertDone(await pod.run('DEL', { executable, conf }))
    await eventually(() => node.assertClean(before))
    await daemon.stop()
  })

  it('a delegate that fails there is its error, and nothing is left', async () => {
    const { node, installed } = await withFallback()
    const executable = installed.shim
    const pod = await node.pod({ networks: '' })
    const before = await node.watch(pod)
    node.behave(node.primary, { add: { error: { code: 117, msg: 'no uplink' } } })
    const conf = confWith(node, {})
    assertRefused(await pod.run('ADD', { executable, conf }), 117, 'no uplink')
    assertDone(await pod.run('DEL', { executable, conf }))
    await eventually(() => node.assertClean(before))
  })

  for (const [title, conf] of [
    [
      'has a networks annotation',
      (node: StubNode) => confWith(node, { 'k8s.v1.cni.cncf.io/networks': 'alpha-net' }),
    ],
    [
      'has a default-network annotation',
      (node: StubNode) => confWith(node, { 'v1.multus-cni.io/default-network': 'alpha-net' }),
    ],
    ['has one of ours', (node: StubNode) => confWith(node, { 'plexus-cni.io/anything': 'x' })],
    ["'s annotations the runtime does not pass", (node: StubNode) => node.conf()],
  ] as const) {
    it(`it is not run for a pod that ${title}: error 11, and nothing happens`, async () => {
      const { node, installed } = await withFallback()
      const executable = installed.shim
      const pod = await node.pod({ networks: 'alpha-net' })
      const before = await node.watch(pod)
      const added = await pod.run('ADD', { executable, conf: conf(node) })
      assertRefused(added, 11, 'does not answer')
      assert.ok(added.durationMs >= 950 && added.durationMs < 8000, `${added.durationMs} ms`)
      assert.equal(node.steps(), [])
      assertDone(await pod.run('DEL', { executable, conf: conf(node) }))
      await eventually(() => node.assertClean(before))
    })
  }

  it('the runtime may end it: what it has attached goes with the next DEL', async () => {
    const { node, installed } = await withFallback()
    const executable = installed.shim
    const pod = await node.pod({ networks: '' })
    const before = await node.watch(pod)
    node.behave(node.primary, { add: { hang: true, ignoreTerm: true, calls: [1, 1], lease: node.leaseDir } })
    const call = { executable, conf: confWith(node, {}), args: podArgs(pod.manifest, pod.containerId) }
    const adding = pod.start('ADD', call)
    // What has not had its stdin yet can do nothing, and is not watched.
    await eventually(() => assert.ok(node.primary.calls()[0]?.stdinText))
    adding.kill('SIGKILL')
    assert.is((await adding.finished).signal, 'SIGKILL')
    assertDone(await pod.run('DEL', call))
    await eventually(() => node.assertClean(before))
  })
})
