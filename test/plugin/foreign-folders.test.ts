import { globSync } from 'node:fs'
import * as assert from 'uvu/assert'
import { nad } from '../rig/manifests.ts'
import { filesBelow } from '../rig/state-files.ts'
import { spec } from '../spec.ts'
import { assertAdded, assertDone, stubNode } from './stub-node.ts'

/** Where runtimes, plugins and administrators keep what is theirs. */
const FOREIGN = ['/var/lib/cni', '/run/cni', '/etc/cni', '/run/netns', '/opt/cni']

spec('folders of others', (it) => {
  it('CNI-106, CNI-144 nothing is written there, and a network with the name of our net-conf is another one', async () => {
    const node = await stubNode()
    node.write(nad({ name: 'alpha-net', config: { cniVersion: '1.0.0', name: 'plexus-net', type: 'alpha' } }))
    const pod = await node.pod()
    const own = [node.manifests, node.confDir]
    const before = own.map(filesBelow)
    assertAdded(await pod.run('ADD'))
    assertDone(await pod.run('CHECK'))
    const found = FOREIGN.flatMap((folder) => globSync(`${folder}/**/*${pod.containerId}*`))
    assert.equal(found, [])
    assert.equal(own.map(filesBelow), before)
    assert.ok(filesBelow(node.stateDir).some((path) => path.includes(pod.containerId)))
    assertDone(await pod.run('DEL'))
  })
})
