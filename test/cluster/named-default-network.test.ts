import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import * as assert from 'uvu/assert'
import { assertAdded, assertDone } from '../plugin/stub-node.ts'
import { eventually, type Installation, type TestDaemon } from '../rig/daemon.ts'
import type { TestPod } from '../rig/test-node.ts'
import { spec } from '../spec.ts'
import { type ClusterNode, type ClusterScene, clusterNode, clusterScene } from './scene.ts'

spec('a default network that is named', (it) => {
  let scene: ClusterScene
  let node: ClusterNode
  let daemon: TestDaemon
  let installation: Installation

  it.before(async () => {
    scene = await clusterScene()
    node = await clusterNode(scene)
    const conf = { cniVersion: '1.0.0', name: 'of-a-file', type: 'primary' }
    writeFileSync(join(node.confDir, '20-of-a-file.conf'), JSON.stringify(conf))
    installation = node.install({ defaultNetwork: 'of-a-file', multusNamespace: scene.namespace })
    daemon = await node.start(installation)
  })
  it.after(async () => {
    assert.is(await daemon.stop(), 0)
    await scene.close()
  })
  it.after.each(() => {
    scene.proxy.fault = () => undefined
  })

  const podOf = (name: string, networks = ''): Promise<TestPod> =>
    node.podOf(installation, { name, networks })
  const defaultOf = (pod: TestPod): string | undefined =>
    node.calls().findLast(({ containerId, ifName }) => containerId === pod.containerId && ifName === 'eth0')
      ?.type

  /** Waits until the daemon is told of the pod, so that nothing has to be asked for. */
  const isKnown = (pod: TestPod): Promise<void> =>
    eventually(async () => {
      const before = scene.proxy.requests.length
      await pod.run('ADD')
      assertDone(await pod.run('DEL'))
      const path = scene.podPath(pod.manifest.metadata.name)
      const asked = scene.proxy.requests.slice(before).filter(({ method }) => method === 'GET')
      assert.not.ok(asked.some((request) => request.path === path))
      // After a fault it follows again when its pause is over.
    }, 30_000)

  it('is the file of that name while the API server is away: no NAD had that name when it was last heard of', async () => {
    for (const [index, fault] of (['reset', 'hang'] as const).entries()) {
      const pod = await podOf(`away-${index}`)
      await isKnown(pod)
      scene.proxy.fault = () => fault
      scene.proxy.reset()
      // So long an answer is believed that there is no such NAD.
      await delay(5500)
      const added = await pod.run('ADD')
      assertAdded(added)
      assert.ok(added.durationMs < 10_000)
      assert.is(defaultOf(pod), 'primary')
      assertDone(await pod.run('DEL'))
      scene.proxy.fault = () => undefined
    }
  })

  it('is the NAD of that name as soon as there is one', async () => {
    await scene.createNad({ name: 'of-a-file', config: { cniVersion: '1.0.0', type: 'beta' } })
    await eventually(async () => {
      const pod = await podOf(`later-${performance.now().toFixed(0)}`)
      assertAdded(await pod.run('ADD'))
      const type = defaultOf(pod)
      assertDone(await pod.run('DEL'))
      assert.is(type, 'beta')
    }, 20_000)
  })
})
