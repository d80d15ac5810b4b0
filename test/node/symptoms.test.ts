import { chmodSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import * as assert from 'uvu/assert'
import type { JsonObject } from '../../src/cni/json.ts'
import { type TestDaemon, eventually as within } from '../rig/daemon.ts'
import { nad } from '../rig/manifests.ts'
import { type PlexusRun, runCli } from '../rig/plexus.ts'
import { debianPlugins } from '../rig/plugin-dirs.ts'
import { stubPlugin } from '../rig/stub.ts'
import type { TestPod } from '../rig/test-node.ts'
import { spec } from '../spec.ts'
import { type DoctorScene, doctorScene, writeOldFile } from './doctor-scene.ts'
import { defaultList } from './keeper.ts'

/** A loaded machine takes its time. */
const eventually = (check: () => void | Promise<void>): Promise<void> => within(check, 20_000)

// Each test is a heading of docs/troubleshooting.md: what is seen, which command names the cause, and that it is
// over when that is put right.
spec('symptoms', (it) => {
  let scene: DoctorScene
  let restarted: TestDaemon | undefined
  let pods = 0

  it.before(async () => {
    scene = await doctorScene()
  })
  it.after(async () => {
    await restarted?.stop()
    await scene.daemon.stop()
  })

  /** A pod and how its runtime calls the shim for it, with the list that is on the node. */
  const newPod = async (networks?: string): Promise<TestPod> => {
    pods += 1
    return await scene.node.pod({ name: `pod-${pods}`, ...(networks === undefined ? {} : { networks }) })
  }
  const call = (pod: TestPod, command: 'ADD' | 'DEL'): Promise<PlexusRun> => {
    const { name, cniVersion, plugins } = JSON.parse(readFileSync(scene.conflist, 'utf8')) as JsonObject & {
      plugins: JsonObject[]
    }
    const path = [scene.binDir, debianPlugins()]
    return pod.run(command, {
      executable: scene.installation.shim,
      conf: { ...plugins[0], name, cniVersion },
      path,
    })
  }
  const assertFails = (run: PlexusRun, words: string): void => {
    assert.is(run.status, 1, run.stdout)
    assert.ok(String(run.json?.msg).includes(words), run.stdout)
  }
  const assertWorks = (run: PlexusRun): void => assert.is(run.status, 0, run.stdout + run.stderr)
  /** The pod comes and goes. */
  const assertStarts = async (pod: TestPod): Promise<void> => {
    assertWorks(await call(pod, 'ADD'))
    assertWorks(await call(pod, 'DEL'))
  }
  const assertNamed = async (id: string, args: readonly string[] = []): Promise<void> => {
    const run = await scene.examine({ args })
    assert.ok(run.ids.includes(id), `no ${id} in ${run.stdout}${run.stderr}`)
  }

  it('A pod says: failed to find plugin', async () => {
    scene.node.write(nad({ name: 'n3', config: { cniVersion: '1.0.0', name: 'n3', type: 'late' } }))
    const pod = await newPod('n3')
    assertFails(await call(pod, 'ADD'), 'failed to find plugin "late" in path')
    await assertNamed('nad-plugin-missing')
    stubPlugin(scene.binDir, 'late')
    await assertStarts(pod)
  })

  it('A pod says: cannot find a network-attachment-definition', async () => {
    const pod = await newPod('n66')
    assertFails(
      await call(pod, 'ADD'),
      'cannot find a network-attachment-definition (n66) in namespace (default)',
    )
    const { name } = pod.manifest.metadata
    const args = ['explain', '--pod', `default/${name}`, '--manifests', scene.node.manifests]
    const explained = await runCli([...args, '--conf', scene.conflist])
    assert.match(explained.stdout + explained.stderr, 'n66')
    assert.is(explained.status, 1)
    scene.node.write(nad({ name: 'n66', config: { cniVersion: '1.0.0', name: 'n66', type: 'extra' } }))
    await assertStarts(pod)
  })

  it('A pod says: the plexus daemon does not answer', async () => {
    scene.daemon.kill('SIGKILL')
    await scene.daemon.ended
    const pod = await newPod('n6')
    assertFails(await call(pod, 'ADD'), 'the plexus daemon does not answer')
    await assertNamed('daemon-not-listening')
    restarted = await scene.installation.start()
    await assertStarts(pod)
  })

  it('A pod says: the default network is not there', async () => {
    rmSync(join(scene.node.confDir, '10-primary.conflist'))
    const pod = await newPod()
    // What was there a moment ago counts until it is clear that it is gone.
    const lines = (): string => (restarted ?? scene.daemon).lines().join('\n')
    await eventually(() => assert.match(lines(), 'no default network in'))
    assertFails(await call(pod, 'ADD'), '10-primary.conflist does not exist')
    await assertNamed('default-network-missing')
    scene.put('10-primary.conflist', defaultList('cluster-net', 'primary'))
    await eventually(async () => assert.is(await scene.daemonText('/readyz'), 'ready'))
    await assertStarts(pod)
  })

  it('Pods start with eth0 alone, and no error', async () => {
    const before = scene.put('00-other.conflist', defaultList('other', 'primary'))
    await assertNamed('conflist-shadowed')
    await eventually(async () =>
      assert.match(await scene.daemonText('/readyz'), '00-other.conflist sorts before'),
    )
    rmSync(before)
    await eventually(async () => assert.is(await scene.daemonText('/readyz'), 'ready'))
  })

  it('The list of Plexus disappears on nodes with Cilium', async () => {
    const renamed = `${scene.conflist}.cilium_bak`
    renameSync(scene.conflist, renamed)
    await eventually(async () => assertWorks(await call(await newPod(), 'ADD')))
    await assertNamed('cilium-exclusive')
    rmSync(renamed)
    const run = await scene.examine()
    assert.not.ok(run.ids.includes('cilium-exclusive'))
  })

  it('A pod says: no IP addresses available in range set', async () => {
    const { bridge, leaseDir } = scene.node
    const ranges = [[{ subnet: '10.77.0.0/24', rangeStart: '10.77.0.5', rangeEnd: '10.77.0.5' }]]
    const ipam = { type: 'host-local', dataDir: leaseDir, ranges }
    scene.node.write(nad({ name: 'pool', config: bridge(77, { ipam }) }))
    const lease = join(leaseDir, 'bridge-77', '10.77.0.5')
    writeOldFile(lease, 'gone-for-long\r\nnet1')
    const pod = await newPod('pool')
    assertFails(await call(pod, 'ADD'), 'no IP addresses available in range set')
    await assertNamed('lease-stale', ['--fix'])
    await assertStarts(pod)
  })

  it('A pod stays in Terminating', async () => {
    const pod = await newPod('n6')
    assertWorks(await call(pod, 'ADD'))
    scene.extra.behave({ del: { error: { code: 105, msg: 'the device is busy' } } })
    assertFails(await call(pod, 'DEL'), 'the device is busy')
    await assertNamed('undo-pending')
    scene.extra.behave({})
    assertWorks(await call(pod, 'DEL'))
  })

  it('A pod says: can be written by others than root', async () => {
    chmodSync(scene.extra.path, 0o777)
    const pod = await newPod('n6')
    // Who has found it a moment ago looks again before it is started.
    assertFails(await call(pod, 'ADD'), 'can be written by others than root')
    await assertNamed('plugin-refused')
    chmodSync(scene.extra.path, 0o755)
    await assertStarts(pod)
  })

  it('A pod says: socket directory … must be a directory of root’s with mode 0700', async () => {
    chmodSync(dirname(scene.installation.socket), 0o755)
    const pod = await newPod('n6')
    assertFails(await call(pod, 'ADD'), "must be a directory of root's with mode 0700")
    await assertNamed('socket-dir-insecure', ['--fix'])
    await assertStarts(pod)
  })

  it('A pod says: CNI version … was asked of … it supports', async () => {
    scene.extra.behave({ versions: ['0.3.1', '0.4.0'] })
    const pod = await newPod('n6')
    assertFails(await call(pod, 'ADD'), 'CNI version 1.0.0 was asked of "extra", it supports 0.3.1, 0.4.0')
    await assertNamed('nad-plugin-version')
    scene.extra.behave({})
    await assertStarts(pod)
  })
})
