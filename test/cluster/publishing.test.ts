import * as assert from 'uvu/assert'
import { CniError } from '../../src/cni/cni-error.ts'
import { CniErrorCode } from '../../src/cni/codes.ts'
import type { NetworkStatusEntry } from '../../src/network/network-status.ts'
import type { FailedAttempt, Publication } from '../../src/store/cluster-store.ts'
import type { RecordKey } from '../../src/store/publications.ts'
import type { ProxyFault } from '../rig/api-proxy.ts'
import { eventually } from '../rig/daemon.ts'
import { spec } from '../spec.ts'
import { type ClusterScene, clusterScene, PUBLISHING_LIMITS, refusal, type SceneStore } from './scene.ts'

const STATUS = 'k8s.v1.cni.cncf.io/network-status'
const READY = 'plexus-cni.io/NetworksReady'

const statusOf = (address: string): NetworkStatusEntry[] => [
  { name: 'default-net', interface: 'eth0', ips: [address], default: true, dns: {} },
  { name: 'telco/n6', interface: 'net1', ips: ['10.6.0.7', 'fd00:6::7'], default: false, dns: {} },
]

interface Condition {
  readonly type: string
  readonly status: string
  readonly reason: string
  readonly message?: string
  readonly lastTransitionTime: string
}

/** What an API server may do to a write; `arrives`: it does all the same. */
const FAULTS: readonly { name: string; fault: ProxyFault; says: RegExp; arrives?: 'once' | 'late' }[] = [
  { name: '401', fault: refusal(401, 'Unauthorized'), says: /401/ },
  { name: '403', fault: refusal(403, 'Forbidden'), says: /403/ },
  { name: '409', fault: refusal(409, 'Conflict'), says: /refused for this pod/ },
  { name: '410', fault: refusal(410, 'Expired'), says: /410/ },
  { name: '422', fault: refusal(422, 'Invalid'), says: /refused for this pod/ },
  { name: '429', fault: refusal(429, 'TooManyRequests', { 'retry-after': '1' }), says: /429/ },
  { name: '500', fault: refusal(500, 'InternalError'), says: /500/ },
  { name: "a proxy's 404", fault: { status: 404, body: 'page not found' }, says: /404/ },
  { name: "a proxy's page", fault: { status: 200, body: '<html>' }, says: /no JSON/ },
  { name: 'cut-off JSON', fault: { cutAfterBytes: 60 }, says: /cut off/, arrives: 'once' },
  { name: 'a reset', fault: 'reset', says: /hang up|ECONNRESET/ },
  { name: 'silence', fault: 'hang', says: /no whole answer within/ },
  { name: 'an answer that is too late', fault: { delayMs: 3000 }, says: /no whole answer/, arrives: 'late' },
]

spec('publishing', (it) => {
  let scene: ClusterScene
  let store: SceneStore
  const restored: RecordKey[] = []

  it.before(async () => {
    scene = await clusterScene()
    store = await scene.store({
      publishing: { restore: (record) => restored.push(record) },
      limits: { publishMs: 1500 },
    })
  })
  it.after(() => scene.close())
  it.after.each(() => {
    scene.proxy.fault = () => undefined
  })

  const publication = (name: string, uid: string, more: Partial<Publication> = {}): Publication => ({
    ...{ namespace: scene.namespace, name, uid, containerId: `c-${name}` },
    networkStatus: statusOf('10.1.0.2'),
    ...more,
  })
  /** Resolves when it is settled: whether nothing is left to do. */
  const publish = (given: Publication, from: SceneStore = store): Promise<boolean> =>
    new Promise((resolve, reject) => {
      from.publish(given, { ifName: 'eth0', settled: resolve }).then((outcome) => {
        if (outcome !== 'later') reject(new Error(outcome))
      }, reject)
    })
  const again = (given: Publication, from: SceneStore = store): Promise<boolean> =>
    new Promise((resolve) => from.publisher?.publishAgain(given, { ifName: 'eth0', settled: resolve }))
  const within = <T>(promise: Promise<T>, ms = 20_000): Promise<T> => {
    const { promise: late, reject } = Promise.withResolvers<never>()
    const timer = setTimeout(() => reject(new Error(`not settled within ${ms} ms`)), ms)
    return Promise.race([promise, late]).finally(() => clearTimeout(timer))
  }
  const podOf = async (name: string) => await scene.api.ok('GET', scene.podPath(name))
  const shown = async (name: string): Promise<unknown> => {
    const text = (await podOf(name)).metadata.annotations?.[STATUS]
    return text === undefined ? undefined : JSON.parse(text)
  }
  const conditionOf = async (name: string): Promise<Condition | undefined> =>
    (await podOf(name)).status.conditions?.find(({ type }: Condition) => type === READY)
  const annotate = async (name: string, value: string | null): Promise<void> =>
    void (await scene.api.ok('PATCH', `${scene.podPath(name)}/status`, {
      metadata: { annotations: { [STATUS]: value } },
    }))
  const writesOf = (name: string, from = 0): string[] =>
    scene.proxy.requests
      .slice(from)
      .filter(({ method, path }) => method === 'PATCH' && path.includes(`/${name}/status`))
      .map(({ method }) => method)
  const onWrites = (fault: ProxyFault) => {
    scene.proxy.fault = ({ method }) => (method === 'PATCH' ? fault : undefined)
  }
  const known = async (name: string, uid: string): Promise<void> =>
    await eventually(() => assert.is(store.statusMark?.(scene.namespace, name), '', uid))
  const eventsOf = async (name: string) =>
    (
      await scene.api.ok(
        'GET',
        `/api/v1/namespaces/${scene.namespace}/events?fieldSelector=involvedObject.name%3D${name}`,
      )
    ).items

  it('writes annotation and condition by one request, beside what others wrote', async () => {
    const { namespace } = scene
    const uid = await scene.createPod({ name: 'both', annotations: { 'example.com/other': 'stays' } })
    await scene.api.ok('PATCH', `${scene.podPath('both')}/status`, {
      status: { conditions: [{ type: 'example.com/Other', status: 'True' }] },
    })
    await known('both', uid)
    const before = scene.proxy.requests.length
    const time = '2026-01-02T03:04:05.678Z'
    assert.is(await within(publish(publication('both', uid, { time }))), true)
    assert.equal(
      scene.proxy.requests
        .slice(before)
        .filter(({ isWatch }) => !isWatch)
        .map(({ method, path }) => `${method} ${path}`),
      [`PATCH ${scene.podPath('both')}/status`],
    )
    const { metadata, status } = await podOf('both')
    assert.is(metadata.annotations['example.com/other'], 'stays')
    assert.equal(JSON.parse(metadata.annotations[STATUS]), statusOf('10.1.0.2'))
    assert.equal(
      status.conditions.map(({ type, status, reason }: Condition) => [type, status, reason]).sort(),
      [
        ['example.com/Other', 'True', undefined],
        [READY, 'True', 'NetworksAttached'],
      ],
    )
    assert.is((await conditionOf('both'))?.lastTransitionTime, '2026-01-02T03:04:05Z')
    await eventually(async () => {
      const [event, ...more] = await eventsOf('both')
      assert.equal(more, [])
      assert.equal([event.type, event.reason, event.count], ['Normal', 'NetworksAttached', 1])
      assert.is(event.message, 'eth0 10.1.0.2 (default-net); net1 10.6.0.7 fd00:6::7 (telco/n6)')
      assert.equal(event.involvedObject, { apiVersion: 'v1', kind: 'Pod', namespace, name: 'both', uid })
    })
  })

  it('a pod without an optional network is ready, and told of by one event', async () => {
    const uid = await scene.createPod({ name: 'partial' })
    const missing = ['network "probe" (NAD telco/probe): no such device']
    assert.is(await within(publish(publication('partial', uid, { missing }))), true)
    const condition = await conditionOf('partial')
    assert.equal([condition?.status, condition?.reason], ['True', 'OptionalNetworksMissing'])
    assert.match(condition?.message ?? '', 'no such device')
    await eventually(async () => {
      const events = await eventsOf('partial')
      assert.equal(
        events.map(({ type, reason }: { type: string; reason: string }) => `${type} ${reason}`),
        ['Warning OptionalNetworksMissing'],
      )
      assert.match(events[0].message, /no such device.*eth0 10\.1\.0\.2/)
    })
  })

  for (const { name, fault, says, arrives } of FAULTS) {
    it(`goes on after ${name}, and nobody waits for it`, async () => {
      const pod = `fault-${FAULTS.findIndex((other) => other.name === name)}`
      const uid = await scene.createPod({ name: pod })
      await known(pod, uid)
      onWrites(fault)
      const before = scene.proxy.requests.length
      const warned = store.warnings.length
      const done = publish(publication(pod, uid))
      if (arrives !== undefined) {
        assert.is(await within(done), true)
        // It was seen that it had arrived.
        if (arrives === 'once') assert.is(writesOf(pod, before).length, 1)
      } else {
        // A write that is refused is tried again at once, before anything is said.
        await eventually(() => {
          assert.ok(writesOf(pod, before).length >= 2)
          assert.match(store.warnings.slice(warned).join('\n'), says)
        })
        assert.is(store.publisher?.pending, 1)
        scene.proxy.fault = () => undefined
        assert.is(await within(done), true)
      }
      assert.equal(await shown(pod), statusOf('10.1.0.2'))
      assert.is((await conditionOf(pod))?.status, 'True')
      assert.match(store.warnings.slice(warned).join('\n'), says)
      assert.match(store.warnings.slice(warned).join('\n'), 'published again')
      assert.is(store.warnings.slice(warned).filter((text) => text.includes('tried again')).length, 1)
    })
  }

  it('leaves what somebody else wrote after ADD', async () => {
    const uid = await scene.createPod({ name: 'edited' })
    await known('edited', uid)
    const replaces = store.statusMark?.(scene.namespace, 'edited') ?? ''
    onWrites('reset')
    const done = publish(publication('edited', uid, { replaces }))
    await eventually(() => assert.ok(writesOf('edited').length > 0))
    await annotate('edited', '[{"name":"theirs"}]')
    scene.proxy.fault = () => undefined
    assert.is(await within(done), true)
    assert.equal(await shown('edited'), [{ name: 'theirs' }])
    assert.is(store.outcomes.at(-1), 'kept')
    // A daemon that was started since knows from the journal what was there before.
    assert.is(await within(again(publication('edited', uid, { replaces }))), true)
    assert.equal(await shown('edited'), [{ name: 'theirs' }])
  })

  it('replaces what was there before ADD, in the first try and later', async () => {
    const uid = await scene.createPod({ name: 'older' })
    await annotate('older', '[{"name":"before"}]')
    await eventually(() => assert.is(store.statusMark?.(scene.namespace, 'older')?.length, 16))
    const replaces = store.statusMark?.(scene.namespace, 'older') ?? ''
    onWrites('reset')
    const done = publish(publication('older', uid, { replaces }))
    await eventually(() => assert.ok(writesOf('older').length > 1))
    scene.proxy.fault = () => undefined
    assert.is(await within(done), true)
    assert.equal(await shown('older'), statusOf('10.1.0.2'))
  })

  it('is asked for again when somebody takes the status away, not when he changes it', async () => {
    const uid = await scene.createPod({ name: 'taken' })
    const given = publication('taken', uid)
    assert.is(await within(publish(given)), true)
    await annotate('taken', '[]')
    await eventually(async () => assert.equal(await store.networkStatus(scene.namespace, 'taken'), []))
    await annotate('taken', null)
    await eventually(() => assert.equal(restored.at(-1), { containerId: 'c-taken', ifName: 'eth0' }))
    assert.is(restored.length, 1)
    assert.is(await within(again(given)), true)
    assert.equal(await shown('taken'), statusOf('10.1.0.2'))
    // After DEL it is nobody's.
    await store.unpublish({ namespace: scene.namespace, name: 'taken', containerId: 'c-taken' })
    await annotate('taken', null)
    await eventually(() => assert.is(store.statusMark?.(scene.namespace, 'taken'), ''))
    await new Promise((resolve) => setTimeout(resolve, 1500))
    assert.is(restored.length, 1)
  })

  it('ends with the pod, and touches none that has its name', async () => {
    const uid = await scene.createPod({ name: 'heir' })
    onWrites('reset')
    const done = publish(publication('heir', uid))
    await eventually(() => assert.ok(writesOf('heir').length > 0))
    await scene.deletePod('heir')
    const next = await scene.createPod({ name: 'heir' })
    scene.proxy.fault = () => undefined
    assert.is(await within(done), true)
    assert.is(store.outcomes.at(-1), 'gone')
    assert.is((await podOf('heir')).metadata.uid, next)
    assert.is(await shown('heir'), undefined)
    assert.is(await conditionOf('heir'), undefined)
    // The very first write as well, from a cache that is behind.
    assert.is(await within(publish(publication('heir', uid))), true)
    assert.is(await shown('heir'), undefined)
    await scene.deletePod('heir')
    assert.is(await within(publish(publication('heir', next))), true)
    assert.is(store.outcomes.at(-1), 'gone')
  })

  it('a pod made anew 50 times shows the last one its own', async () => {
    let uid = ''
    for (let round = 0; round < 50; round++) {
      uid = await scene.createPod({ name: 'churn' })
      void publish(publication('churn', uid, { networkStatus: statusOf(`10.1.0.${round}`) }))
      if (round < 49) await scene.deletePod('churn')
    }
    await eventually(async () => assert.equal(await shown('churn'), statusOf('10.1.0.49')))
    await eventually(() => assert.is(store.publisher?.pending, 0))
  })

  it('DEL cancels what waits, and the next sandbox comes after what is on its way', async () => {
    const { namespace } = scene
    const uid = await scene.createPod({ name: 'reborn' })
    await known('reborn', uid)
    onWrites('hang')
    const first = publish(publication('reborn', uid, { containerId: 'c1' }))
    await eventually(() => assert.is(writesOf('reborn').length, 1))
    await store.unpublish({ namespace, name: 'reborn', containerId: 'c1' })
    scene.proxy.fault = () => undefined
    const second = publish(
      publication('reborn', uid, { containerId: 'c2', networkStatus: statusOf('10.1.0.3') }),
    )
    assert.is(writesOf('reborn').length, 1)
    assert.is(await within(first), false)
    assert.is(await within(second), true)
    assert.equal(await shown('reborn'), statusOf('10.1.0.3'))
    onWrites('reset')
    const third = publish(publication('reborn', uid, { containerId: 'c3' }))
    await eventually(() => assert.ok((store.publisher?.isFailing ?? false) && writesOf('reborn').length > 2))
    store.cancelPublication?.('c3')
    assert.is(await within(third), false)
    scene.proxy.fault = () => undefined
    assert.equal(await shown('reborn'), statusOf('10.1.0.3'))
  })

  it('the writes of one pod never overlap', async () => {
    const uid = await scene.createPod({ name: 'ordered' })
    await known('ordered', uid)
    // After a failure there is but one at a time.
    assert.is(await within(publish(publication('ordered', uid))), true)
    assert.is(store.publisher?.isFailing, false)
    onWrites({ delayMs: 300 })
    const first = publish(publication('ordered', uid, { containerId: 'c1' }))
    await eventually(() => assert.is(writesOf('ordered').length, 2))
    scene.proxy.fault = () => undefined
    const given = publication('ordered', uid, { containerId: 'c2', networkStatus: statusOf('10.1.0.3') })
    const second = publish(given)
    assert.equal(await within(Promise.all([first, second])), [true, true])
    assert.equal(await shown('ordered'), statusOf('10.1.0.3'))
  })

  it('a write that comes late is replaced again', async () => {
    const uid = await scene.createPod({ name: 'late' })
    await known('late', uid)
    onWrites({ delayMs: 4500 })
    const first = publish(publication('late', uid, { containerId: 'c1' }))
    await eventually(() => assert.is(writesOf('late').length, 1))
    store.cancelPublication?.('c1')
    assert.is(await within(first), false)
    scene.proxy.fault = () => undefined
    const next = publication('late', uid, { containerId: 'c2', networkStatus: statusOf('10.1.0.3') })
    assert.is(await within(publish(next)), true)
    // The proxy does not give up on a request whose client has.
    await annotate('late', JSON.stringify(statusOf('10.1.0.2'), null, 4))
    await eventually(() => assert.equal(restored.at(-1), { containerId: 'c2', ifName: 'eth0' }))
    assert.is(await within(again(next)), true)
    assert.equal(await shown('late'), statusOf('10.1.0.3'))
  })

  it('does not mind what time the node has', async () => {
    for (const [index, time] of ['1970-01-01T00:00:00.001Z', '2100-01-01T00:00:00.000Z'].entries()) {
      const uid = await scene.createPod({ name: `clock-${index}` })
      assert.is(await within(publish(publication(`clock-${index}`, uid, { time }))), true)
      assert.is((await conditionOf(`clock-${index}`))?.status, 'True')
    }
  })

  it('waits for a static pod that is not in the cluster yet', async () => {
    const annotations = { 'kubernetes.io/config.source': 'file', 'kubernetes.io/config.hash': 'abc' }
    const done = publish(publication('static', 'abc'))
    await eventually(() => assert.is(store.publisher?.pending, 1))
    await scene.createPod({ name: 'static', annotations })
    assert.is(await within(done), true)
    assert.equal(await shown('static'), statusOf('10.1.0.2'))
  })

  it('250 that waited for the API server come within the rate, new ones first', async () => {
    const limits = { ...PUBLISHING_LIMITS, writesPerSecond: 50, burst: 20 }
    const own = await scene.store({ publishing: { limits } })
    const names = Array.from({ length: 250 }, (_, index) => `many-${index}`)
    const uids = await Promise.all(names.map((name) => scene.createPod({ name })))
    scene.proxy.fault = () => 'reset'
    const all = names.map((name, index) => publish(publication(name, uids[index] ?? ''), own))
    await eventually(() => assert.ok(own.outcomes.filter((outcome) => outcome === 'failed').length > 5))
    assert.is(own.publisher?.pending, 250)
    const begin = performance.now()
    const times: number[] = []
    scene.proxy.fault = ({ isWatch }) => {
      if (!isWatch) times.push(performance.now())
      return undefined
    }
    assert.equal(new Set(await within(Promise.all(all), 60_000)), new Set([true]))
    // 20 at once and 50 a second, by a clock that may run late by a tenth.
    assert.ok(performance.now() - begin > ((250 - 20) / 50) * 900)
    for (const start of times) {
      const inSecond = times.filter((time) => time >= start && time < start + 1000).length
      assert.ok(inSecond <= 20 + 50 + 30, `${inSecond} requests in a second`)
    }
    for (const name of names.slice(0, 5)) assert.equal(await shown(name), statusOf('10.1.0.2'))
    await own.close()
  })

  it('holds so many and leaves the others to the journal', async () => {
    const own = await scene.store({
      limits: { publishMs: 20_000 },
      publishing: { limits: { ...PUBLISHING_LIMITS, pending: 10 } },
    })
    const uid = await scene.createPod({ name: 'full' })
    onWrites('hang')
    const settled: boolean[] = []
    for (let index = 0; index < 100; index++)
      void publish(publication(`full-${index}`, uid), own).then((isDone) => settled.push(isDone))
    await eventually(() => assert.is(settled.length, 86))
    assert.equal(new Set(settled), new Set([false]))
    assert.is(own.publisher?.pending, 14)
    await own.close()
    await eventually(() => assert.is(settled.length, 100))
  })

  it('a failure is one event and one condition, however often it comes', async () => {
    const uid = await scene.createPod({ name: 'looping' })
    const attempt = (containerId: string, reason: string): FailedAttempt => ({
      ...{ namespace: scene.namespace, name: 'looping', uid, command: 'ADD', isAttached: false },
      error: new CniError(
        CniErrorCode.PluginNotFound,
        `container ${containerId} in /run/netns/cni-${containerId}: ${reason} after 60.${containerId.length} s`,
        { hint: 'install it', faults: ['token=very-secret-text', 'x'.repeat(2000)] },
      ),
      passing: [containerId, `/run/netns/cni-${containerId}`],
    })
    for (let round = 0; round < 30; round++)
      store.reportFailure?.(attempt(`box${round}`, 'plugin "sriov" is missing'))
    store.reportFailure?.(attempt('box31', 'network n3 is missing'))
    store.reportFailure?.(attempt('box32', 'network n6 is missing'))
    await eventually(async () => {
      const events = await eventsOf('looping')
      assert.is(events.length, 3)
      for (const { message, type, reason } of events) {
        assert.ok(Buffer.byteLength(message) <= 1024)
        assert.equal([type, reason], ['Warning', 'NetworkAttachFailed'])
        assert.match(message, 'install it')
        assert.not.match(message, 'very-secret')
      }
    })
    const condition = await conditionOf('looping')
    assert.equal([condition?.status, condition?.reason], ['False', 'PluginNotFound'])
    assert.is(writesOf('looping').length, 1)
    assert.is(await within(publish(publication('looping', uid))), true)
    assert.equal((await conditionOf('looping'))?.status, 'True')
    // Whoever is attached stays so when an ADD is repeated.
    const error = new CniError(CniErrorCode.AttachmentExists, 'already attached')
    store.reportFailure?.({ ...attempt('box33', ''), error, isAttached: true })
    await eventually(async () => assert.is((await eventsOf('looping')).length, 5))
    assert.equal((await conditionOf('looping'))?.status, 'True')
  })

  it('a failure that goes on is told again with how often it came', async () => {
    const events = { ...PUBLISHING_LIMITS.events, repeatMs: 300 }
    const own = await scene.store({ publishing: { limits: { ...PUBLISHING_LIMITS, events } } })
    const uid = await scene.createPod({ name: 'going-on' })
    const error = new CniError(CniErrorCode.TryAgainLater, 'not yet')
    const fail = () =>
      own.reportFailure?.({
        ...{ namespace: scene.namespace, name: 'going-on', uid, command: 'DEL', error },
        ...{ isAttached: false, passing: [] },
      })
    const sent = (): number => own.told.filter((outcome) => outcome === 'sent').length
    for (const end = performance.now() + 20_000; sent() < 2 && performance.now() < end; ) {
      fail()
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    await eventually(async () => {
      const told = await eventsOf('going-on')
      assert.is(told.length, 2)
      const counts = told.map(({ count }: { count: number }) => count).sort((a: number, b: number) => a - b)
      assert.is(counts[0], 1)
      assert.ok(counts[1] > 5, String(counts))
      assert.is(told[0].reason, 'NetworkDetachFailed')
    })
    assert.is(await conditionOf('going-on'), undefined)
    await own.close()
  })

  it('without the right to make events the rest is done, and said once', async () => {
    scene.proxy.fault = ({ method }) => (method === 'POST' ? refusal(403, 'Forbidden') : undefined)
    const own = await scene.store({ publishing: {} })
    for (let round = 0; round < 3; round++) {
      const uid = await scene.createPod({ name: `mute-${round}` })
      assert.is(await within(publish(publication(`mute-${round}`, uid), own)), true)
    }
    await eventually(() => assert.is(own.told.filter((outcome) => outcome === 'dropped').length, 3))
    assert.is(own.warnings.filter((text) => text.includes('event')).length, 1)
    await own.close()
  })

  it('makes no event that is not wanted', async () => {
    let choice: 'failures' | 'none' = 'failures'
    const own = await scene.store({ publishing: { events: () => choice } })
    const uid = await scene.createPod({ name: 'quiet' })
    const error = new CniError(CniErrorCode.TryAgainLater, 'not yet')
    const attempt: FailedAttempt = {
      ...{ namespace: scene.namespace, name: 'quiet', uid, command: 'ADD', error },
      ...{ isAttached: false, passing: [] },
    }
    assert.is(await within(publish(publication('quiet', uid), own)), true)
    own.reportFailure?.(attempt)
    await eventually(async () => assert.is((await eventsOf('quiet')).length, 1))
    assert.is((await eventsOf('quiet'))[0].reason, 'NetworkAttachFailed')
    choice = 'none'
    own.reportFailure?.({ ...attempt, error: new CniError(CniErrorCode.Io, 'another') })
    assert.is(await within(publish(publication('quiet', uid, { missing: ['x'] }), own)), true)
    await eventually(() => assert.is(own.publisher?.pending, 0))
    await new Promise((resolve) => setTimeout(resolve, 300))
    assert.is((await eventsOf('quiet')).length, 1)
    await own.close()
  })
})
