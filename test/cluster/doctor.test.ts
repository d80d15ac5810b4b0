import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { defaultList } from '../node/keeper.ts'
import { writeKubeconfig } from '../rig/kubeconfig.ts'
import { runCli } from '../rig/plexus.ts'
import { stubPlugin } from '../rig/stub.ts'
import { type TestNode, testNode } from '../rig/test-node.ts'
import { spec } from '../spec.ts'
import { type ClusterScene, clusterScene } from './scene.ts'

interface Finding {
  readonly id: string
  readonly what: string
  readonly evidence: readonly string[]
}

spec('plexus doctor and a cluster', (it) => {
  let cluster: ClusterScene
  let node: TestNode

  it.before(async () => {
    cluster = await clusterScene()
    node = await testNode('doctor')
    stubPlugin(node.binDir, 'primary')
    writeFileSync(
      join(node.confDir, '10-primary.conflist'),
      JSON.stringify(defaultList('cluster-net', 'primary')),
    )
    const { namespace } = cluster
    for (let index = 0; index < 3; index++)
      await cluster.createNad({ name: `n${index}`, config: { cniVersion: '1.0.0', type: 'not-there' } })
    await cluster.createNad({ name: 'wrong', namespace, config: '{' })
  })
  it.after(() => cluster.close())

  const findings = async (token: string): Promise<Finding[]> => {
    const { api } = cluster
    const kubeconfig = writeKubeconfig({ server: api.server, ca: api.authority.ca, token })
    const folders = ['--bin-dir', node.binDir, '--conf-dir', node.confDir, '--state-dir', node.stateDir]
    const run = await runCli(['doctor', ...folders, '--kubeconfig', kubeconfig, '-o', 'json'])
    assert.ok(Array.isArray(run.json?.findings), run.stdout + run.stderr)
    return run.json.findings as unknown as Finding[]
  }

  it('names every network of the cluster whose plugin is missing, and those that are wrong', async () => {
    const found = await findings('node-token')
    const missing = found.find(({ id }) => id === 'nad-plugin-missing')
    assert.equal(
      missing?.evidence.slice(0, 3),
      [0, 1, 2].map((index) => `needed by NAD ${cluster.namespace}/n${index}`),
    )
    assert.match(found.find(({ id }) => id === 'nad-invalid')?.what ?? '', `${cluster.namespace}/wrong`)
    assert.not.ok(found.some(({ id }) => id === 'cluster-unreachable'))
  })

  it('says which right is missing, and finds the rest', async () => {
    const found = await findings('nobody-token')
    const { what = '' } = found.find(({ id }) => id === 'cluster-unreachable') ?? {}
    assert.match(what, /403: cannot list resource "network-attachment-definitions"/)
    assert.ok(found.some(({ id }) => id === 'default-network'))
  })
})
