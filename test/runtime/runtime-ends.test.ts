import * as assert from 'uvu/assert'
import { eventually } from '../rig/daemon.ts'
import { nad } from '../rig/manifests.ts'
import { journalFiles } from '../rig/state-files.ts'
import { stubPlugin } from '../rig/stub.ts'
import { spec } from '../spec.ts'
import { failureOf, interfacesOf, RELEASES, runtimeNode } from './scene.ts'

spec('a runtime that ends', (it) => {
  for (const release of RELEASES) {
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      it(`${release}: by ${signal} between two requests: its pods keep their networks and can be deleted`, async () => {
        const node = await runtimeNode(release)
        const { containerd } = node
        const daemon = await node.up()
        const pod = await containerd.run(node.writePod({ networks: 'data,edge' }))
        const interfaces = await interfacesOf(pod)
        await containerd.end(signal)
        await containerd.start()
        assert.equal(await containerd.sandboxes(), [pod.id])
        assert.equal(await interfacesOf(pod), interfaces)
        const next = await containerd.run(node.writePod({ name: 'next', networks: 'data' }))
        await Promise.all([pod.remove(), next.remove()])
        await node.close(daemon)
      })
    }

    it(`${release}: killed during ADD: the pod's next sandbox starts, and of the first one nothing stays`, async () => {
      const node = await runtimeNode(release)
      const { containerd } = node
      const slow = stubPlugin(node.pluginDir, 'slow', { add: { blockBefore: 'gate' } })
      node.write(nad({ name: 'slow', config: { cniVersion: '1.0.0', name: 'slow', type: 'slow' } }))
      const daemon = await node.up()
      const pod = node.writePod({ networks: 'data,slow' })
      const running = failureOf(containerd.run(pod))
      await slow.reached(1, 'ADD')
      await containerd.end('SIGKILL')
      slow.release('gate')
      assert.match(await running, 'Connection dropped')
      // Nobody is there to hear it, and yet the shim goes on: what it began is recorded.
      await eventually(() => assert.ok(daemon.log().some(({ command }) => command === 'ADD')), 60_000)
      await containerd.start()
      const [first = ''] = await containerd.sandboxes()
      assert.equal(journalFiles(node.stateDir), [`${first}/eth0`])
      // As the kubelet does: it finds a sandbox that is not ready, and replaces it.
      await containerd.remove(first)
      const next = await containerd.run(pod, { attempt: 1 })
      assert.equal(await interfacesOf(next), ['eth0 10.90.0.3', 'net1 10.91.0.3'])
      await next.remove()
      await node.close(daemon)
    })
  }
})
