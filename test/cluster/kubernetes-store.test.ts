import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import type { NetworkStatusEntry } from '../../src/network/network-status.ts'
import { eventually } from '../rig/daemon.ts'
import { spec } from '../spec.ts'
import { type ClusterScene, clusterScene, errorOf, type SceneStore } from './scene.ts'

const bridge = { cniVersion: '1.0.0', type: 'bridge' }
const NETWORKS = 'k8s.v1.cni.cncf.io/networks'
const status: NetworkStatusEntry[] = [
  { name: 'default-net', interface: 'eth0', ips: ['10.1.0.2'], default: true, dns: {} },
]

spec('Kubernetes store', (it) => {
  let scene: ClusterScene
  let store: SceneStore
  const asked = (from: number): string[] =>
    scene.proxy.requests
      .slice(from)
      .filter(({ isWatch }) => !isWatch)
      .map(({ method, path }) => `${method} ${path}`)

  it.before(async () => {
    scene = await clusterScene()
    store = await scene.store()
  })
  it.after(() => scene.close())

  it('answers from what it follows without asking', async () => {
    const { namespace } = scene
    const uid = await scene.createPod({ name: 'known', networks: 'net-a' })
    await scene.createNad({ name: 'net-a', config: bridge })
    await eventually(async () => {
      const before = scene.proxy.requests.length
      const pod = await store.pod(namespace, 'known', uid)
      const nad = await store.nad(namespace, 'net-a')
      assert.is(pod?.uid, uid)
      assert.is(pod?.annotations[NETWORKS], 'net-a')
      assert.is(nad?.config, JSON.stringify(bridge))
      assert.equal(asked(before), [])
    })
  })

  it('knows a pod and a NAD in the moment in which they are there', async () => {
    const { namespace } = scene
    for (let round = 0; round < 20; round++) {
      const uid = await scene.createPod({ name: `new-${round}` })
      assert.is((await store.pod(namespace, `new-${round}`, uid))?.uid, uid)
      await scene.createNad({ name: `new-${round}`, config: { ...bridge, mtu: round } })
      assert.match((await store.nad(namespace, `new-${round}`))?.config ?? '', `"mtu":${round}`)
    }
  })

  it('never takes a pod that was deleted for the one that has its name now', async () => {
    for (let round = 0; round < 200; round++) {
      const uid = await scene.createPod({ name: 'again', networks: `net-${round}` })
      const pod = await store.pod(scene.namespace, 'again', uid)
      assert.is(pod?.uid, uid)
      assert.is(pod?.annotations[NETWORKS], `net-${round}`)
      await scene.deletePod('again')
    }
    await eventually(async () => assert.is(await store.pod(scene.namespace, 'again'), undefined))
  })

  it('says so when the cluster knows no such object, and asks once for all who want it', async () => {
    const { namespace } = scene
    const before = scene.proxy.requests.length
    const lookups = Array.from({ length: 30 }, () => [
      store.pod(namespace, 'none', 'u'),
      store.nad(namespace, 'none'),
    ])
    for (const answer of await Promise.all(lookups.flat())) assert.is(answer, undefined)
    assert.is(asked(before).length, 2)
    // A default network that is a file is looked up as a NAD at every ADD.
    assert.is(await store.nad(namespace, 'none'), undefined)
    assert.is(asked(before).length, 2)
    await scene.createNad({ name: 'none', config: bridge })
    await eventually(async () => assert.is((await store.nad(namespace, 'none'))?.name, 'none'), 2000)
  })

  it("knows a static pod by its manifest's hash", async () => {
    const annotations = { 'kubernetes.io/config.source': 'file', 'kubernetes.io/config.hash': 'abc' }
    const uid = await scene.createPod({ name: 'static', annotations })
    await eventually(async () => {
      const before = scene.proxy.requests.length
      const pod = await store.pod(scene.namespace, 'static', 'abc')
      assert.is(pod?.uid, uid)
      assert.is(pod?.configHash, 'abc')
      assert.equal(asked(before), [])
    })
  })

  it('finds a pod of another node by asking', async () => {
    const uid = await scene.createPod({ name: 'elsewhere', node: 'worker-2' })
    const before = scene.proxy.requests.length
    assert.is((await store.pod(scene.namespace, 'elsewhere', uid))?.uid, uid)
    assert.is(asked(before).length, 1)
  })

  it('keeps of a pod and a NAD only what is read', async () => {
    const { namespace } = scene
    const annotations = { 'example.com/large': 'x'.repeat(1000), 'plexus-cni.io/some': 'ours' }
    const uid = await scene.createPod({ name: 'thin', annotations, labels: { app: 'x' } })
    await scene.createNad({ name: 'thin', config: bridge, annotations })
    await eventually(async () => {
      const before = scene.proxy.requests.length
      const pod = await store.pod(namespace, 'thin', uid)
      const nad = await store.nad(namespace, 'thin')
      assert.equal(asked(before), [])
      const kept = { 'plexus-cni.io/some': 'ours' }
      assert.equal(pod, { namespace, name: 'thin', uid, isStatic: false, annotations: kept })
      assert.equal(Object.keys(nad ?? {}), ['namespace', 'name', 'annotations', 'config', 'resourceVersion'])
      assert.equal(nad?.annotations, kept)
    })
  })

  it('sees that a NAD was changed and deleted', async () => {
    const { namespace } = scene
    await scene.createNad({ name: 'moving', config: bridge })
    await eventually(async () => assert.is((await store.nad(namespace, 'moving'))?.name, 'moving'))
    const copies = (): number => readdirSync(join(store.stateDir, 'nads')).length
    const before = copies()
    await scene.updateNad('moving', { ...bridge, mtu: 9000 })
    await eventually(async () => assert.match((await store.nad(namespace, 'moving'))?.config ?? '', '9000'))
    assert.is(copies(), before)
    await scene.deleteNad('moving')
    await eventually(async () => assert.is(await store.nad(namespace, 'moving'), undefined))
    assert.is(copies(), before - 1)
  })

  it('publishes by one write and no read, and leaves what others wrote', async () => {
    const { namespace } = scene
    const uid = await scene.createPod({ name: 'told', annotations: { 'example.com/other': 'stays' } })
    await eventually(async () => {
      const before = scene.proxy.requests.length
      await store.pod(namespace, 'told', uid)
      assert.equal(asked(before), [])
    })
    const before = scene.proxy.requests.length
    await store.publish({ namespace, name: 'told', uid, containerId: 'c', networkStatus: status })
    assert.equal(asked(before), [`PATCH ${scene.podPath('told')}/status`])
    const { metadata } = await scene.api.ok('GET', scene.podPath('told'))
    assert.is(metadata.annotations['example.com/other'], 'stays')
    assert.equal(JSON.parse(metadata.annotations['k8s.v1.cni.cncf.io/network-status']), status)
    await eventually(async () => assert.equal(await store.networkStatus(namespace, 'told'), status))
  })

  it('publishes nothing on a pod that was made anew, and nothing on one that went', async () => {
    const { namespace } = scene
    const uid = await scene.createPod({ name: 'heir' })
    const blind = await scene.store()
    // Its cache must not learn of what happens now: the write itself is to be refused.
    scene.proxy.fault = ({ isWatch }) => (isWatch ? 'hang' : undefined)
    scene.proxy.freeze()
    try {
      await scene.deletePod('heir')
      const publication = { namespace, name: 'heir', uid, containerId: 'c', networkStatus: status }
      await blind.publish(publication)
      await scene.createPod({ name: 'heir' })
      const before = scene.proxy.requests.length
      await blind.publish(publication)
      const pod = scene.podPath('heir')
      assert.equal(asked(before), [`PATCH ${pod}/status`, `GET ${pod}`])
      const { metadata } = await scene.api.ok('GET', pod)
      assert.is(metadata.annotations, undefined)
    } finally {
      scene.proxy.fault = () => undefined
    }
  })

  it('as a process that ends after one request asks once for each object', async () => {
    const { namespace } = scene
    const uid = await scene.createPod({ name: 'single' })
    const oneShot = await scene.store({ isOneShot: true })
    const before = asked(0).length
    assert.is((await oneShot.pod(namespace, 'single', uid))?.uid, uid)
    assert.is((await oneShot.nad(namespace, 'net-a'))?.name, 'net-a')
    assert.is(asked(0).length - before, 2)
  })

  it('refuses names that could lead elsewhere', async () => {
    for (const name of ['..', 'a/b', 'x?y', 'A']) {
      assert.match((await errorOf(store.pod(scene.namespace, name))).message, name)
      assert.match((await errorOf(store.nad(name, 'net-a'))).message, name)
    }
  })
})
