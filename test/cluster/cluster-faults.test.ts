import * as assert from 'uvu/assert'
import { assertAdded, assertDone, assertRefused } from '../plugin/stub-node.ts'
import type { ProxyFault } from '../rig/api-proxy.ts'
import { eventually, type Installation, type TestDaemon } from '../rig/daemon.ts'
import { assertNothingLeft, type Snapshot } from '../rig/leftovers.ts'
import { podArgs } from '../rig/manifests.ts'
import { filesBelow } from '../rig/state-files.ts'
import type { TestPod } from '../rig/test-node.ts'
import { spec } from '../spec.ts'
import { type ClusterNode, type ClusterScene, clusterNode, clusterScene, refusal } from './scene.ts'

const STATUS = 'k8s.v1.cni.cncf.io/network-status'

/** How a lookup may end, and what the pod is told. */
const FAULTS: readonly (readonly [name: string, fault: ProxyFault, says: RegExp])[] = [
  ['401', refusal(401, 'Unauthorized'), /401.*renew/],
  ['403', refusal(403, 'Forbidden'), /403.*right get on/],
  ["a proxy's 404", { status: 404, body: '404 page not found' }, /404/],
  ['409', refusal(409, 'Conflict'), /409/],
  ['410', refusal(410, 'Expired'), /410/],
  ['429', refusal(429, 'TooManyRequests'), /429/],
  ['500', refusal(500, 'InternalError'), /500/],
  ['cut-off JSON', { cutAfterBytes: 60 }, /cut off/],
  ['a reset', 'reset', /hang up|ECONNRESET/],
]

spec('pods while the cluster is at fault', (it) => {
  let scene: ClusterScene
  let node: ClusterNode
  let daemon: TestDaemon
  let installation: Installation

  it.before(async () => {
    scene = await clusterScene()
    for (const type of ['alpha', 'beta'])
      await scene.createNad({ name: `${type}-net`, config: { cniVersion: '1.0.0', type } })
    node = await clusterNode(scene)
    installation = node.install()
    daemon = await node.start(installation)
    // From then on the node has a copy of both NADs.
    const pod = await podOf('first', 'alpha-net,beta-net')
    assertAdded(await pod.run('ADD'))
    assertDone(await pod.run('DEL'))
  })
  it.after(async () => {
    assert.is(await daemon.stop(), 0)
    await scene.close()
  })
  it.after.each(() => {
    scene.proxy.fault = () => undefined
  })

  /** A pod that the daemon follows, or has to ask for when it is another node's. */
  const podOf = (name: string, networks = 'alpha-net', on?: string): Promise<TestPod> =>
    node.podOf(installation, { name, networks, ...(on === undefined ? {} : { on }) })
  /** Soon: a shim's guard ends after the answer. */
  const assertClean = (before: Snapshot): Promise<void> =>
    eventually(async () => {
      await assertNothingLeft(before)
      assert.equal(
        filesBelow(node.stateDir).filter((file) => !file.startsWith('nads/')),
        [],
      )
    })
  const interfacesOf = async (name: string): Promise<string[] | undefined> => {
    const text = (await scene.api.ok('GET', scene.podPath(name))).metadata.annotations?.[STATUS]
    return text && JSON.parse(text).map((entry: { interface: string }) => entry.interface)
  }

  for (const [index, [name, fault, says]] of FAULTS.entries()) {
    it(`answered with ${name}: error 11 with the reason and nothing made, and known pods are served`, async () => {
      const unknown = await podOf(`unknown-${index}`, 'alpha-net', 'worker-2')
      const lacking = await podOf(`lacking-${index}`, `alpha-net,absent-${index}`)
      const known = await podOf(`known-${index}`)
      const before = await node.watch(unknown, lacking, known)
      const calls = node.calls().length
      scene.proxy.fault = ({ path }) =>
        path.endsWith(`/unknown-${index}`) || path.endsWith(`/absent-${index}`) ? fault : undefined
      const [first, second, third] = await Promise.all([
        unknown.run('ADD'),
        lacking.run('ADD'),
        known.run('ADD'),
      ])
      assertRefused(first, 11, `unknown-${index}`, says)
      assertRefused(second, 11, `absent-${index}`, says)
      for (const { durationMs } of [first, second]) assert.ok(durationMs < 15_000)
      assertAdded(third)
      assert.is(
        node
          .calls()
          .slice(calls)
          .filter(({ containerId }) => containerId !== known.containerId).length,
        0,
      )
      for (const pod of [known, lacking, unknown]) assertDone(await pod.run('DEL'))
      await assertClean(before)
    })
  }

  it('answers of 10 s are waited for, silence is error 11, and nobody who is known waits with them', async () => {
    const slow = await podOf('slow', 'alpha-net', 'worker-2')
    const silent = await podOf('silent', 'alpha-net', 'worker-2')
    const known = await podOf('quick')
    const before = await node.watch(slow, silent, known)
    scene.proxy.fault = ({ path }) => {
      if (path.endsWith('/slow')) return { delayMs: 10_000 }
      return path.endsWith('/silent') ? 'hang' : undefined
    }
    const waiting = [slow.run('ADD'), silent.run('ADD')] as const
    await eventually(() => assert.ok(scene.proxy.requests.some(({ path }) => path.endsWith('/silent'))))
    const third = await known.run('ADD')
    assertAdded(third)
    assert.ok(third.durationMs < 9000)
    const [first, second] = await Promise.all(waiting)
    assertAdded(first)
    assertRefused(second, 11, 'silent', 'no whole answer within')
    assert.ok(second.durationMs < 30_000)
    for (const pod of [known, silent, slow]) assertDone(await pod.run('DEL'))
    await assertClean(before)
  })

  it('slow answers about many networks are waited for all at once', async () => {
    const names = Array.from({ length: 8 }, (_, index) => `slowly-absent-${index}`)
    const pod = await podOf('many', names.join(','))
    const before = await node.watch(pod)
    scene.proxy.fault = ({ path }) => (path.includes('/slowly-absent-') ? { delayMs: 3000 } : undefined)
    const refused = await pod.run('ADD')
    assertRefused(refused, 7, ...names)
    // One after the other: 24 s.
    assert.ok(refused.durationMs < 20_000, `${refused.durationMs} ms`)
    assertDone(await pod.run('DEL'))
    await assertClean(before)
  })

  it('a static pod is asked for again until it is in the cluster, and is known by its hash', async () => {
    const name = 'static'
    const hash = '0123456789abcdef0123456789abcdef'
    const pod = await node.podOf(installation, { name, uid: hash })
    const before = await node.watch(pod)
    assertRefused(await pod.run('ADD'), 11, 'not known to the cluster')
    const annotations = { 'kubernetes.io/config.source': 'file', 'kubernetes.io/config.hash': hash }
    await scene.createPod({ name, networks: 'alpha-net', annotations })
    assertAdded(await pod.run('ADD'))
    await eventually(async () => assert.equal(await interfacesOf(name), ['eth0', 'net1']))
    assertDone(await pod.run('DEL'))
    await assertClean(before)
  })

  it('a pod whose runtime tells no UID gets its own networks, made anew as well, and is told of', async () => {
    const name = 'nameless'
    const pod = await podOf(name, 'alpha-net@first0')
    const before = await node.watch(pod)
    for (const [round, ifName] of ['first0', 'second0'].entries()) {
      if (round > 0) {
        await scene.deletePod(name)
        await scene.createPod({ name, networks: `beta-net@${ifName}` })
      }
      const containerId = `nameless-${round}`
      const args = `IgnoreUnknown=1;K8S_POD_NAMESPACE=${scene.namespace};K8S_POD_NAME=${name};K8S_POD_INFRA_CONTAINER_ID=${containerId}`
      await eventually(async () => {
        const added = await pod.run('ADD', { containerId, args })
        assertAdded(added)
        const interfaces = added.json?.interfaces as { name: string }[]
        if (!interfaces.some((entry) => entry.name === ifName)) {
          assertDone(await pod.run('DEL', { containerId, args }))
          assert.unreachable(`no ${ifName}: ${added.stdout}`)
        }
      })
      await eventually(async () => assert.equal(await interfacesOf(name), ['eth0', ifName]))
      assertDone(await pod.run('DEL', { containerId, args }))
    }
    await assertClean(before)
  })

  it('a pod made anew 200 times gets its own networks each time, and the last one shows its own', async () => {
    const pod = await podOf('again', '')
    await scene.deletePod('again')
    const before = await node.watch(pod)
    const calls = node.calls().length
    const typeOf = (round: number): string => (round % 2 === 0 ? 'alpha' : 'beta')
    const wanted: string[] = []
    for (let round = 0; round < 200; round++) {
      const containerId = `again-${round}`
      const networks = `${typeOf(round)}-net@data${round}`
      const uid = await scene.createPod({ name: 'again', networks })
      const metadata = { ...pod.manifest.metadata, uid }
      const call = { containerId, args: podArgs({ ...pod.manifest, metadata }, containerId) }
      assertAdded(await pod.run('ADD', call))
      wanted.push(`${containerId} ${typeOf(round)} data${round}`)
      if (round === 199)
        await eventually(async () => assert.equal(await interfacesOf('again'), ['eth0', 'data199']))
      await scene.deletePod('again')
      assertDone(await pod.run('DEL', call))
    }
    const added = node
      .calls()
      .slice(calls)
      .filter(({ command, type }) => command === 'ADD' && type !== 'primary')
    assert.equal(
      added.map(({ containerId, type, ifName }) => `${containerId} ${type} ${ifName}`),
      wanted,
    )
    await assertClean(before)
  })
})
