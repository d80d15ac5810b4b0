import * as assert from 'uvu/assert'
import { openJournalDir } from '../../src/journal/journal.ts'
import { assertAdded, assertDone, assertRefused, type StubNode, stubNode } from '../plugin/stub-node.ts'
import type { ProxyFault } from '../rig/api-proxy.ts'
import { eventually, type Installation, installDaemon, type TestDaemon } from '../rig/daemon.ts'
import { writeKubeconfig } from '../rig/kubeconfig.ts'
import type { PodOptions } from '../rig/manifests.ts'
import type { TestPod } from '../rig/test-node.ts'
import { spec } from '../spec.ts'
import { type ClusterScene, clusterScene } from './scene.ts'

const STATUS = 'k8s.v1.cni.cncf.io/network-status'
const READY = 'plexus-cni.io/NetworksReady'
const NODE = ['env', 'NODE_NAME=worker-1']

spec('published pods', (it) => {
  let scene: ClusterScene
  let node: StubNode
  let kubeconfig = ''

  it.before(async () => {
    scene = await clusterScene()
    node = await stubNode()
    const { proxy, api } = scene
    kubeconfig = writeKubeconfig({ server: proxy.server, ca: api.authority.ca, token: 'node-token' })
    await scene.createNad({ name: 'alpha-net', config: { cniVersion: '1.0.0', type: 'alpha' } })
  })
  it.after(() => scene.close())
  it.after.each(() => {
    scene.proxy.fault = () => undefined
  })

  const install = (conf: object = {}): Installation => installDaemon(node, { conf: { kubeconfig, ...conf } })
  const startOf = async ({ start }: Installation): Promise<TestDaemon> => {
    const before = watches()
    const daemon = await start({ wrap: NODE })
    await eventually(() => assert.ok(watches() >= before + 2))
    return daemon
  }
  const watches = (): number => scene.proxy.requests.filter(({ isWatch }) => isWatch).length
  /** A pod whose calls go to the shim. */
  const podOf = async (
    name: string,
    { shim: executable }: Installation,
    networks: PodOptions['networks'] = 'alpha-net',
  ): Promise<TestPod> => {
    const uid = await scene.createPod({ name, ...(networks === undefined ? {} : { networks }) })
    const pod = await node.pod({ name, namespace: scene.namespace, uid })
    const { manifests: _, ...conf } = node.conf() as Record<string, unknown>
    const call = { executable, conf }
    return {
      ...pod,
      run: (command, overrides) => pod.run(command, { ...call, ...overrides }),
      start: (command, overrides) => pod.start(command, { ...call, ...overrides }),
    }
  }
  const object = async (name: string) => await scene.api.ok('GET', scene.podPath(name))
  const shown = async (name: string): Promise<string[] | undefined> => {
    const text = (await object(name)).metadata.annotations?.[STATUS]
    return text === undefined
      ? undefined
      : JSON.parse(text).map(({ interface: ifName }: { interface: string }) => ifName)
  }
  const readyOf = async (name: string): Promise<string | undefined> => {
    const conditions: { type: string; status: string; reason: string }[] =
      (await object(name)).status.conditions ?? []
    const ready = conditions.find(({ type }) => type === READY)
    return ready && `${ready.status} ${ready.reason}`
  }
  const isShown = (name: string, timeoutMs = 10_000): Promise<void> =>
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
    const installation = install()
    const first = await startOf(installation)
    const pod = await podOf('killed', installation)
    onWrites('hang')
    const begin = performance.now()
    assertAdded(await pod.run('ADD'))
    assert.ok(performance.now() - begin < 5000)
    await eventually(() => assert.is(writesOf('killed'), 1))
    assert.is(await seriesOf(first, 'plexus_publications_pending'), 1)
    first.kill('SIGKILL')
    await first.ended
    assert.is(isRecorded(pod), false)
    scene.proxy.fault = () => undefined
    const second = await startOf(installation)
    await isShown('killed')
    await eventually(() => assert.is(isRecorded(pod), true))
    assert.is(await readyOf('killed'), 'True NetworksAttached')
    assert.is(await seriesOf(second, 'plexus_publications_pending'), 0)
    assert.is(await seriesOf(second, 'plexus_publications_total{outcome="published"}'), 1)
    assert.is(await second.stop(), 0)
    const before = writesOf('killed')
    const third = await startOf(installation)
    assert.is(writesOf('killed'), before)
    assertDone(await pod.run('DEL'))
    assert.is(await third.stop(), 0)
  })

  it('are told of again when somebody has taken the status away, also while no daemon ran', async () => {
    const installation = install()
    const first = await startOf(installation)
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
    const second = await startOf(installation)
    await isShown('robbed')
    // What somebody has written stays.
    const theirs = { metadata: { annotations: { [STATUS]: '[{"interface":"theirs"}]' } } }
    await scene.api.ok('PATCH', `${scene.podPath('robbed')}/status`, theirs)
    assert.is(await second.stop(), 0)
    const third = await startOf(installation)
    await new Promise((resolve) => setTimeout(resolve, 1500))
    assert.equal(await shown('robbed'), ['theirs'])
    assertDone(await pod.run('DEL'))
    assert.is(await third.stop(), 0)
  })

  it('are told why they have no networks, and that they have them at last', async () => {
    const installation = install()
    const daemon = await startOf(installation)
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
    }, 10_000)
    assert.is(await seriesOf(daemon, 'plexus_events_total{outcome="sent"}'), 2)
    assert.is(await seriesOf(daemon, 'plexus_events_total{outcome="suppressed"}'), 2)
    assertDone(await pod.run('DEL'))
    assert.is(await daemon.stop(), 0)
  })

  it('are told which optional networks they go without', async () => {
    const installation = install()
    const daemon = await startOf(installation)
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
    const installation = install({ publishWait: 10 })
    const daemon = await startOf(installation)
    const patient = await podOf('patient', installation)
    onWrites({ delayMs: 700 })
    assertAdded(await patient.run('ADD'))
    assert.equal(await shown('patient'), ['eth0', 'net1'])
    installation.configure({ kubeconfig, publishWait: 0.3 })
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
    const installation = install()
    const daemon = await startOf(installation)
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
    const installation = install()
    const daemon = await startOf(installation)
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
    const installation = install()
    const first = await startOf(installation)
    const pod = await podOf('shared', installation)
    onWrites('reset')
    assertAdded(await pod.run('ADD'))
    await eventually(async () => assert.is(await seriesOf(first, 'plexus_publications_pending'), 1))
    const second = await startOf(installation)
    await eventually(async () => {
      assert.is(await seriesOf(first, 'plexus_publications_pending'), 0)
      assert.is(await seriesOf(second, 'plexus_publications_pending'), 1)
    }, 20_000)
    scene.proxy.fault = () => undefined
    const before = writesOf('shared')
    await isShown('shared', 20_000)
    assert.is(writesOf('shared') - before, 1)
    assert.is(await first.stop(), 0)
    assertDone(await pod.run('DEL'))
    assert.is(await second.stop(), 0)
  })

  it('are attached and detached while the API server is stopped, and told of when it is back', async () => {
    const installation = install()
    const daemon = await startOf(installation)
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
    assert.is(await seriesOf(daemon, 'plexus_publications_pending'), 2)
    await scene.api.start()
    await isShown('before', 40_000)
    await isShown('during', 40_000)
    for (const pod of [before, during]) assertDone(await pod.run('DEL'))
    assert.is(await daemon.stop(), 0)
  })
})
