import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { assertAdded, assertDone, assertRefused, stubNode } from '../plugin/stub-node.ts'
import { eventually, startDaemonAt } from '../rig/daemon.ts'
import { packageCopy } from '../rig/package-copy.ts'
import { type PlexusRun, runCli } from '../rig/plexus.ts'
import { leases } from '../rig/state-files.ts'
import { tempDir } from '../rig/temp-dir.ts'
import type { TestPod } from '../rig/test-node.ts'
import { spec } from '../spec.ts'

/** A busy machine is slow to start programs. */
const soon = (check: () => void | Promise<void>): Promise<void> => eventually(check, 20_000)

spec('a node whose daemon is gone, or does not come up', (it) => {
  it('pods without annotations start, annotated ones are told why not, old ones delete', async () => {
    const node = await stubNode()
    const { confDir, manifests, stateDir } = node
    const dir = tempDir('installed')
    const binDir = join(dir, 'bin')
    mkdirSync(binDir, { mode: 0o755 })
    mkdirSync(join(dir, 'run'), { mode: 0o700 })
    const socket = join(dir, 'run/plexus.sock')
    const folders = ['--bin-dir', binDir, '--state-dir', stateDir, '--socket', socket]
    const { plexus } = packageCopy()
    const waits = ['--plugin-dir', node.binDir, '--add-wait', '3', '--del-wait', '0']
    const installed = await runCli(['install', ...folders, ...waits], { executable: plexus })
    assert.is(installed.status, 0, installed.stderr)
    const list = { cniVersion: '1.0.0', name: 'cluster-net', plugins: [{ type: 'primary' }] }
    writeFileSync(join(confDir, '10-primary.conflist'), JSON.stringify(list))
    const confFile = join(dir, 'daemon.json')
    const conf = { socket, stateDir, confDir, manifests, installConflist: true, conflistDir: confDir }
    writeFileSync(confFile, JSON.stringify({ ...conf, metricsAddress: '127.0.0.1:0' }))
    const daemon = await startDaemonAt(confFile)
    const path = join(confDir, '00-plexus.conflist')
    await soon(() => assert.ok(existsSync(path)))
    const call = (pod: TestPod, command: string): Promise<PlexusRun> => {
      const { plugins, name, cniVersion } = JSON.parse(readFileSync(path, 'utf8'))
      const [plugin] = plugins
      assert.is(plugin.capabilities['io.kubernetes.cri.pod-annotations'], true)
      // The stub's way to have no second network is an empty annotation, which already asks.
      const { annotations = {} } = pod.manifest.metadata
      const isPlain = Object.values(annotations).every((value) => value === '')
      const runtimeConfig = { 'io.kubernetes.cri.pod-annotations': isPlain ? {} : annotations }
      return pod.run(command, {
        executable: join(binDir, 'plexus'),
        conf: { ...plugin, name, cniVersion, runtimeConfig },
        path: [node.binDir],
      })
    }
    const old = await node.pod({ name: 'old', networks: 'alpha-net' })
    assertAdded(await call(old, 'ADD'))
    // As `kubectl delete -k` does: the daemon goes, what is installed stays.
    await daemon.stop()
    assert.ok(existsSync(path))
    const plain = await node.pod({ name: 'plain', networks: '' })
    assertAdded(await call(plain, 'ADD'))
    assert.match(node.steps().at(-1) ?? '', 'primary ADD eth0')
    const annotated = await node.pod({ name: 'annotated', networks: 'alpha-net' })
    assertRefused(await call(annotated, 'ADD'), 11, 'does not answer')
    const status = await call(annotated, 'STATUS')
    assert.is(status.json?.code, 50)
    assert.match(status.stdout, socket)
    assertDone(await call(old, 'DEL'))
    assertDone(await call(plain, 'DEL'))
    assertDone(await call(annotated, 'DEL'))
    assert.equal(leases(node.leaseDir), [])
  })
})
