import { spawn } from 'node:child_process'
import { readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { defaultList } from '../node/keeper.ts'
import { eventually, installDaemon, type TestDaemon } from '../rig/daemon.ts'
import { writeKubeconfig } from '../rig/kubeconfig.ts'
import { runPlexus } from '../rig/plexus.ts'
import { type StubPlugin, stubPlugin } from '../rig/stub.ts'
import { atEnd } from '../rig/teardown.ts'
import { type TestNode, testNode } from '../rig/test-node.ts'
import { spec } from '../spec.ts'
import { type ClusterScene, clusterScene } from './scene.ts'

const NODE = 'worker-1'
const TYPE = 'plexus-cni.io/NetworksReady'
/** Looked at every 2 s, and bad for 6 s before it is told; a loaded machine takes its time. */
const SOON_MS = 60_000
/** The Node is looked at every minute. */
const LOOK_MS = 60_000 + SOON_MS

interface Condition {
  readonly type: string
  readonly status: string
  readonly reason: string
  readonly message?: string
  readonly lastTransitionTime: string
}

spec('the condition of a node', (it) => {
  let cluster: ClusterScene
  let node: TestNode
  let daemon: TestDaemon
  let primary: StubPlugin
  let shim: string

  const conditions = async (): Promise<Condition[]> =>
    (await cluster.api.ok('GET', `/api/v1/nodes/${NODE}`)).status.conditions ?? []
  const condition = async (): Promise<Condition> => {
    const found = (await conditions()).find(({ type }) => type === TYPE)
    assert.ok(found, `no condition; ${daemon.lines().join('\n')}`)
    return found
  }
  const isNow = async (status: string, reason: string): Promise<Condition> => {
    await eventually(async () => {
      const now = await condition()
      assert.equal([now.status, now.reason], [status, reason], daemon.lines().slice(-5).join('\n'))
    }, SOON_MS)
    return await condition()
  }
  /** Says which runtime the node has, as its kubelet does. */
  const nodeRuntime = (containerRuntimeVersion: string): Promise<unknown> =>
    cluster.api.ok('PATCH', `/api/v1/nodes/${NODE}/status`, {
      status: { nodeInfo: { containerRuntimeVersion } },
    })
  const listVersion = (): unknown =>
    JSON.parse(readFileSync(join(node.confDir, '00-plexus.conflist'), 'utf8')).cniVersion
  const events = async (): Promise<{ reason: string; message: string }[]> =>
    (await cluster.api.ok('GET', '/api/v1/namespaces/default/events?fieldSelector=involvedObject.kind=Node'))
      .items

  const start = async (pluginDirs: readonly string[] = [node.binDir]): Promise<TestDaemon> => {
    const { api } = cluster
    const kubeconfig = writeKubeconfig({ server: api.server, ca: api.authority.ca, token: 'node-token' })
    const { confDir } = node
    const installation = installDaemon(node, {
      conf: {
        ...{ installConflist: true, conflistDir: confDir, confDir, kubeconfig },
        pluginDirs,
      },
    })
    shim = installation.shim
    return await installation.start({ wrap: ['env', `NODE_NAME=${NODE}`] })
  }

  it.before(async () => {
    cluster = await clusterScene()
    node = await testNode('condition')
    primary = stubPlugin(node.binDir, 'primary')
    writeFileSync(
      join(node.confDir, '10-primary.conflist'),
      JSON.stringify(defaultList('cluster-net', 'primary')),
    )
    await cluster.api.ok('POST', '/api/v1/nodes', { metadata: { name: NODE } })
    await nodeRuntime('containerd://1.7.27')
    const ready = {
      type: 'Ready',
      status: 'True',
      reason: 'KubeletReady',
      message: 'as the kubelet writes it',
    }
    await cluster.api.ok(
      'PATCH',
      `/api/v1/nodes/${NODE}/status`,
      { status: { conditions: [ready] } },
      { contentType: 'application/strategic-merge-patch+json' },
    )
    daemon = await start()
  })
  it.after(async () => {
    await daemon.stop()
    await cluster.close()
  })

  it('is True where nothing is missing, beside those of others, and no event is made', async () => {
    assert.is((await isNow('True', 'NetworksAvailable')).message ?? '', '')
    assert.equal((await conditions()).map(({ type }) => type).sort(), ['Ready', TYPE].sort())
    assert.equal(await events(), [])
  })

  it('the list of the runtime is in its highest version, also after an upgrade, and at the next start', async () => {
    assert.is(listVersion(), '1.0.0')
    await nodeRuntime('containerd://2.1.4')
    await eventually(() => assert.is(listVersion(), '1.1.0', daemon.lines().slice(-5).join('\n')), LOOK_MS)
    await daemon.stop()
    daemon = await start()
    await isNow('True', 'NetworksAvailable')
    assert.is(listVersion(), '1.1.0')
    assert.not.match(daemon.lines().join('\n'), '00-plexus.conflist is updated')
  })

  it('names a plugin that a NAD of a pod of this node needs, with one event, before the pod has failed', async () => {
    const config = { cniVersion: '1.0.0', name: 'n6', type: 'not-there' }
    await cluster.createNad({ name: 'n6', config })
    await cluster.createNad({ name: 'unused', config: { ...config, type: 'nor-that' } })
    await cluster.createPod({ name: 'elsewhere', networks: 'unused', node: 'worker-2' })
    await cluster.createPod({ name: 'upf', networks: 'n6' })
    const { message } = await isNow('False', 'PluginMissing')
    assert.is(message, `plugin "not-there" is not installed; needed by NAD ${cluster.namespace}/n6`)
    await eventually(async () => {
      assert.equal(
        (await events()).map((event) => [event.reason, event.message]),
        [['PluginMissing', message]],
      )
    })
    const uid = await cluster.api.ok('GET', cluster.podPath('upf'))
    assert.not.match(JSON.stringify(uid.status.conditions ?? []), TYPE)
  })

  it('a daemon that is started anew finds what is there, and tells only what is new', async () => {
    const before = await condition()
    await daemon.stop()
    daemon = await start()
    await cluster.createNad({ name: 'n4', config: { cniVersion: '1.0.0', name: 'n4', type: 'nor-that' } })
    await cluster.createPod({ name: 'smf', networks: 'n4' })
    await eventually(async () => assert.match((await condition()).message ?? '', /NAD .*\/n4/), SOON_MS)
    assert.is((await condition()).lastTransitionTime, before.lastTransitionTime)
    await eventually(async () => assert.is((await events()).length, 2))
    stubPlugin(node.binDir, 'not-there')
    await cluster.deletePod('smf')
    await isNow('True', 'NetworksAvailable')
    assert.is((await events()).length, 2)
  })

  it('says that the default network is missing, or its plugin', async () => {
    const path = join(node.confDir, '10-primary.conflist')
    const text = readFileSync(path)
    rmSync(path)
    const { message } = await isNow('False', 'DefaultNetworkMissing')
    assert.match(message ?? '', path)
    writeFileSync(path, text)
    await isNow('True', 'NetworksAvailable')
    renameSync(primary.path, `${primary.path}.aside`)
    const missing = await isNow('False', 'PluginMissing')
    assert.match(missing.message ?? '', 'plugin "primary" is not installed; needed by the default network')
    renameSync(`${primary.path}.aside`, primary.path)
    await isNow('True', 'NetworksAvailable')
  })

  it('is asked of an agent where the daemon sees no plugins, and holds while none is there', async () => {
    await daemon.stop()
    daemon = await start([])
    const child = spawn('nsenter', [`--net=${node.host.path}`, shim, '--agent'], {
      env: { CNI_PATH: node.binDir, PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
      stdio: 'ignore',
    })
    atEnd(() => child.kill('SIGKILL'))
    const ended = new Promise((resolve) => child.once('exit', resolve))
    renameSync(primary.path, `${primary.path}.aside`)
    await isNow('False', 'PluginMissing')
    child.kill('SIGTERM')
    await ended
    renameSync(`${primary.path}.aside`, primary.path)
    const config = { cniVersion: '1.0.0', name: 'n9' }
    await cluster.createNad({ name: 'n9', config: { ...config, type: 'nobody-looked' } })
    await cluster.createPod({ name: 'amf', networks: 'n9' })
    await cluster.createNad({ name: 'n10', config: { ...config, type: 'primary' } })
    await cluster.createPod({ name: 'ausf', networks: 'n10' })
    // Nobody can look: what was last found holds, and nothing is said of what nobody has looked for.
    await eventually(async () => {
      const { message = '' } = await condition()
      assert.is(
        message,
        `plugin "primary" is not installed; needed by the default network, NAD ${cluster.namespace}/n10`,
      )
    }, SOON_MS)
    for (const pod of ['amf', 'ausf']) await cluster.deletePod(pod)
    await daemon.stop()
    daemon = await start()
    await isNow('True', 'NetworksAvailable')
  })

  it('is looked for where the last shim has searched, when nothing else is named', async () => {
    await daemon.stop()
    daemon = await start([])
    renameSync(primary.path, `${primary.path}.aside`)
    const conf = { cniVersion: '1.1.0', name: 'plexus', type: 'plexus' }
    const status = await runPlexus('STATUS', { executable: shim, conf, path: [node.binDir] })
    assert.is(status.status, 1)
    await isNow('False', 'PluginMissing')
    // A link that leads nowhere here may lead somewhere on the node.
    symlinkSync('/nonexistent/primary', primary.path)
    await isNow('True', 'NetworksAvailable')
    renameSync(`${primary.path}.aside`, primary.path)
    await daemon.stop()
    daemon = await start()
  })

  it('without the right to it the log names the right once, and pods are served', async () => {
    const role = '/apis/rbac.authorization.k8s.io/v1/clusterroles/plexus'
    const { rules } = await cluster.api.ok('GET', role)
    const fewer = rules.filter(
      ({ resources }: { resources: string[] }) => !resources.includes('nodes/status'),
    )
    await cluster.api.ok('PATCH', role, { rules: fewer })
    await eventually(async () => {
      const patch = await cluster.api.call('PATCH', `/api/v1/nodes/${NODE}/status`, {}, { user: 'node' })
      assert.is(patch.status, 403)
    }, SOON_MS)
    renameSync(primary.path, `${primary.path}.aside`)
    const named = /the condition of node worker-1 cannot be written: .*cannot patch resource/
    const lines = (): Record<string, unknown>[] => daemon.log().filter(({ msg }) => named.test(String(msg)))
    await eventually(() => assert.is(lines().length, 1), SOON_MS)
    renameSync(`${primary.path}.aside`, primary.path)
    assert.is((await daemon.get('/readyz')).status, 200)
    assert.is(lines().length, 1)
    await cluster.api.ok('PATCH', role, { rules })
  })
})
