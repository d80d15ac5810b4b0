import * as assert from 'uvu/assert'
import { type ClusterScene, clusterScene } from '../cluster/scene.ts'
import type { Sandbox } from '../rig/containerd.ts'
import { eventually } from '../rig/daemon.ts'
import { writeKubeconfig } from '../rig/kubeconfig.ts'
import { pod } from '../rig/manifests.ts'
import { journalFiles } from '../rig/state-files.ts'
import { spec } from '../spec.ts'
import { LATER, linksOf, RELEASES, runtimeNode, statusLinks } from './scene.ts'

spec('pod sandboxes of a cluster', (it) => {
  let scene: ClusterScene
  it.before(async () => {
    scene = await clusterScene()
  })
  it.after(() => scene.close())

  for (const release of RELEASES) {
    it(`${release}: network-status is what ip shows; without the API the dead are undone and the living stay`, async () => {
      const { api, proxy, namespace } = scene
      const kubeconfig = writeKubeconfig({ server: proxy.server, ca: api.authority.ca, token: 'node-token' })
      const node = await runtimeNode(release, {
        conf: { kubeconfig, manifests: undefined, errandInterval: 1 },
      })
      const [data, edge] = [`data-${release}`, `edge-${release}`]
      await scene.createNad({ name: data, config: node.networks.data })
      await scene.createNad({ name: edge, config: node.networks.edge })
      const first = await node.up({ wrap: ['env', 'NODE_NAME=worker-1'] })
      const run = async (name: string): Promise<Sandbox> => {
        const options = { name: `${name}-${release}`, networks: `${data},${edge}@fast0` }
        const uid = await scene.createPod(options)
        return node.containerd.run(pod({ namespace, uid, ...options }))
      }
      const live = await run('live')
      const links = await linksOf(live)
      assert.is(links.length, 3)
      await eventually(async () => {
        const { metadata } = await api.ok('GET', scene.podPath(`live-${release}`))
        assert.equal(statusLinks(metadata.annotations), links)
      }, 60_000)

      const dead = await run('dead')
      await api.stop('SIGKILL')
      await dead.lose()
      assert.is(await first.stop(), 0)
      const daemon = await node.up({ wrap: ['env', 'NODE_NAME=worker-1', LATER] })
      await eventually(async () => {
        await node.invoke('STATUS', { cniVersion: '1.1.0' })
        assert.equal(journalFiles(node.stateDir), [`${live.id}/eth0`])
      }, 60_000)
      assert.equal(await linksOf(live), links)
      await Promise.all([live.remove(), dead.remove()])
      await node.close(daemon)
      await api.start()
    })
  }
})
