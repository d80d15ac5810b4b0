import * as assert from 'uvu/assert'
import { kernelHas, skipped } from '../rig/kernel.ts'
import { transfer } from '../rig/tcp.ts'
import { spec } from '../spec.ts'
import { RELEASES, runtimeNode } from './scene.ts'

const BANDWIDTH = { type: 'bandwidth', capabilities: { bandwidth: true } }
const ANNOTATIONS = { 'kubernetes.io/ingress-bandwidth': '10M', 'kubernetes.io/egress-bandwidth': '10M' }
const PORT = 5001

/** The runtime fills a bucket first, which goes through as fast as it can: what counts is what lasts. */
const LASTING = 4

const isShaped = (rates: readonly number[]): boolean => {
  const slow = rates.findIndex((rate) => rate < 20)
  return slow >= 0 && rates.length > slow + LASTING
}

const lacking = (await kernelHas('tbf')) ? ((await kernelHas('ifb')) ? undefined : 'ifb') : 'tbf'

spec('bandwidth annotations', (it) => {
  for (const release of RELEASES) {
    const title = `${release}: 10 Mbit/s each way on the default network, and no limit on another`
    if (lacking !== undefined) {
      skipped(title, lacking)
      continue
    }
    it(title, async () => {
      const node = await runtimeNode(release, { defaultPlugins: [BANDWIDTH] })
      const daemon = await node.up()
      const pod = node.writePod({ networks: 'data', annotations: ANNOTATIONS })
      const { netns, remove } = await node.containerd.run(pod)
      const host = node.host.path
      for (const [from, to, address] of [
        [host, netns, '10.90.0.2'],
        [netns, host, '10.90.0.1'],
      ] as const) {
        const rates = await transfer({ from, to, address, port: PORT }, isShaped)
        const lasting = rates.slice(-LASTING).reduce((sum, rate) => sum + rate, 0) / LASTING
        assert.ok(lasting >= 8 && lasting <= 12, `to ${address}: ${rates.map(Math.round).join(' ')} Mbit/s`)
      }
      await node.host.exec('ip', ['addr', 'add', '10.91.0.1/24', 'dev', 'br91'])
      for (const [from, to, address] of [
        [host, netns, '10.91.0.2'],
        [netns, host, '10.91.0.1'],
      ] as const) {
        const rates = await transfer({ from, to, address, port: PORT }, ({ length }) => length === 3)
        assert.ok(Math.max(...rates) > 100, `to ${address}: ${rates.map(Math.round).join(' ')} Mbit/s`)
      }
      await remove()
      await node.close(daemon)
    })
  }
})
