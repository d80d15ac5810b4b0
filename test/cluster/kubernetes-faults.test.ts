import * as assert from 'uvu/assert'
import { CniErrorCode } from '../../src/cni/codes.ts'
import type { ProxyFault } from '../rig/api-proxy.ts'
import { eventually } from '../rig/daemon.ts'
import { spec } from '../spec.ts'
import { type ClusterScene, clusterScene, errorOf, refusal, type SceneStore } from './scene.ts'

const bridge = { cniVersion: '1.0.0', type: 'bridge' }
/** What an API server may do, and what the error has to say. */
const FAULTS: readonly { name: string; fault: ProxyFault; says: RegExp; hint: RegExp; tries: number }[] = [
  { name: '401', fault: refusal(401, 'Unauthorized'), says: /401/, hint: /renew .* token/, tries: 1 },
  { name: '403', fault: refusal(403, 'Forbidden'), says: /403.*of the test/, hint: /right get on/, tries: 1 },
  { name: '409', fault: refusal(409, 'Conflict'), says: /409/, hint: /ask again/, tries: 1 },
  { name: '410', fault: refusal(410, 'Expired'), says: /410/, hint: /ask again/, tries: 1 },
  { name: '429', fault: refusal(429, 'TooManyRequests'), says: /429/, hint: /ask again/, tries: 2 },
  { name: '500', fault: refusal(500, 'InternalError'), says: /500/, hint: /ask again/, tries: 2 },
  {
    name: "a proxy's 404",
    fault: { status: 404, body: '404 page not found' },
    says: /404/,
    hint: /CustomResourceDefinition|address of an API server/,
    tries: 1,
  },
  {
    name: "a proxy's page",
    fault: { status: 200, body: '<html>' },
    says: /no JSON/,
    hint: /reach/,
    tries: 2,
  },
  { name: 'nothing', fault: { status: 200, body: {} }, says: /not the object/, hint: /reach/, tries: 2 },
  {
    name: 'another object',
    fault: { status: 200, body: { metadata: { name: 'other', namespace: 'default', uid: 'u' } } },
    says: /not the object/,
    hint: /reach/,
    tries: 2,
  },
  { name: 'cut-off JSON', fault: { cutAfterBytes: 60 }, says: /cut off/, hint: /reachable/, tries: 2 },
  { name: 'a reset', fault: 'reset', says: /hang up|ECONNRESET/, hint: /reachable/, tries: 2 },
  { name: 'silence', fault: 'hang', says: /no whole answer within/, hint: /reachable/, tries: 1 },
]

spec('Kubernetes faults', (it) => {
  let scene: ClusterScene
  let store: SceneStore
  let known = ''

  it.before(async () => {
    scene = await clusterScene()
    known = await scene.createPod({ name: 'known' })
    await scene.createNad({ name: 'known', config: bridge })
    await scene.createPod({ name: 'elsewhere', node: 'worker-2' })
    // The API server waits 3 s before it says that a version is still to come.
    store = await scene.store({ limits: { listMs: 20_000 } })
  })
  it.after(() => scene.close())
  it.after.each(() => {
    scene.proxy.fault = () => undefined
  })

  /** Waits until a NAD made now is known without a question. */
  const followsAgain = async (name: string): Promise<void> => {
    await scene.createNad({ name, config: bridge })
    await eventually(async () => {
      const before = scene.proxy.requests.filter(({ isWatch }) => !isWatch).length
      assert.is((await store.nad(scene.namespace, name))?.name, name)
      assert.is(scene.proxy.requests.filter(({ isWatch }) => !isWatch).length, before)
    }, 30_000)
    await eventually(() => assert.is(store.fault, undefined))
  }

  for (const { name, fault, says, hint, tries } of FAULTS) {
    it(`answered with ${name}, a lookup fails, and what is known is served`, async () => {
      const { namespace } = scene
      const isLookup = (path: string): boolean => path.endsWith('/elsewhere') || path.endsWith('/absent')
      scene.proxy.fault = ({ path }) => (isLookup(path) ? fault : undefined)
      const startedAt = performance.now()
      const before = scene.proxy.requests.length
      const [podError, nadError] = await Promise.all([
        errorOf(store.pod(namespace, 'elsewhere')),
        errorOf(store.nad(namespace, 'absent')),
      ])
      // 3 s are the bound of a lookup in this scene.
      assert.ok(performance.now() - startedAt < 20_000)
      for (const error of [podError, nadError]) {
        assert.is(error.code, CniErrorCode.TryAgainLater)
        assert.match(error.message, says)
        assert.match(error.message, scene.proxy.server)
        assert.match(error.hint ?? '', hint)
        assert.not.match(JSON.stringify([error.message, error.hint]), 'node-token')
      }
      const asked = scene.proxy.requests.slice(before).filter(({ path }) => isLookup(path))
      assert.is(asked.length, 2 * tries)
      assert.is((await store.pod(namespace, 'known', known))?.uid, known)
      assert.is((await store.nad(namespace, 'known'))?.name, 'known')
    })
  }

  it('asks for a pod without UID while it is not told of changes, and takes what it knows when nobody answers', async () => {
    const { namespace, proxy } = scene
    const uidOf = async (): Promise<string | undefined> => (await store.pod(namespace, 'nameless'))?.uid
    const first = await scene.createPod({ name: 'nameless' })
    await eventually(async () => {
      const before = proxy.requests.length
      assert.is(await uidOf(), first)
      assert.is(proxy.requests.length, before)
    })
    proxy.fault = ({ isWatch }) => (isWatch ? 'reset' : undefined)
    proxy.reset()
    await eventually(() => assert.ok(store.fault !== undefined))
    await scene.deletePod('nameless')
    const second = await scene.createPod({ name: 'nameless' })
    assert.is(await uidOf(), second)
    proxy.fault = () => 'reset'
    assert.is(await uidOf(), first)
    proxy.fault = ({ isWatch }) => (isWatch ? 'reset' : refusal(403, 'Forbidden'))
    assert.match((await errorOf(uidOf())).message, '403')
    proxy.fault = () => undefined
    await followsAgain('after-nameless')
  })

  it('asks a second time when the first answer was bad by chance', async () => {
    let count = 0
    scene.proxy.fault = ({ path }) => (path.endsWith('/elsewhere') && count++ === 0 ? 'reset' : undefined)
    assert.is((await store.pod(scene.namespace, 'elsewhere'))?.name, 'elsewhere')
    assert.is(count, 2)
  })

  it('waits for a slow answer within its bound', async () => {
    scene.proxy.fault = ({ path }) => (path.endsWith('/elsewhere') ? { delayMs: 1000 } : undefined)
    assert.is((await store.pod(scene.namespace, 'elsewhere'))?.name, 'elsewhere')
  })

  it('survives watches that are closed every second', async () => {
    const timer = setInterval(() => scene.proxy.reset(), 1000)
    try {
      for (let round = 0; round < 5; round++) {
        await scene.createNad({ name: `closed-${round}`, config: bridge })
        await eventually(async () => {
          const nad = await store.nad(scene.namespace, `closed-${round}`).catch(() => undefined)
          assert.is(nad?.name, `closed-${round}`)
        })
        await scene.updateNad(`closed-${round}`, { ...bridge, mtu: 1234 })
        await eventually(async () => {
          assert.match((await store.nad(scene.namespace, `closed-${round}`))?.config ?? '', '1234')
        })
      }
    } finally {
      clearInterval(timer)
    }
    await followsAgain('after-closing')
  })

  it('goes on after watches that never say anything again, without listing', async () => {
    const before = scene.proxy.requests.length
    scene.proxy.freeze()
    await scene.updateNad('known', { ...bridge, mtu: 1300 })
    await eventually(async () => {
      assert.match((await store.nad(scene.namespace, 'known'))?.config ?? '', '1300')
    }, 30_000)
    const lists = scene.proxy.requests.slice(before).filter(({ isWatch }) => !isWatch)
    assert.equal(lists, [])
  })

  it('goes on where it was after an event that is cut off', async () => {
    scene.proxy.fault = ({ isWatch }) => (isWatch ? { cutAfterBytes: 40 } : undefined)
    scene.proxy.reset()
    await scene.updateNad('known', { ...bridge, mtu: 1400 })
    await eventually(() => assert.match(store.fault ?? '', /cut off/))
    assert.is((await store.pod(scene.namespace, 'known', known))?.uid, known)
    scene.proxy.fault = () => undefined
    await eventually(async () => {
      assert.match((await store.nad(scene.namespace, 'known'))?.config ?? '', '1400')
    }, 30_000)
  })

  it('lists anew when the server has forgotten where it was, and forgets what went meanwhile', async () => {
    const { namespace } = scene
    await scene.createNad({ name: 'gone-meanwhile', config: bridge })
    await scene.createPod({ name: 'gone-meanwhile' })
    await eventually(async () =>
      assert.is((await store.nad(namespace, 'gone-meanwhile'))?.namespace, namespace),
    )
    // Nothing of what happens is seen, and then there is no way from there to here.
    scene.proxy.fault = () => 'reset'
    scene.proxy.reset()
    await scene.deleteNad('gone-meanwhile')
    await scene.deletePod('gone-meanwhile')
    await scene.api.compact()
    await scene.api.stop()
    await scene.api.start()
    const before = scene.proxy.requests.length
    scene.proxy.fault = () => undefined
    await followsAgain('after-compaction')
    assert.is(await store.nad(namespace, 'gone-meanwhile'), undefined)
    assert.is(await store.pod(namespace, 'gone-meanwhile'), undefined)
    const lists = scene.proxy.requests
      .slice(before)
      .filter(({ path }) => /[?&](limit|resourceVersion)=/.test(path))
    assert.ok(lists.some(({ isWatch, path }) => !isWatch && !path.includes(namespace)))
  })

  it('begins anew when a watch is answered with 410, and when it is refused for good', async () => {
    for (const [round, code] of [410, 500].entries()) {
      const before = scene.proxy.requests.length
      scene.proxy.fault = ({ isWatch }) => (isWatch ? refusal(code, 'Gone') : undefined)
      scene.proxy.reset()
      await eventually(() => {
        const lists = scene.proxy.requests
          .slice(before)
          .filter(({ isWatch, path }) => !isWatch && path.includes('?'))
        assert.ok(lists.length >= 2)
      }, 30_000)
      scene.proxy.fault = () => undefined
      await followsAgain(`after-refusal-${round}`)
    }
  })

  it('does not hammer at a server that refuses everything', async () => {
    scene.proxy.fault = () => refusal(500, 'InternalError')
    scene.proxy.reset()
    await eventually(() => assert.match(store.fault ?? '', '500'))
    const before = scene.proxy.requests.length
    const begin = performance.now()
    await new Promise((resolve) => setTimeout(resolve, 3000))
    // Two informers, at least 200 ms of pause each once it has grown.
    const most = 2 + (performance.now() - begin) / 100
    assert.ok(
      scene.proxy.requests.length - before <= most,
      `${scene.proxy.requests.length - before} requests`,
    )
    scene.proxy.fault = () => undefined
    await followsAgain('after-refusals')
    const said = store.warnings.filter((line) => line.includes('InternalError'))
    assert.ok(said.length <= 2, said.join('\n'))
    assert.ok(store.warnings.some((line) => line.endsWith('are followed again')))
  })

  it('serves what it knows while the API server is down, and follows again when it is back', async () => {
    const { namespace } = scene
    await scene.api.stop('SIGKILL')
    await eventually(() => assert.ok(store.fault !== undefined))
    assert.is((await store.pod(namespace, 'known', known))?.uid, known)
    assert.is((await store.nad(namespace, 'known'))?.name, 'known')
    const error = await errorOf(store.pod(namespace, 'known', 'another-uid'))
    assert.is(error.code, CniErrorCode.TryAgainLater)
    await scene.api.start()
    await followsAgain('after-restart')
  })

  it('believes an API server that has come back with an older state, as after a restore of etcd', async () => {
    const { namespace, api } = scene
    await scene.createNad({ name: 'restored', config: { ...bridge, mtu: 1 } })
    await scene.createNad({ name: 'changed-after', config: { ...bridge, mtu: 1 } })
    await api.backUp()
    const config = async (name: string): Promise<string> => (await store.nad(namespace, name))?.config ?? ''
    await scene.createNad({ name: 'lost', config: bridge })
    for (let mtu = 100; mtu < 140; mtu++) await scene.updateNad('restored', { ...bridge, mtu })
    await eventually(async () => assert.match(await config('restored'), '139'), 20_000)
    await api.restore()
    await scene.updateNad('changed-after', { ...bridge, mtu: 7 })
    await eventually(async () => {
      assert.match(await config('restored'), '"mtu":1}')
      assert.match(await config('changed-after'), '"mtu":7}')
      assert.is(await store.nad(namespace, 'lost'), undefined)
    }, 60_000)
    await followsAgain('after-restore')
  })

  it('serves the NADs of this node from disk after a restart while the API server is away', async () => {
    const { namespace } = scene
    const first = await scene.store()
    await first.nad(namespace, 'known')
    await scene.createNad({ name: 'unused', config: bridge })
    await scene.createNad({ name: 'deleted-meanwhile', config: bridge })
    assert.is((await first.nad(namespace, 'deleted-meanwhile'))?.name, 'deleted-meanwhile')
    await first.close()
    await scene.deleteNad('deleted-meanwhile')

    for (const fault of ['reset', 'hang', refusal(503, 'ServiceUnavailable')] as const) {
      scene.proxy.fault = () => fault
      const second = await scene.store({ stateDir: first.stateDir, isUnreachable: true })
      const startedAt = performance.now()
      assert.match((await second.nad(namespace, 'known'))?.config ?? '', 'bridge')
      assert.ok(performance.now() - startedAt < 3000)
      assert.ok(second.warnings.some((line) => line.includes('as it was last seen')))
      assert.is((await errorOf(second.nad(namespace, 'unused'))).code, CniErrorCode.TryAgainLater)
      assert.is((await errorOf(second.pod(namespace, 'known', known))).code, CniErrorCode.TryAgainLater)
      await second.close()
    }
    // A server that answers is believed.
    scene.proxy.fault = () => refusal(403, 'Forbidden')
    const refused = await scene.store({ stateDir: first.stateDir, isUnreachable: true })
    assert.match((await errorOf(refused.nad(namespace, 'known'))).message, '403')
    await refused.close()
    scene.proxy.fault = () => undefined
    const third = await scene.store({ stateDir: first.stateDir })
    assert.is(await third.nad(namespace, 'deleted-meanwhile'), undefined)
    await third.close()
    scene.proxy.fault = () => 'reset'
    const fourth = await scene.store({ stateDir: first.stateDir, isUnreachable: true })
    assert.is((await errorOf(fourth.nad(namespace, 'deleted-meanwhile'))).code, CniErrorCode.TryAgainLater)
    await fourth.close()
  })
})
