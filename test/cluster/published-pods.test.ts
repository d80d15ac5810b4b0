import { fileURLToPath } from 'node:url'
import * as assert from 'uvu/assert'
import { openJournalDir } from '../../src/journal/journal.ts'
import { assertAdded, assertDone, assertRefused } from '../plugin/stub-node.ts'
import type { ProxyFault } from '../rig/api-proxy.ts'
import { eventually, type Installation, installDaemon, type TestDaemon } from '../rig/daemon.ts'
import type { PodOptions } from '../rig/manifests.ts'
import type { TestPod } from '../rig/test-node.ts'
import { spec } from '../spec.ts'
import { type ClusterNode, type ClusterScene, clusterNode, clusterScene } from './scene.ts'

const STATUS = 'k8s.v1.cni.cncf.io/network-status'
const READY = 'plexus-cni.io/NetworksReady'

interface Condition {
  readonly type: string
  readonly status: string
  readonly reason: string
}

spec('published pods', (it) => {
  let scene: ClusterScene
  let node: ClusterNode

  it.before(async () => {
    scene = await clusterScene()
    node = await clusterNode(scene)
    await scene.createNad({ name: 'alpha-net', config: { cniVersion: '1.0.0', type: 'alpha' } })
  })
  it.after(() => scene.close())
  it.after.each(() => {
    scene.proxy.fault = () => undefined
  })

  const podOf = (
    name: string,
    installation: Installation,
    networks: PodOptions['networks'] = 'alpha-net',
  ): Promise<TestPod> => node.podOf(installation, { name, networks })
  const object = async (name: string) => await scene.api.ok('GET', scene.podPath(name))
  const shown = async (name: string): Promise<string[] | undefined> => {
    const text = (await object(name)).metadata.annotations?.[STATUS]
    return text === undefined
      ? undefined
      : JSON.parse(text).map(({ interface: ifName }: { interface: string }) => ifName)
  }
  const readyOf = async (name: string): Promise<string | undefined> => {
    const conditions: Condition[] = (await object(name)).status.conditions ?? []
    const ready = conditions.find(({ type }) => type === READY)
    return ready && `${ready.status} ${ready.reason}`
  }
  const isShown = (name: string, timeoutMs = 20_000): Promise<void> =>
    eventually(async () => assert.equal(await shown(name), ['eth0', 'net1']), timeoutMs)
  const isRecorded = ({ containerId }: TestPod): boolean | undefined => {
    const lookup = openJournalDir(node.stateDir).lookup({ containerId, ifName: 'eth0' })
    return 'record' in lookup ? lookup.record.isPublished : undefined
  }
  const writesOf = (name: string): number =>
    scene.proxy.requests.filter(({ method, path }) => method === 'PATCH' && path.includes(`/${name}/`)).length
  const onWrites = (fault: ProxyFault) => {
    scene.proxy.fault = ({ method }) => (method === 'PATCH' ? fault : undefined)
  }
  const seriesOf = async (daemon: TestDaemon, series: string): Promise<number> => {
    const line = (await daemon.get('/metrics')).body.split('\n').find((text) => text.startsWith(`${series} `))
    return Number(line?.slice(series.length) ?? 0)
  }

  it('are told of by the next daemon when the first was killed, once', async () => {
    const installation = node.install()
    const first = await node.start(installation)
    const pod = await podOf('killed', installation)
    onWrites('hang')
    const begin = performance.now()
    assertAdded(await pod.run('ADD'))
    assert.ok(performance.now() - begin < 5000)
    await eventually(() => assert.is(writesOf('killed'), 1))
    await eventually(async () => assert.is(await seriesOf(first, 'plexus_publications_pending'), 1))
    first.kill('SIGKILL')
    await first.ended
    assert.is(isRecorded(pod), false)
    scene.proxy.fault = () => undefined
    const second = await node.start(installation)
    await isShown('killed')
    await eventually(() => assert.is(isRecorded(pod), true))
    assert.is(await readyOf('killed'), 'True NetworksAttached')
    await eventually(async () => {
      assert.is(await seriesOf(second, 'plexus_publications_pending'), 0)
      assert.is(await seriesOf(second, 'plexus_publications_total{outcome="published"}'), 1)
    })
    assert.is(await second.stop(), 0)
    const before = writesOf('killed')
    const third = await node.start(installation)
    assert.is(writesOf('killed'), before)
    assertDone(await pod.run('DEL'))
    assert.is(await third.stop(), 0)
  })

  it('are told of again when somebody has taken the status away, also while no daemon ran', async () => {
    const installation = node.install()
    const first = await node.start(installation)
    const pod = await podOf('robbed', installation)
    assertAdded(await pod.run('ADD'))
    await isShown('robbed')
    const take = async (): Promise<void> =>
      void (await scene.api.ok('PATCH', `${scene.podPath('robbed')}/status`, {
        metadata: { annotations: { [STATUS]: null } },
      }))
    await take()
    await isShown('robbed')
    assert.is(await first.stop(), 0)
    await take()
    const second = await node.start(installation)
    await isShown('robbed')
    // What somebody has written stays.
    const theirs = { metadata: { annotations: { [STATUS]: '[{"interface":"theirs"}]' } } }
    await scene.api.ok('PATCH', `${scene.podPath('robbed')}/status`, theirs)
    assert.is(await second.stop(), 0)
    const third = await node.start(installation)
    await new Promise((resolve) => setTimeout(resolve, 1500))
    assert.equal(await shown('robbed'), ['theirs'])
    assertDone(await pod.run('DEL'))
    assert.is(await third.stop(), 0)
  })

  it('are told why they have no networks, and that they have them at last', async () => {
    const installation = node.install()
    const daemon = await node.start(installation)
    const pod = await podOf('failing', installation)
    node.behave(node.alpha, { add: { error: { code: 120, msg: 'no free device' } } })
    for (let round = 0; round < 3; round++) {
      assertRefused(await pod.run('ADD'), 120, 'no free device')
      assertDone(await pod.run('DEL'))
    }
    await eventually(async () => assert.is(await readyOf('failing'), 'False DelegateFailed'))
    const eventsOf = async (): Promise<{ reason: string; message: string }[]> => {
      const query = 'fieldSelector=involvedObject.name%3Dfailing'
      return (await scene.api.ok('GET', `/api/v1/namespaces/${scene.namespace}/events?${query}`)).items
    }
    await eventually(async () => assert.is((await eventsOf()).length, 1))
    const [failure] = await eventsOf()
    assert.is(failure?.reason, 'NetworkAttachFailed')
    assert.match(failure?.message ?? '', /failing.*alpha-net.*no free device/)
    assert.is(writesOf('failing'), 1)
    node.behave(node.alpha, {})
    assertAdded(await pod.run('ADD'))
    await isShown('failing')
    assert.is(await readyOf('failing'), 'True NetworksAttached')
    await eventually(async () => {
      const told = (await eventsOf()).find(({ reason }) => reason === 'NetworksAttached')
      assert.match(told?.message ?? '', /eth0 .*net1 .*alpha-net/)
    })
    // The API server has an event before its sender is told so.
    await eventually(async () => {
      assert.is(await seriesOf(daemon, 'plexus_events_total{outcome="sent"}'), 2)
      assert.is(await seriesOf(daemon, 'plexus_events_total{outcome="suppressed"}'), 2)
    })
    assertDone(await pod.run('DEL'))
    assert.is(await daemon.stop(), 0)
  })

  it('wait for their networks by a readiness gate, and are told of them beside what the kubelet tells', async () => {
    const installation = node.install()
    const daemon = await node.start(installation)
    const pod = await node.podOf(installation, {
      ...{ name: 'gated', networks: 'alpha-net' },
      spec: { readinessGates: [{ conditionType: READY }] },
    })
    const conditionsOf = async (): Promise<Condition[]> => (await object('gated')).status.conditions ?? []
    /** As the kubelet decides it: a gate whose condition is not there is closed. */
    const isOpen = async (): Promise<boolean> => {
      const { readinessGates } = (await object('gated')).spec
      const conditions = await conditionsOf()
      return readinessGates.every(({ conditionType }: { conditionType: string }) =>
        conditions.some(({ type, status }) => type === conditionType && status === 'True'),
      )
    }
    /** The kubelet's own way to write a status. */
    const tell = async (status: string): Promise<void> =>
      void (await scene.api.ok(
        'PATCH',
        `${scene.podPath('gated')}/status`,
        { status: { conditions: ['Initialized', 'ContainersReady'].map((type) => ({ type, status })) } },
        { contentType: 'application/strategic-merge-patch+json' },
      ))
    assert.is(await isOpen(), false)
    await tell('False')
    node.behave(node.alpha, { add: { error: { code: 120, msg: 'no free device' } } })
    assertRefused(await pod.run('ADD'), 120)
    await eventually(async () => assert.is(await readyOf('gated'), 'False DelegateFailed'))
    assert.is(await isOpen(), false)
    node.behave(node.alpha, {})
    assertAdded(await pod.run('ADD'))
    await eventually(async () => assert.is(await isOpen(), true))
    await tell('True')
    assert.is(await isOpen(), true)
    assert.equal((await conditionsOf()).map(({ type, status }) => `${type} ${status}`).sort(), [
      ...['ContainersReady True', 'Initialized True', `${READY} True`],
    ])
    assertDone(await pod.run('DEL'))
    assert.is(await daemon.stop(), 0)
  })

  it('stay ready when a second ADD of the container fails before it has done anything', async () => {
    const installation = node.install()
    const daemon = await node.start(installation)
    const pod = await podOf('twice', installation)
    assertAdded(await pod.run('ADD'))
    await isShown('twice')
    const broken = { ...node.netConf(), delegates: 'none' }
    assertRefused(await pod.run('ADD', { conf: broken }), 7, 'delegates')
    // An event is sent when no pod's status is left to be written.
    await eventually(async () => {
      const query = 'fieldSelector=involvedObject.name%3Dtwice,reason%3DNetworkAttachFailed'
      const path = `/api/v1/namespaces/${scene.namespace}/events?${query}`
      assert.is((await scene.api.ok('GET', path)).items.length, 1)
    })
    assert.is(await readyOf('twice'), 'True NetworksAttached')
    assertDone(await pod.run('DEL'))
    assert.is(await daemon.stop(), 0)
  })

  it('are told of their failure in the cluster that their request was about', async () => {
    const installation = installDaemon(node)
    const daemon = await installation.start({ wrap: ['env', 'NODE_NAME=worker-1'] })
    const pod = await podOf('elsewhere', installation)
    const other = await node.pod({ name: 'manifested', networks: 'beta-net' })
    const calls = node.alpha.calls().filter(({ command }) => command === 'ADD').length
    const error = { code: 120, msg: 'no free device' }
    node.behave(node.alpha, { add: { blockBefore: 'other', error } })
    const failing = pod.run('ADD', { conf: { ...node.netConf(), kubeconfig: node.kubeconfig } })
    await node.alpha.reached(calls + 1, 'ADD')
    // What the runtime passes by now is about no API server.
    assertAdded(await other.run('ADD', { executable: installation.shim }))
    node.alpha.release('other')
    assertRefused(await failing, 120, 'no free device')
    node.behave(node.alpha, {})
    await eventually(async () => assert.is(await readyOf('elsewhere'), 'False DelegateFailed'))
    assertDone(await other.run('DEL', { executable: installation.shim }))
    assert.is(await daemon.stop(), 0)
  })

  for (const isAnew of [false, true]) {
    const who = isAnew ? 'a pod made anew' : 'the pod'
    it(`the last sandbox of ${who} is told of after a restart, however the clock was set meanwhile`, async () => {
      const name = isAnew ? 'anew' : 'resandboxed'
      const preload = fileURLToPath(new URL('../fixtures/clock/ahead.cjs', import.meta.url))
      const installation = node.install()
      const first = await node.start(installation, `NODE_OPTIONS=--require=${preload}`)
      const before = await podOf(name, installation)
      assertAdded(await before.run('ADD'))
      await isShown(name)
      assert.is(await first.stop(), 0)

      if (isAnew) await scene.deletePod(name)
      else {
        const annotations = { 'k8s.v1.cni.cncf.io/networks': 'alpha-net@later' }
        await scene.api.ok('PATCH', scene.podPath(name), { metadata: { annotations } })
      }
      const second = await node.start(installation)
      const uid = (await scene.api.call('GET', scene.podPath(name))).body.metadata?.uid
      const after = await node.podOf(installation, {
        ...{ name, networks: 'alpha-net@later' },
        ...(isAnew ? {} : { uid }),
      })
      onWrites('hang')
      assertAdded(await after.run('ADD'))
      await eventually(async () => assert.is(await seriesOf(second, 'plexus_publications_pending'), 1))
      second.kill('SIGKILL')
      await second.ended
      scene.proxy.fault = () => undefined

      const third = await node.start(installation)
      await eventually(async () => assert.equal(await shown(name), ['eth0', 'later']))
      await eventually(() => assert.is(isRecorded(after), true))
      for (const pod of [before, after]) assertDone(await pod.run('DEL'))
      assert.is(await third.stop(), 0)
    })
  }

  it('are told which optional networks they go without', async () => {
    const installation = node.install()
    const daemon = await node.start(installation)
    await scene.createNad({ name: 'beta-net', config: { cniVersion: '1.0.0', type: 'beta' } })
    const optional = { 'io.plexus-cni.optional': true }
    const pod = await podOf('partial', installation, [
      { name: 'absent', ...optional },
      { name: 'alpha-net' },
      { name: 'beta-net', ...optional },
    ])
    node.behave(node.beta, { add: { error: { code: 120, msg: 'no free device' } } })
    assertAdded(await pod.run('ADD'))
    await eventually(async () => assert.is(await readyOf('partial'), 'True OptionalNetworksMissing'))
    const { message } = (await object('partial')).status.conditions.find(
      ({ type }: { type: string }) => type === READY,
    )
    assert.match(message, /absent.*; .*beta-net.*no free device/)
    assert.equal((await shown('partial'))?.length, 2)
    assertDone(await pod.run('DEL'))
    assert.is(await daemon.stop(), 0)
  })

  it('are waited for as long as publishWait says', async () => {
    const installation = node.install({ publishWait: 10 })
    const daemon = await node.start(installation)
    const patient = await podOf('patient', installation)
    onWrites({ delayMs: 700 })
    assertAdded(await patient.run('ADD'))
    assert.equal(await shown('patient'), ['eth0', 'net1'])
    installation.configure({ kubeconfig: node.kubeconfig, publishWait: 0.3 })
    await eventually(() => assert.ok(daemon.log().some(({ msg }) => msg === 'configuration taken over')))
    const hasty = await podOf('hasty', installation)
    onWrites('hang')
    const begin = performance.now()
    assertAdded(await hasty.run('ADD'))
    assert.ok(performance.now() - begin < 5000)
    assert.is(await shown('hasty'), undefined)
    for (const pod of [patient, hasty]) assertDone(await pod.run('DEL'))
    assert.is(await daemon.stop(), 0)
  })

  it('are not told of after their DEL', async () => {
    const installation = node.install()
    const daemon = await node.start(installation)
    const pod = await podOf('gone', installation)
    onWrites('reset')
    assertAdded(await pod.run('ADD'))
    await eventually(() => assert.ok(writesOf('gone') > 0))
    // Nor after one that has failed.
    node.behave(node.alpha, { del: { error: { code: 120, msg: 'busy' } } })
    assertRefused(await pod.run('DEL'), 120, 'busy')
    await eventually(async () => assert.is(await seriesOf(daemon, 'plexus_publications_pending'), 0))
    node.behave(node.alpha, {})
    assertDone(await pod.run('DEL'))
    await eventually(async () => assert.is(await seriesOf(daemon, 'plexus_publications_pending'), 0))
    const before = writesOf('gone')
    scene.proxy.fault = () => undefined
    const other = await podOf('other', installation)
    assertAdded(await other.run('ADD'))
    await isShown('other')
    assert.is(writesOf('gone'), before)
    assert.is(await shown('gone'), undefined)
    assertDone(await other.run('DEL'))
    assert.is(await daemon.stop(), 0)
  })

  it('go while they are attached: the ADD succeeds, and nobody is told', async () => {
    const installation = node.install()
    const daemon = await node.start(installation)
    const pod = await podOf('leaving', installation)
    const calls = node.alpha.calls().filter(({ command }) => command === 'ADD').length
    node.behave(node.alpha, { add: { blockBefore: 'deleted' } })
    const slow = pod.run('ADD')
    await node.alpha.reached(calls + 1, 'ADD')
    await scene.deletePod('leaving')
    const uid = await scene.createPod({ name: 'leaving' })
    node.alpha.release('deleted')
    assertAdded(await slow)
    node.behave(node.alpha, {})
    await eventually(async () =>
      assert.is(await seriesOf(daemon, 'plexus_publications_total{outcome="gone"}'), 1),
    )
    assert.is((await object('leaving')).metadata.uid, uid)
    assert.is(await shown('leaving'), undefined)
    assert.is(await readyOf('leaving'), undefined)
    assertDone(await pod.run('DEL'))
    assert.is(await daemon.stop(), 0)
  })

  it('are told of by one of two daemons', async () => {
    const installation = node.install()
    const first = await node.start(installation)
    const pod = await podOf('shared', installation)
    onWrites('reset')
    assertAdded(await pod.run('ADD'))
    await eventually(async () => assert.is(await seriesOf(first, 'plexus_publications_pending'), 1))
    const second = await node.start(installation)
    // The first one answers at its endpoints no more.
    await eventually(async () => assert.is(await seriesOf(second, 'plexus_publications_pending'), 1), 20_000)
    scene.proxy.fault = () => undefined
    const before = writesOf('shared')
    await isShown('shared', 20_000)
    assert.is(writesOf('shared') - before, 1)
    assert.is(await first.stop(), 0)
    assertDone(await pod.run('DEL'))
    assert.is(await second.stop(), 0)
  })

  it('are attached and detached while the API server is stopped, and told of when it is back', async () => {
    const installation = node.install()
    const daemon = await node.start(installation)
    const before = await podOf('before', installation)
    const during = await podOf('during', installation)
    const after = await podOf('after', installation)
    // Known to the daemon, the NAD as well.
    assertAdded(await after.run('ADD'))
    await isShown('after')
    const calls = node.alpha.calls().filter(({ command }) => command === 'ADD').length
    node.behave(node.alpha, { add: { blockBefore: 'stopped' } })
    const slow = during.run('ADD')
    await node.alpha.reached(calls + 1, 'ADD')
    await scene.api.stop('SIGKILL')
    node.alpha.release('stopped')
    assertAdded(await slow)
    node.behave(node.alpha, {})
    assertAdded(await before.run('ADD'))
    assertDone(await after.run('DEL'))
    await eventually(async () => assert.is(await seriesOf(daemon, 'plexus_publications_pending'), 2))
    await scene.api.start()
    await isShown('before', 40_000)
    await isShown('during', 40_000)
    for (const pod of [before, during]) assertDone(await pod.run('DEL'))
    assert.is(await daemon.stop(), 0)
  })
})
