import { copyFileSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { assertAdded, assertDone, assertRefused, ipsOf } from '../plugin/stub-node.ts'
import { eventually, type Installation, installDaemon } from '../rig/daemon.ts'
import { singleFile } from '../rig/single-file.ts'
import { journalFiles, leases } from '../rig/state-files.ts'
import { tempDir } from '../rig/temp-dir.ts'
import { type TestNode, type TestPod, testNode } from '../rig/test-node.ts'
import { spec } from '../spec.ts'

interface FallbackNode extends TestNode, Installation {
  /** The single file that plexus.shim names; it may be removed. */
  readonly fallback: string
}

/** A node whose shim has a fallback and, so far, no daemon. */
async function fallbackNode(): Promise<FallbackNode> {
  const node = await testNode()
  const dir = join(tempDir('fallback'), 'bin')
  mkdirSync(dir, { mode: 0o755 })
  const fallback = join(dir, 'plexus-standalone')
  copyFileSync(singleFile(), fallback)
  return { ...node, ...installDaemon(node, { shim: { fallback, addWait: '0', delWait: '0' } }), fallback }
}

/** The net-conf as a runtime completes it that passes the pod's annotations. */
function confWith({ conf }: TestNode, annotations: object): object {
  return conf({ runtimeConfig: { 'io.kubernetes.cri.pod-annotations': annotations } })
}

async function assertAttached(node: FallbackNode, pod: TestPod): Promise<void> {
  const added = await pod.run('ADD', { executable: node.shim, conf: confWith(node, { app: 'web' }) })
  assertAdded(added)
  assert.equal(
    ipsOf(added).map(({ address }) => address),
    ['10.90.0.2/24'],
  )
  assert.equal(journalFiles(node.stateDir), [`${pod.containerId}/eth0`])
  assert.is(leases(node.leaseDir).length, 1)
}

async function assertClean(node: FallbackNode, pod: TestPod): Promise<void> {
  await eventually(async () => {
    assert.equal(journalFiles(node.stateDir), [])
    assert.equal(leases(node.leaseDir), [])
    assert.equal(
      (await pod.netns.links()).map(({ ifname }) => ifname),
      ['lo'],
    )
  })
}

spec('the fallback of a shim without a daemon', (it) => {
  it('attaches the default network of a pod that asks for no other; DEL takes it away', async () => {
    const node = await fallbackNode()
    const pod = await node.pod()
    await assertAttached(node, pod)
    assertDone(await pod.run('DEL', { executable: node.shim, conf: confWith(node, { app: 'web' }) }))
    await assertClean(node, pod)
  })

  it('DEL needs neither the fallback nor the default network in the net-conf', async () => {
    const node = await fallbackNode()
    const pod = await node.pod()
    await assertAttached(node, pod)
    rmSync(node.fallback)
    assertDone(await pod.run('DEL', { executable: node.shim, conf: node.conf({ delegates: undefined }) }))
    await assertClean(node, pod)
    assertDone(await pod.run('DEL', { executable: node.shim, conf: node.conf({ delegates: undefined }) }))
  })

  it('DEL by the daemon that has come back, itself run from the single file', async () => {
    const node = await fallbackNode()
    const pod = await node.pod()
    await assertAttached(node, pod)
    // The rig gives the path of bin/plexus, then the arguments.
    const daemon = await node.start({ wrap: ['/bin/sh', '-c', 'shift; exec "$0" "$@"', node.fallback] })
    assertDone(await pod.run('DEL', { executable: node.shim }))
    await assertClean(node, pod)
    assertAdded(await pod.run('ADD', { executable: node.shim }))
    assertDone(await pod.run('DEL', { executable: node.shim }))
    await assertClean(node, pod)
    assert.is(await daemon.stop(), 0)
  })

  it('a pod that asks for a network, or a fallback that is not there, is error 11', async () => {
    const node = await fallbackNode()
    const pod = await node.pod()
    const run = (annotations: object) =>
      pod.run('ADD', { executable: node.shim, conf: confWith(node, annotations) })
    assertRefused(await run({ 'k8s.v1.cni.cncf.io/networks': 'one' }), 11, 'does not answer')
    rmSync(node.fallback)
    const refused = await run({ app: 'web' })
    assertRefused(refused, 11, 'does not answer')
    assert.match(refused.stderr, 'the fallback is not run')
    await assertClean(node, pod)
  })
})
