import * as assert from 'uvu/assert'
import { type ClusterScene, clusterScene } from '../cluster/scene.ts'
import type { Sandbox } from '../rig/containerd.ts'
import { eventually } from '../rig/daemon.ts'
import { writeKubeconfig } from '../rig/kubeconfig.ts'
import { pod } from '../rig/manifests.ts'
import { journalFiles } from '../rig/state-files.ts'
import { spec } from '../spec.ts'
import { LATER, RELEASES, runtimeNode } from './scene.ts'

const STATUS = 'k8s.v1.cni.cncf.io/network-status'

/** As the standard has it, with what can be compared to a link. */
interface StatusEntry {
  readonly name: string
  readonly interface: string
  readonly ips?: readonly string[]
  readonly mac?: string
}

/** What `ip -j addr` shows, each interface with its MAC and its addresses but the kernel's own. */
async function linksOf({ exec }: Sandbox): Promise<string[]> {
  const links = JSON.parse(await exec('ip', ['-j', 'addr'])) as {
    ifname: string
    address: string
    addr_info: { local: string; scope: string }[]
  }[]
  return links
    .filter(({ ifname }) => ifname !== 'lo')
    .map(({ ifname, address, addr_info }) => {
      const ips = addr_info.filter(({ scope }) => scope === 'global').map(({ local }) => local)
      return `${ifname} ${address} ${ips}`
    })
}

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
        const status = JSON.parse(metadata.annotations?.[STATUS] ?? '[]') as StatusEntry[]
        assert.equal(
          status.map((entry) => `${entry.interface} ${entry.mac} ${entry.ips}`),
          links,
        )
      }, 20_000)

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
