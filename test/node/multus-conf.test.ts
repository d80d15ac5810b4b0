import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { debianPlugins } from '../rig/plugin-dirs.ts'
import { filesBelow, leases } from '../rig/state-files.ts'
import { testNode } from '../rig/test-node.ts'
import { spec } from '../spec.ts'

spec('a net-conf of Multus with only its type replaced', (it) => {
  it('inline delegates are attached, checked and deleted', async () => {
    const node = await testNode()
    const ready = join(node.confDir, 'ready')
    writeFileSync(ready, '')
    const multus = {
      cniVersion: '0.3.1',
      name: 'multus-cni-network',
      type: 'multus',
      confDir: node.confDir,
      cniDir: node.stateDir,
      binDir: debianPlugins(),
      logFile: join(node.confDir, 'multus.log'),
      logLevel: 'verbose',
      logToStderr: false,
      logOptions: { maxAge: 5, maxSize: 100, maxBackups: 5, compress: true },
      readinessindicatorfile: ready,
      namespaceIsolation: false,
      globalNamespaces: 'default,kube-system',
      retryDeleteOnError: true,
      capabilities: { portMappings: true },
      runtimeConfig: { portMappings: [] },
      delegates: [
        {
          cniVersion: '0.3.1',
          name: 'cbr0',
          plugins: [
            node.bridge(90, { isDefaultGateway: true }),
            { type: 'portmap', capabilities: { portMappings: true } },
          ],
        },
        node.bridge(91, { cniVersion: '0.3.1', name: 'storage' }),
      ],
    }
    const pod = await node.pod()
    const call = { conf: { ...multus, type: 'plexus' } }
    const added = await pod.run('ADD', call)
    assert.is(added.status, 0, added.stdout + added.stderr)
    assert.equal(
      (await pod.netns.links()).map(({ ifname }) => ifname),
      ['lo', 'eth0', 'net1'],
    )
    assert.is(added.stderr, '')
    assert.is((await pod.run('DEL', call)).status, 0)
    assert.equal(leases(node.leaseDir), [])
    assert.equal(filesBelow(node.stateDir), [])
  })

  it('while the default network is not ready, ADD waits in the words that Multus has for it', async () => {
    const node = await testNode()
    const conf = node.conf({ readinessindicatorfile: '/nonexistent/ready', readinessTimeout: 0.3 })
    const pod = await node.pod()
    const { json } = await pod.run('ADD', { conf })
    assert.is(json?.code, 11)
    assert.match(String(json?.msg), /have you checked that your default network is ready\?/)
  })
})
