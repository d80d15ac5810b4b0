import * as assert from 'uvu/assert'
import { memoryOf } from '../daemon/process-memory.ts'
import { assertAdded, assertDone } from '../plugin/stub-node.ts'
import { eventually } from '../rig/daemon.ts'
import { spec } from '../spec.ts'
import { type ClusterScene, clusterNode, clusterScene, inTurns } from './scene.ts'

const NADS = 5000
const PODS = 250
/** It is 66 to 74, with 5 to spare for V8's optimizing compiler, of which nobody says when it runs. */
const LIMIT_MIB = 80

spec('memory of a daemon that follows a large cluster', (it) => {
  let scene: ClusterScene

  it.before(async () => {
    scene = await clusterScene()
  })
  it.after(() => scene.close())

  it(`${NADS} networks and ${PODS} pods of the node: at most ${LIMIT_MIB} MiB, and no read for an ADD`, async () => {
    const { api, proxy } = scene
    const node = await clusterNode(scene)
    const ipam = { type: 'host-local', ranges: [[{ subnet: '10.9.0.0/24', rangeStart: '10.9.0.10' }]] }
    await inTurns([...Array(NADS).keys()], (index) => {
      const config = { cniVersion: '1.0.0', type: 'alpha', vlan: index, ipam, capabilities: { mac: true } }
      return scene.createNad({ name: `net-${index}`, config })
    })
    await inTurns([...Array(PODS).keys()], (index) =>
      scene.createPod({ name: `pod-${index}`, networks: `net-${index}` }),
    )
    const installation = node.install()
    const daemon = await node.start(installation)
    const name = `pod-${PODS - 1}`
    const { metadata } = await api.ok('GET', scene.podPath(name))
    const pod = await node.podOf(installation, { name, uid: metadata.uid })
    const before = proxy.requests.length
    assertAdded(await pod.run('ADD'))
    assert.equal(
      proxy.requests.slice(before).filter(({ method, isWatch }) => method === 'GET' && !isWatch),
      [],
    )
    assertDone(await pod.run('DEL'))
    // What reading the lists took is given back.
    await eventually(() => {
      const memory = memoryOf(daemon.pid)
      assert.ok(memory.residentMiB <= LIMIT_MIB, JSON.stringify(memory))
    }, 60_000)
    assert.is(await daemon.stop(), 0)
  })
})
