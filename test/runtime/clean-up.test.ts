import * as assert from 'uvu/assert'
import type { Sandbox } from '../rig/containerd.ts'
import { eventually } from '../rig/daemon.ts'
import { journalFiles, leases } from '../rig/state-files.ts'
import { spec } from '../spec.ts'
import { failureOf, interfacesOf, LATER, RELEASES, type RuntimeNode, runtimeNode } from './scene.ts'

/** Ten pods that live and five whose network is to be undone, with two networks each. */
async function fifteenPods(node: RuntimeNode): Promise<{ live: Sandbox[]; stale: Sandbox[] }> {
  const sandboxes: Sandbox[] = []
  for (let number = 0; number < 15; number++)
    sandboxes.push(await node.containerd.run(node.writePod({ name: `pod-${number}`, networks: 'data' })))
  assert.is(leases(node.leaseDir).length, 30)
  return { live: sandboxes.slice(0, 10), stale: sandboxes.slice(10) }
}

/** Of the stale pods nothing is there; the live ones have what they had. */
async function assertUndone(node: RuntimeNode, live: readonly Sandbox[]): Promise<void> {
  // A daemon removes a record after its answer.
  await eventually(() => assert.equal(journalFiles(node.stateDir), live.map(({ id }) => `${id}/eth0`).sort()))
  assert.is(leases(node.leaseDir).length, 20)
  for (const sandbox of live) assert.is((await interfacesOf(sandbox)).length, 2)
}

spec('clean-up after sandboxes', (it) => {
  it('CNI-064 GC as libcni calls it: of 10 live and 5 stale exactly 5 are undone', async () => {
    const node = await runtimeNode('current')
    const daemon = await node.up()
    const { live, stale } = await fifteenPods(node)
    const valid = live.map(({ id }) => ({ containerID: id, ifname: 'eth0' }))
    await node.invoke('GC', { 'cni.dev/valid-attachments': valid })
    await assertUndone(node, live)
    for (const sandbox of stale) assert.equal(await interfacesOf(sandbox), [])
    await Promise.all([...live, ...stale].map(({ remove }) => remove()))
    await node.close(daemon)
  })

  it('errands: of 10 live and 5 whose namespaces are gone exactly 5 are undone', async () => {
    const node = await runtimeNode('current', { conf: { errandInterval: 1 } })
    const first = await node.up()
    const { live, stale } = await fifteenPods(node)
    assert.is(await first.stop(), 0)
    // The runtime forgets them without a DEL, and so would a machine that was switched off.
    for (const { lose } of stale) await lose()
    const second = await node.up({ wrap: ['env', LATER] })
    await eventually(async () => {
      await node.invoke('STATUS')
      await assertUndone(node, live)
    }, 60_000)
    await Promise.all([...live, ...stale].map(({ remove }) => remove()))
    await node.close(second)
  })

  for (const release of RELEASES) {
    it(`${release}: a pod force-deleted while the daemon is dead gives its address to the next at once`, async () => {
      const node = await runtimeNode(release, { onlyAddress: '10.90.0.2', shim: { delWait: '0' } })
      const first = await node.up()
      const pod = await node.containerd.run(node.writePod({ networks: 'data' }))
      assert.match(
        await failureOf(node.containerd.run(node.writePod({ name: 'too-early' }))),
        'no IP addresses available',
      )
      first.kill('SIGKILL')
      await first.ended
      await pod.remove()
      const second = await node.up()
      const next = await node.containerd.run(node.writePod({ name: 'next' }))
      assert.equal(await interfacesOf(next), ['eth0 10.90.0.2'])
      await next.remove()
      await node.close(second)
    })

    it(`${release}: one that nobody deletes gives it away when the errand is due`, async () => {
      const node = await runtimeNode(release, { onlyAddress: '10.90.0.2' })
      const first = await node.up()
      const pod = await node.containerd.run(node.writePod({ networks: 'data' }))
      first.kill('SIGKILL')
      await first.ended
      await pod.lose()
      const second = await node.up({ wrap: ['env', LATER] })
      const manifest = node.writePod({ name: 'next' })
      let attempt = 0
      // As the kubelet does, which tries again and again.
      await eventually(async () => {
        const next = await node.containerd.run(manifest, { attempt: attempt++ })
        assert.equal(await interfacesOf(next), ['eth0 10.90.0.2'])
      }, 60_000)
      // The runtime still knows the lost one: its DEL must not take the address from who has it now.
      await pod.remove()
      assert.equal(leases(node.leaseDir), ['cluster-net/10.90.0.2'])
      assert.match(
        await failureOf(node.containerd.run(node.writePod({ name: 'too-late' }))),
        'no IP addresses available',
      )
      for (const id of await node.containerd.sandboxes()) await node.containerd.remove(id)
      await node.close(second)
    })
  }
})
