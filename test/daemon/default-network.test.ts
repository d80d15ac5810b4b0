import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import * as assert from 'uvu/assert'
import type { JsonObject } from '../../src/cni/json.ts'
import { defaultList } from '../node/keeper.ts'
import { referenceCalls } from '../plugin/reference-library.ts'
import { eventually, type Installation, installDaemon, type TestDaemon } from '../rig/daemon.ts'
import { podArgs } from '../rig/manifests.ts'
import type { PlexusRun } from '../rig/plexus.ts'
import { stubCalls, stubPlugin } from '../rig/stub.ts'
import { type TestNode, type TestPod, testNode } from '../rig/test-node.ts'
import { spec } from '../spec.ts'

const LIMIT_MS = 2000

interface Scene {
  readonly node: TestNode
  readonly installation: Installation
  readonly daemon: TestDaemon
  /** Our list on the node. */
  readonly path: string
  list(): JsonObject & { plugins: JsonObject[] }
  /** Puts a default network's file there. */
  put(name: string, list: JsonObject): void
  remove(name: string): void
  /** Calls what the runtime calls first in our list, as the reference library does. */
  runtime(command: 'ADD' | 'CHECK' | 'DEL', pod: TestPod, result?: JsonObject): Promise<PlexusRun>
  /** Plugins that were called so far, `type COMMAND`. */
  steps(): string[]
}

/** A node whose daemon keeps the runtime's list. */
async function scene(more: object = {}): Promise<Scene> {
  const node = await testNode()
  const { confDir, manifests, binDir } = node
  for (const type of ['primary', 'other', 'istio-cni']) stubPlugin(binDir, type)
  const installation = installDaemon(node, {
    conf: { installConflist: true, conflistDir: confDir, confDir, manifests, ...more },
  })
  const daemon = await installation.start()
  const path = join(confDir, '00-plexus.conflist')
  const list = (): JsonObject & { plugins: JsonObject[] } => JSON.parse(readFileSync(path, 'utf8'))
  return {
    node,
    installation,
    daemon,
    path,
    list,
    put(name, content) {
      writeFileSync(join(confDir, `.${name}`), JSON.stringify(content))
      renameSync(join(confDir, `.${name}`), join(confDir, name))
    },
    remove: (name) => rmSync(join(confDir, name)),
    runtime(command, pod, result) {
      const { containerId, netns, manifest } = pod
      const [reference] = referenceCalls(
        command,
        list(),
        {
          ...{ containerId, netns: netns.path, ifName: 'eth0', path: binDir, capabilityArgs: {} },
          args: podArgs(manifest, containerId),
        },
        { result },
      )
      return pod.run(command, {
        executable: installation.shim,
        conf: reference?.stdin ?? {},
        path: [binDir],
      })
    },
    steps: () =>
      stubCalls(binDir)
        .filter(({ command }) => command !== 'VERSION')
        .map(({ type, command }) => `${type} ${command}`),
  }
}

const soon = (check: () => void | Promise<void>): Promise<void> => eventually(check, LIMIT_MS)

function assertDone(run: PlexusRun): void {
  assert.is(run.status, 0, `stdout ${run.stdout}, stderr ${run.stderr}`)
}

spec('default network that the daemon keeps', (it) => {
  it('before there is one the daemon is not ready, then it is, and pods start', async () => {
    const { node, daemon, path, put, list, runtime, steps } = await scene()
    assert.is((await daemon.get('/readyz')).status, 503)
    assert.not.ok(existsSync(path))
    put('10-primary.conflist', defaultList('cluster-net', 'primary'))
    await soon(() => assert.ok(existsSync(path)))
    await eventually(async () => assert.is((await daemon.get('/readyz')).status, 200))
    // What the fallback needs without the daemon; not what only the daemon can read.
    const { stateDir, confDir } = node
    const { stateDir: state, confDir: conf, defaultNetwork, manifests } = list().plugins[0] ?? {}
    assert.equal([state, conf, manifests], [stateDir, confDir, undefined])
    assert.is(defaultNetwork, join(confDir, '10-primary.conflist'))
    const pod = await node.pod()
    assertDone(await runtime('ADD', pod))
    assert.equal(steps(), ['primary ADD'])
    assertDone(await runtime('DEL', pod))
    await daemon.stop()
    assert.ok(existsSync(path), 'our list stays when the daemon stops')
  })

  it('another one takes its place without a restart; running pods keep what they were attached with', async () => {
    const { node, daemon, put, remove, list, runtime, steps } = await scene()
    put('10-primary.conflist', { ...defaultList('cluster-net', 'primary'), cniVersion: '1.0.0' })
    await soon(() => void list())
    const old = await node.pod({ name: 'old' })
    const added = await runtime('ADD', old)
    assertDone(added)
    remove('10-primary.conflist')
    put('10-other.conflist', defaultList('other-net', 'other'))
    await soon(() => assert.match(String(list().plugins[0]?.defaultNetwork), '10-other.conflist'))
    const young = await node.pod({ name: 'young' })
    assertDone(await runtime('ADD', young))
    assertDone(await runtime('CHECK', old, added.json))
    assertDone(await runtime('DEL', old, added.json))
    assertDone(await runtime('DEL', young))
    assert.equal(steps(), ['primary ADD', 'other ADD', 'primary CHECK', 'primary DEL', 'other DEL'])
    await daemon.stop()
  })

  it('while it is missing nothing that lay beside it stands in for it, not after a restart either', async () => {
    const { node, installation, daemon, put, remove, list, runtime, steps } = await scene()
    stubPlugin(node.binDir, 'calico')
    const calico = defaultList('k8s-pod-network', 'calico')
    put('10-calico.conflist', calico)
    await soon(() => void list())
    put('05-podman.conflist', defaultList('podman', 'other'))
    await soon(() =>
      assert.ok(daemon.log().some(({ msg }) => String(msg).includes('05-podman.conflist is passed'))),
    )
    remove('10-calico.conflist')
    await eventually(async () => assert.is((await daemon.get('/readyz')).status, 503))
    await daemon.stop()
    const again = await installation.start()
    const { status, body } = await again.get('/readyz')
    assert.is(status, 503)
    assert.match(body, '10-calico.conflist does not exist')
    const pod = await node.pod()
    const refused = await runtime('ADD', pod)
    assert.is(refused.status, 1)
    assert.match(refused.stdout, '10-calico.conflist does not exist')
    put('10-calico.conflist', calico)
    await eventually(async () => assert.is((await again.get('/readyz')).status, 200))
    assertDone(await runtime('ADD', pod))
    assertDone(await runtime('DEL', pod))
    assert.equal(steps(), ['calico ADD', 'calico DEL'])
    await again.stop()
  })

  it('a half-written file does not fail a pod', async () => {
    const { node, daemon, put, list, runtime, steps } = await scene()
    put('10-primary.conflist', defaultList('cluster-net', 'primary'))
    await soon(() => void list())
    writeFileSync(join(node.confDir, '10-primary.conflist'), '{"name": "cluster-net", "plug')
    await delay(1000)
    const pod = await node.pod()
    assertDone(await runtime('ADD', pod))
    assertDone(await runtime('DEL', pod))
    assert.equal(steps(), ['primary ADD', 'primary DEL'])
    await daemon.stop()
  })

  it('a plugin that is in the default network and in our list is called by the runtime alone', async () => {
    const { node, daemon, path, put, list, runtime, steps } = await scene()
    put('10-primary.conflist', defaultList('cluster-net', 'primary', 'istio-cni'))
    await soon(() => void list())
    const before = await node.pod({ name: 'before' })
    assertDone(await runtime('ADD', before))
    assert.equal(steps(), ['primary ADD', 'istio-cni ADD'])
    put(basename(path), { ...list(), plugins: [...list().plugins, { type: 'istio-cni' }] })
    await soon(() => assert.equal(list().plugins[0]?.calledByRuntime, ['istio-cni']))
    const after = await node.pod({ name: 'after' })
    assertDone(await runtime('ADD', after))
    assert.equal(steps().slice(2), ['primary ADD'])
    for (const pod of [before, after]) assertDone(await runtime('DEL', pod))
    await daemon.stop()
  })

  it('taken away it is put back, said in the log, and not while Plexus is being uninstalled', async () => {
    const { node, daemon, path, put } = await scene()
    put('10-primary.conflist', defaultList('cluster-net', 'primary'))
    await soon(() => assert.ok(existsSync(path)))
    renameSync(path, `${path}.cilium_bak`)
    await soon(() => assert.ok(existsSync(path)))
    // Said when it is there.
    await eventually(() => {
      const line = daemon.log().find(({ msg }) => String(msg).includes('put back'))
      assert.match(String(line?.msg), 'set cni.exclusive=false')
    })
    writeFileSync(join(node.stateDir, 'uninstalling'), '')
    rmSync(path)
    await delay(1500)
    assert.not.ok(existsSync(path))
    await daemon.stop()
  })

  it('what it finds wrong is in /readyz: a file that the runtime finds before ours', async () => {
    const { daemon, path, put } = await scene()
    put('10-primary.conflist', defaultList('cluster-net', 'primary'))
    await soon(() => assert.ok(existsSync(path)))
    put('00-danm.conf', { cniVersion: '0.3.1', name: 'meta_cni', type: 'danm' })
    await eventually(async () => {
      const { status, body } = await daemon.get('/readyz')
      assert.is(status, 200)
      assert.match(body, '00-danm.conf sorts before')
    })
    await daemon.stop()
  })

  it('one that the configuration names is not searched for; a changed configuration is taken over', async () => {
    const primary = { cniVersion: '1.0.0', name: 'named', type: 'primary' }
    const { node, installation, daemon, list, runtime, steps, put } = await scene({ delegates: [primary] })
    put('10-other.conflist', defaultList('other-net', 'other'))
    await soon(() => void list())
    assert.is(list().plugins[0]?.defaultNetwork, undefined)
    assert.match(JSON.stringify(list().plugins[0]?.capabilities), '"portMappings":true')
    const pod = await node.pod()
    assertDone(await runtime('ADD', pod))
    assertDone(await runtime('DEL', pod))
    const { confDir, manifests } = node
    installation.configure({
      ...{ installConflist: true, conflistDir: confDir, confDir, manifests },
      runtimeCniVersion: '1.1.0',
    })
    await eventually(() => assert.match(String(list().plugins[0]?.defaultNetwork), '10-other.conflist'))
    assert.is(list().cniVersion, '1.1.0')
    assertDone(await runtime('ADD', pod))
    assertDone(await runtime('DEL', pod))
    assert.equal(steps(), ['primary ADD', 'primary DEL', 'other ADD', 'other DEL'])
    await daemon.stop()
  })
})
