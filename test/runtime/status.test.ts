import { renameSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { eventually } from '../rig/daemon.ts'
import { stubPlugin } from '../rig/stub.ts'
import { spec } from '../spec.ts'
import { type RuntimeNode, runtimeNode } from './scene.ts'

/** Waits until the runtime tells the kubelet that the network is ready, or not for this reason. */
async function becomes(node: RuntimeNode, reason: RegExp | undefined): Promise<void> {
  await eventually(async () => {
    const { status, message } = await node.containerd.condition('NetworkReady')
    assert.is(status, reason === undefined, message)
    if (reason !== undefined) assert.match(message, reason)
  }, 30_000)
}

spec('readiness that a runtime of CNI 1.1 asks for', (it) => {
  it('CNI-058 not ready, with the reason, without daemon, default network, its plugin, or what that needs', async () => {
    const node = await runtimeNode('current', { shim: { addWait: '1' } })
    const { containerd, confDir, pluginDir } = node
    const first = await node.up()
    await becomes(node, undefined)
    assert.is(await first.stop(), 0)
    await becomes(node, /^Network plugin returns error: the plexus daemon does not answer on /)
    const second = await node.up()
    await becomes(node, undefined)

    const file = join(confDir, '10-cluster.conflist')
    renameSync(file, `${file}.away`)
    await becomes(node, /the default network is not available: .*10-cluster\.conflist does not exist/)
    renameSync(`${file}.away`, file)
    await becomes(node, undefined)

    const bridge = join(pluginDir, 'bridge')
    renameSync(bridge, `${bridge}.away`)
    await becomes(node, /"cluster-net" .*failed to find plugin "bridge"/)
    stubPlugin(pluginDir, 'bridge', {
      status: { error: { code: 50, msg: 'the agent of the bridge is away' } },
    })
    await becomes(node, /the agent of the bridge is away/)
    renameSync(`${bridge}.away`, bridge)
    await becomes(node, undefined)
    await (await containerd.run(node.writePod())).remove()
    await node.close(second)
  })
})
