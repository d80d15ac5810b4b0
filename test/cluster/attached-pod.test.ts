import * as assert from 'uvu/assert'
import { assertAdded, assertDone, assertRefused } from '../plugin/stub-node.ts'
import { eventually, installDaemon } from '../rig/daemon.ts'
import { writeKubeconfig } from '../rig/kubeconfig.ts'
import { podArgs } from '../rig/manifests.ts'
import { type PlexusCall, runPlexus } from '../rig/plexus.ts'
import { debianPlugins } from '../rig/plugin-dirs.ts'
import { journalFiles, leases } from '../rig/state-files.ts'
import { type TestNode, type TestPod, testNode } from '../rig/test-node.ts'
import { spec } from '../spec.ts'
import { askedForPods, type ClusterScene, clusterScene, isFollowed } from './scene.ts'

const STATUS = 'k8s.v1.cni.cncf.io/network-status'

spec('a pod of a real cluster', (it) => {
  let scene: ClusterScene
  let node: TestNode
  let kubeconfig = ''

  it.before(async () => {
    scene = await clusterScene()
    node = await testNode('cluster')
    kubeconfig = writeKubeconfig({
      server: scene.proxy.server,
      ca: scene.api.authority.ca,
      token: 'node-token',
    })
    await scene.createNad({ name: 'net-a', config: node.bridge(91) })
    await scene.createNad({ name: 'net-b', config: node.bridge(92) })
  })
  it.after(() => scene.close())
  it.after.each(() => {
    scene.proxy.fault = () => undefined
  })

  /** The net-conf of a node that reads no manifests. */
  const conf = (overrides: object = {}): object => {
    const { manifests: _, ...rest } = node.conf() as Record<string, unknown>
    return { ...rest, ...overrides }
  }
  const podWith = async (name: string, networks: string): Promise<TestPod> => {
    const uid = await scene.createPod({ name, networks })
    return await node.pod({ name, namespace: scene.namespace, uid, networks })
  }
  const asked = (from: number): string[] =>
    askedForPods(scene, from).map((line) => line.replace(/ .*(?=\/[^/]+\/[^/]+\/status)/, ' '))
  const statusOf = async (name: string): Promise<{ name: string; interface: string }[]> =>
    JSON.parse((await scene.api.ok('GET', scene.podPath(name))).metadata.annotations[STATUS])

  it('asked for again, after its first shim was killed while the API server was slow, keeps its record', async () => {
    const { shim: executable, start } = installDaemon(node, { conf: { kubeconfig } })
    const daemon = await start({ wrap: ['env', 'NODE_NAME=worker-1'] })
    const warm = await podWith('before', '')
    assertAdded(await warm.run('ADD', { executable, conf: conf() }))
    assertDone(await warm.run('DEL', { executable, conf: conf() }))

    // Not followed, so that it is one request.
    const uid = await scene.createPod({ name: 'late', node: 'worker-2', networks: '' })
    const late = await node.pod({ name: 'late', namespace: scene.namespace, uid, networks: '' })
    const isLookup = (path: string): boolean => path.endsWith('/pods/late')
    scene.proxy.fault = ({ path }) => (isLookup(path) ? { delayMs: 2000 } : undefined)
    const adding = late.start('ADD', { executable, conf: conf() })
    await eventually(() => assert.ok(scene.proxy.requests.some(({ path }) => isLookup(path))))
    adding.kill('SIGKILL')
    await adding.finished
    // The cluster is not asked for annotations that the runtime passes.
    const passed = {
      capabilities: { 'io.kubernetes.cri.pod-annotations': true },
      runtimeConfig: { 'io.kubernetes.cri.pod-annotations': {} },
    }
    assertAdded(await late.run('ADD', { executable, conf: conf(passed) }))
    const isLate = ({ pod, command }: Record<string, unknown>): boolean =>
      String(pod).endsWith('/late') && command === 'ADD'
    await eventually(() => assert.is(daemon.log().filter(isLate).length, 2), 20_000)
    assert.equal(journalFiles(node.stateDir), [`${late.containerId}/eth0`])
    assertDone(await late.run('DEL', { executable, conf: conf() }))
    assert.equal(leases(node.leaseDir), [])
    assert.is(await daemon.stop(), 0)
  })

  it('gets its networks by shim and daemon: no read, one write, DEL without the API server', async () => {
    const daemonConf = { kubeconfig }
    const earlier = scene.proxy.requests.length
    const { shim: executable, start } = installDaemon(node, { conf: daemonConf })
    const daemon = await start({ wrap: ['env', 'NODE_NAME=worker-1'] })
    const pod = await podWith('warm', 'net-a,net-b')
    // Both are followed, and the daemon has been told of the pod.
    await eventually(() => {
      assert.ok(scene.proxy.requests.slice(earlier).filter(({ isWatch }) => isWatch).length >= 2)
    })
    await isFollowed(scene, daemon, pod)
    const before = scene.proxy.requests.length
    assertAdded(await pod.run('ADD', { executable, conf: conf() }))
    assert.equal((await pod.netns.links()).map(({ ifname }) => ifname).sort(), ['eth0', 'lo', 'net1', 'net2'])
    // The runtime has its answer before.
    await eventually(async () => {
      assert.equal(
        (await statusOf('warm')).map((entry) => [entry.name, entry.interface]),
        [
          ['default-net', 'eth0'],
          [`${scene.namespace}/net-a`, 'net1'],
          [`${scene.namespace}/net-b`, 'net2'],
        ],
      )
    })
    assert.equal(asked(before), ['PATCH /pods/warm/status'])
    scene.proxy.fault = () => 'hang'
    assertDone(await pod.run('DEL', { executable, conf: conf() }))
    assert.equal(
      (await pod.netns.links()).map(({ ifname }) => ifname),
      ['lo'],
    )
    assert.is(await daemon.stop(), 0)
  })

  it('is undone as it was made, whatever has become of its NADs and of itself', async () => {
    const { shim: executable, start } = installDaemon(node, { conf: { kubeconfig } })
    const daemon = await start({ wrap: ['env', 'NODE_NAME=worker-1'] })
    await scene.createNad({ name: 'changing', config: node.bridge(93) })
    await scene.createNad({ name: 'going', config: node.bridge(94) })
    const pod = await podWith('outlived', 'changing,going')
    assertAdded(await pod.run('ADD', { executable, conf: conf() }))
    await scene.updateNad('changing', { cniVersion: '1.0.0', type: 'no-such-plugin' })
    await scene.deleteNad('going')
    await scene.deletePod('outlived')
    assertDone(await pod.run('DEL', { executable, conf: conf() }))
    assert.equal(
      (await pod.netns.links()).map(({ ifname }) => ifname),
      ['lo'],
    )
    assert.equal(leases(node.leaseDir), [])
    assert.is(await daemon.stop(), 0)
  })

  it('that is deleted, or made anew, while it is attached: the answer is right, nobody is told', async () => {
    const { shim: executable, start } = installDaemon(node, { conf: { kubeconfig } })
    const daemon = await start({ wrap: ['env', 'NODE_NAME=worker-1'] })
    const pod = await podWith('replaced', 'net-a')
    await scene.deletePod('replaced')
    const uid = await scene.createPod({ name: 'replaced' })
    assertRefused(await pod.run('ADD', { executable, conf: conf() }), 11, 'expected pod UID', uid)
    await scene.deletePod('replaced')
    await eventually(async () => {
      assertRefused(await pod.run('ADD', { executable, conf: conf() }), 11, 'not known to the cluster')
    })
    assert.equal(
      (await pod.netns.links()).map(({ ifname }) => ifname),
      ['lo'],
    )
    assert.is(await daemon.stop(), 0)
  })

  it('gets its networks after a restart of the daemon while the API server is away', async () => {
    const { shim: executable, start } = installDaemon(node, { conf: { kubeconfig } })
    const annotations = (networks: string): object => ({
      capabilities: { 'io.kubernetes.cri.pod-annotations': true },
      runtimeConfig: { 'io.kubernetes.cri.pod-annotations': { 'k8s.v1.cni.cncf.io/networks': networks } },
    })
    scene.proxy.fault = () => 'reset'
    scene.proxy.reset()
    const daemon = await start({ wrap: ['env', 'NODE_NAME=worker-1'] })
    const { namespace } = scene
    const pod = await podWith('away', `${namespace}/net-a`)
    // The runtime passes the annotations, the disk has the NAD.
    assertAdded(await pod.run('ADD', { executable, conf: conf(annotations(`${namespace}/net-a`)) }))
    assert.ok((await pod.netns.links()).some(({ ifname }) => ifname === 'net1'))
    assertDone(await pod.run('DEL', { executable, conf: conf() }))
    await eventually(async () => {
      const ready = await daemon.get('/readyz')
      assert.is(ready.status, 200)
      assert.match(ready.body, /ready; .*(hang up|ECONNRESET)/)
    })
    // Neither the pod without its annotations nor a NAD that was never used is made up.
    assertRefused(await pod.run('ADD', { executable, conf: conf() }), 11, 'cannot be asked')
    const other = conf(annotations(`${namespace}/never`))
    assertRefused(await pod.run('ADD', { executable, conf: other }), 11, 'cannot be asked')
    assert.equal(
      (await pod.netns.links()).map(({ ifname }) => ifname),
      ['lo'],
    )
    assert.is(await daemon.stop(), 0)
  })

  it('gets its networks from the cluster that the daemon was told of last', async () => {
    const options = { server: 'https://127.0.0.1:1', ca: scene.api.authority.ca, token: 'node-token' }
    const wrong = writeKubeconfig(options)
    const { shim: executable, configure, start } = installDaemon(node, { conf: { kubeconfig: wrong } })
    const daemon = await start({ wrap: ['env', 'NODE_NAME=worker-1'] })
    const pod = await podWith('moved', 'net-a')
    assertRefused(await pod.run('ADD', { executable, conf: conf() }), 11, 'ECONNREFUSED')
    configure({ kubeconfig })
    await eventually(async () => assertAdded(await pod.run('ADD', { executable, conf: conf() })), 30_000)
    await eventually(async () => assert.is((await daemon.get('/readyz')).body.trim(), 'ready'))
    assertDone(await pod.run('DEL', { executable, conf: conf() }))
    assert.is(await daemon.stop(), 0)
  })

  it('gets its networks from the standalone plugin, one read for each object and one write', async () => {
    // In the machine's own namespace, from which the API server is reached: nothing is made there.
    const loopback = { cniVersion: '1.0.0', name: 'inner', type: 'loopback' }
    await scene.createNad({ name: 'inner', config: loopback })
    const pod = await podWith('alone', 'inner')
    const call = (delegate: object, from: string): PlexusCall => ({
      conf: conf({ kubeconfig: from, delegates: [delegate] }),
      containerId: pod.containerId,
      netns: pod.netns,
      ifName: 'eth0',
      args: podArgs(pod.manifest, pod.containerId),
      path: [debianPlugins()],
    })
    const before = scene.proxy.requests.length
    assertAdded(await runPlexus('ADD', call({ ...loopback, name: 'outer' }, kubeconfig)))
    assert.equal(
      asked(before).map((line) => line.split('/')[0]?.trim()),
      ['GET', 'GET', 'PATCH'],
    )
    assert.equal(
      (await statusOf('alone')).map((entry) => entry.name),
      ['outer', `${scene.namespace}/inner`],
    )
    scene.proxy.fault = () => 'hang'
    assertDone(await runPlexus('DEL', call(loopback, '/absent')))
    assertRefused(await runPlexus('ADD', call(loopback, '/absent')), 11, '/absent')
  })
})
