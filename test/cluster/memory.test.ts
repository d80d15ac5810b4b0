import * as assert from 'uvu/assert'
import { memoryOf } from '../daemon/process-memory.ts'
import { assertAdded, assertDone, stubNode } from '../plugin/stub-node.ts'
import { eventually, installDaemon } from '../rig/daemon.ts'
import { writeKubeconfig } from '../rig/kubeconfig.ts'
import { spec } from '../spec.ts'
import { type ClusterScene, clusterScene } from './scene.ts'

const NADS = 5000
const PODS = 250
const AT_ONCE = 25
/** It is 79 to 84 after the lists are read; twice the caches would be seen, a mebibyte more or less is not. */
const LIMIT_MIB = 100

/** Does it so many times, some at once. */
async function times(count: number, make: (index: number) => Promise<unknown>): Promise<void> {
  let next = 0
  const worker = async (): Promise<void> => {
    for (let index = next++; index < count; index = next++) await make(index)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
}

spec('memory of a daemon that follows a large cluster', (it) => {
  let scene: ClusterScene

  it.before(async () => {
    scene = await clusterScene()
  })
  it.after(() => scene.close())

  it(`${NADS} networks and ${PODS} pods of the node: at most ${LIMIT_MIB} MiB, and no read for an ADD`, async () => {
    const { namespace, api, proxy } = scene
    const node = await stubNode()
    const ipam = { type: 'host-local', ranges: [[{ subnet: '10.9.0.0/24', rangeStart: '10.9.0.10' }]] }
    await times(NADS, (index) => {
      const config = { cniVersion: '1.0.0', type: 'alpha', vlan: index, ipam, capabilities: { mac: true } }
      return scene.createNad({ name: `net-${index}`, config })
    })
    await times(PODS, (index) => scene.createPod({ name: `pod-${index}`, networks: `net-${index}` }))
    const kubeconfig = writeKubeconfig({ server: proxy.server, ca: api.authority.ca, token: 'node-token' })
    const { shim: executable, start } = installDaemon(node, { conf: { kubeconfig } })
    const daemon = await start({ wrap: ['env', 'NODE_NAME=worker-1'] })
    await eventually(() => {
      assert.ok(proxy.requests.filter(({ isWatch }) => isWatch).length >= 2)
    }, 30_000)
    const name = `pod-${PODS - 1}`
    const { metadata } = await api.ok('GET', scene.podPath(name))
    const pod = await node.pod({ name, namespace, uid: metadata.uid })
    const { manifests: _, ...conf } = node.conf() as Record<string, unknown>
    const before = proxy.requests.length
    assertAdded(await pod.run('ADD', { executable, conf }))
    assert.equal(
      proxy.requests.slice(before).filter(({ method, isWatch }) => method === 'GET' && !isWatch),
      [],
    )
    assertDone(await pod.run('DEL', { executable, conf }))
    // What reading the lists took is given back.
    await eventually(() => {
      const memory = memoryOf(daemon.pid)
      assert.ok(memory.residentMiB <= LIMIT_MIB, JSON.stringify(memory))
    }, 20_000)
    assert.is(await daemon.stop(), 0)
  })
})
