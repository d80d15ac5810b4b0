import * as assert from 'uvu/assert'
import { eventually } from '../rig/daemon.ts'
import { nad } from '../rig/manifests.ts'
import { journalFiles } from '../rig/state-files.ts'
import { stubPlugin } from '../rig/stub.ts'
import { spec } from '../spec.ts'
import { interfacesOf, RELEASES, runtimeNode } from './scene.ts'

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
      const running = containerd.run(pod).then(
        () => 'it runs',
        (error: Error) => error.message,
      )
      await slow.reached(1, 'ADD')
      await containerd.end('SIGKILL')
      slow.release('gate')
      console.log(await running)
      await eventually(() => assert.ok(daemon.log().some(({ command }) => command === 'ADD')), 20_000)
      console.log(daemon.lines().join('\n'))
      await containerd.start()
      const left = await containerd.sandboxes()
      console.log(left, journalFiles(node.stateDir), await containerd.netns())
      for (const id of left) await containerd.remove(id)
      console.log(left, journalFiles(node.stateDir), await containerd.netns())
      const next = await containerd.run(pod, { attempt: 1 })
      console.log(await interfacesOf(next))
      await next.remove()
      await node.close(daemon)
    })
  }
})
