import * as assert from 'uvu/assert'
import { spec } from '../spec.ts'
import { interfacesOf, RELEASES, runtimeNode } from './scene.ts'

spec('pod sandboxes', (it) => {
  for (const release of RELEASES) {
    it(`${release}: the default network alone, and two more`, async () => {
      const node = await runtimeNode(release)
      const { containerd } = node
      console.log(`# ${containerd.version}`)
      const daemon = await node.up()
      const plain = await containerd.run(node.writePod())
      assert.equal(await interfacesOf(plain), ['eth0 10.90.0.2'])
      assert.equal(plain.ips, ['10.90.0.2'])
      const rich = await containerd.run(node.writePod({ name: 'rich', networks: 'data,edge' }))
      assert.equal(await interfacesOf(rich), ['eth0 10.90.0.3', 'net1 10.91.0.2', 'net2 10.92.0.2'])
      assert.is(rich.ips[0], '10.90.0.3')
      const verbs = daemon.log().filter(({ verb }) => verb !== undefined)
      await plain.remove()
      await rich.remove()
      await node.close(daemon)
    })
  }
})
