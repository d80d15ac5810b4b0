import * as assert from 'uvu/assert'
import { assertAdded, assertRefused } from '../plugin/stub-node.ts'
import { eventually, installDaemon } from '../rig/daemon.ts'
import { writeKubeconfig } from '../rig/kubeconfig.ts'
import { nad } from '../rig/manifests.ts'
import { type TestNode, testNode } from '../rig/test-node.ts'
import { spec } from '../spec.ts'
import { type ClusterScene, clusterScene } from './scene.ts'

/** What is followed comes some time. */
const soon = (check: () => void | Promise<void>): Promise<void> => eventually(check, 20_000)
const SELECTOR = 'plexus-cni.io/allowed-namespaces'

spec('a NAD that is only for some namespaces of a cluster', (it) => {
  let scene: ClusterScene
  let node: TestNode

  it.before(async () => {
    scene = await clusterScene()
    node = await testNode('allowed')
    const annotations = { [SELECTOR]: 'team=core' }
    const path = '/apis/k8s.cni.cncf.io/v1/namespaces/default/network-attachment-definitions'
    await scene.api.ok('POST', path, nad({ name: 'core', config: node.bridge(95), annotations }))
  })
  it.after(() => scene.close())
  it.after.each(() => {
    scene.proxy.fault = () => undefined
  })

  const conf = (): object => {
    const { manifests: _, ...rest } = node.conf() as Record<string, unknown>
    return rest
  }
  const label = async (team: string | null): Promise<void> =>
    void (await scene.api.ok('PATCH', `/api/v1/namespaces/${scene.namespace}`, {
      metadata: { labels: { team } },
    }))
  const podWith = async (name: string) => {
    const networks = 'default/core'
    const uid = await scene.createPod({ name, networks })
    return await node.pod({ name, namespace: scene.namespace, uid, networks })
  }
  const kubeconfig = (): string =>
    writeKubeconfig({ server: scene.proxy.server, ca: scene.api.authority.ca, token: 'node-token' })

  it('follows the labels once they are asked for: no read of a warm ADD, and a change counts', async () => {
    const { shim: executable, start } = installDaemon(node, { conf: { kubeconfig: kubeconfig() } })
    const daemon = await start({ wrap: ['env', 'NODE_NAME=worker-1'] })
    const namespaceReads = () =>
      scene.proxy.requests.filter(
        ({ path }) => path.startsWith('/api/v1/namespaces?') || /^\/api\/v1\/namespaces\/[^/]+$/.test(path),
      )
    assert.equal(namespaceReads(), [])
    const first = await podWith('unlabelled')
    assertRefused(await first.run('ADD', { executable, conf: conf() }), 104, 'does not select it')
    await label('core')
    await soon(async () => assertAdded(await first.run('ADD', { executable, conf: conf() })))
    await soon(() => assert.ok(namespaceReads().some(({ isWatch }) => isWatch)))
    const second = await podWith('warm')
    const reads = () => namespaceReads().filter(({ isWatch }) => !isWatch).length
    const before = reads()
    assertAdded(await second.run('ADD', { executable, conf: conf() }))
    assert.is(reads(), before)
    await label(null)
    let tries = 0
    await soon(async () => {
      const late = await podWith(`late-${tries++}`)
      assertRefused(await late.run('ADD', { executable, conf: conf() }), 104, 'does not select it')
    })
    assert.is(await daemon.stop(), 0)
  })

  it('is not given while the labels cannot be read, and is as soon as they can', async () => {
    await label('core')
    const { shim: executable, start } = installDaemon(node, { conf: { kubeconfig: kubeconfig() } })
    const daemon = await start({ wrap: ['env', 'NODE_NAME=worker-1'] })
    const pod = await podWith('unlucky')
    scene.proxy.fault = ({ path }) =>
      /^\/api\/v1\/namespaces(?:\?|\/[^/]+$)/.test(path) ? 'reset' : undefined
    assertRefused(
      await pod.run('ADD', { executable, conf: conf() }),
      11,
      `namespace ${scene.namespace}: the API server`,
    )
    scene.proxy.fault = () => undefined
    await soon(async () => assertAdded(await pod.run('ADD', { executable, conf: conf() })))
    assert.is(await daemon.stop(), 0)
  })
})
