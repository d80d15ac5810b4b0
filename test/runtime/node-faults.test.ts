import * as assert from 'uvu/assert'
import { singleFile } from '../rig/single-file.ts'
import { journalFiles, leases } from '../rig/state-files.ts'
import { spec } from '../spec.ts'
import { failureOf, interfacesOf, RELEASES, runtimeNode } from './scene.ts'

spec('a node in trouble', (it) => {
  for (const release of RELEASES) {
    it(`${release}: a daemon that does not come up: pods without networks of their own start, others wait for it`, async () => {
      const node = await runtimeNode(release, {
        shim: { fallback: singleFile(), addWait: '0', delWait: '0' },
      })
      const { containerd } = node
      assert.is(await (await node.up()).stop(), 0)
      const plain = await containerd.run(node.writePod())
      assert.equal(await interfacesOf(plain), ['eth0 10.90.0.2'])
      const rich = node.writePod({ name: 'rich', networks: 'data' })
      assert.match(await failureOf(containerd.run(rich)), 'the plexus daemon does not answer on')
      const gone = await containerd.run(node.writePod({ name: 'gone' }))
      await gone.remove()
      const daemon = await node.up()
      const waited = await containerd.run(rich, { attempt: 1 })
      assert.is((await interfacesOf(waited)).length, 2)
      await Promise.all([plain.remove(), waited.remove()])
      for (const id of await containerd.sandboxes()) await containerd.remove(id)
      await node.close(daemon)
    })

    it(`${release}: switched off and on again: what pods had is given back, and they get new sandboxes`, async () => {
      const node = await runtimeNode(release)
      const { containerd, host } = node
      const first = await node.up()
      const pods = ['a', 'b', 'c'].map((name) => node.writePod({ name, networks: 'data,edge' }))
      for (const [index, pod] of pods.entries())
        await containerd.run(pod, index === 0 ? { ports: [[80, 18080]] } : {})
      first.kill('SIGKILL')
      await first.ended
      await containerd.reboot()
      for (const bridge of ['br90', 'br91']) await host.exec('ip', ['link', 'del', bridge])
      for (const args of [['-F'], ['-X']]) await host.exec('iptables', ['-t', 'nat', ...args])
      assert.is(journalFiles(node.stateDir).length, 3)
      assert.is(leases(node.leaseDir).length, 9)
      // The kubelet asks for the sandboxes of before to be removed while the daemon's pod is not there yet.
      const before = await containerd.sandboxes()
      assert.is(before.length, 3)
      await containerd.remove(before[0] ?? '')
      const second = await node.up()
      for (const id of before.slice(1)) await containerd.remove(id)
      await node.assertClean()
      for (const pod of pods) {
        const sandbox = await containerd.run(pod, { attempt: 1 })
        assert.is((await interfacesOf(sandbox)).length, 3)
      }
      for (const id of await containerd.sandboxes()) await containerd.remove(id)
      await node.close(second)
    })
  }
})
