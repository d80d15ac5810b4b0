import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { assertAdded, assertDone, stubNode } from '../plugin/stub-node.ts'
import { certificateAuthority } from '../rig/certificates.ts'
import { eventually, installDaemon } from '../rig/daemon.ts'
import { writeKubeconfig } from '../rig/kubeconfig.ts'
import { assertNothingLeft } from '../rig/leftovers.ts'
import { tempDir } from '../rig/temp-dir.ts'
import { spec } from '../spec.ts'
import { type ClusterScene, clusterScene } from './scene.ts'

const ROUNDS = 6

/** Replaces a file as a projected volume does: at once. */
function replace(path: string, text: string): void {
  writeFileSync(`${path}.new`, text, { mode: 0o600 })
  renameSync(`${path}.new`, path)
}

spec('pods that come and go', (it) => {
  let scene: ClusterScene

  it.before(async () => {
    scene = await clusterScene()
    const { namespace, api } = scene
    await api.ok('POST', `/api/v1/namespaces/${namespace}/serviceaccounts`, { metadata: { name: 'plexus' } })
    await api.ok('POST', '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', {
      metadata: { name: 'plexus-account' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'plexus' },
      subjects: [{ kind: 'ServiceAccount', name: 'plexus', namespace }],
    })
  })
  it.after(() => scene.close())

  it('while token and authority change and watches are closed every second: no failure, all are told of', async () => {
    const { namespace, api, proxy } = scene
    const node = await stubNode()
    await scene.createNad({ name: 'alpha-net', config: { cniVersion: '1.0.0', type: 'alpha' } })
    const dir = tempDir('serviceaccount')
    const [ca, tokenFile] = [join(dir, 'ca.crt'), join(dir, 'token')]
    const trust = (...authorities: readonly { readonly ca: string }[]): void =>
      replace(ca, authorities.map((authority) => readFileSync(authority.ca, 'utf8')).join(''))
    const renewToken = async (round: number): Promise<void> => {
      // Two of the same second and age would be the same.
      const spec = { audiences: ['https://kubernetes.default.svc'], expirationSeconds: 700 + round }
      const path = `/api/v1/namespaces/${namespace}/serviceaccounts/plexus/token`
      replace(tokenFile, (await api.ok('POST', path, { spec })).status.token)
    }
    let authority = api.authority
    trust(authority)
    await renewToken(0)
    const kubeconfig = writeKubeconfig({ server: proxy.server, ca, tokenFile })
    const { shim: executable, start } = installDaemon(node, { conf: { kubeconfig } })
    const daemon = await start({ wrap: ['env', 'NODE_NAME=worker-1'] })
    const { manifests: _, ...conf } = node.conf() as Record<string, unknown>
    const closing = setInterval(() => proxy.reset(), 1000)
    try {
      for (let round = 1; round <= ROUNDS; round++) {
        const next = certificateAuthority(`authority-${round}`)
        // Both are trusted while the server changes over, as Kubernetes does it.
        trust(authority, next)
        proxy.rotate(next)
        await renewToken(round)
        trust(next)
        authority = next
        // One that is followed, and one that has to be asked for.
        const pods = await Promise.all(
          ['worker-1', 'worker-2'].map(async (on) => {
            const name = `round-${round}-on-${on}`
            const uid = await scene.createPod({ name, node: on, networks: 'alpha-net' })
            return { name, pod: await node.pod({ name, namespace, uid }) }
          }),
        )
        const before = await node.watch(...pods.map(({ pod }) => pod))
        for (let turn = 0; turn < 3; turn++) {
          const runs = await Promise.all(pods.map(({ pod }) => pod.run('ADD', { executable, conf })))
          for (const run of runs) assertAdded(run)
          if (turn === 2) {
            await eventually(async () => {
              for (const { name } of pods) {
                const { metadata } = await api.ok('GET', scene.podPath(name))
                assert.match(metadata.annotations['k8s.v1.cni.cncf.io/network-status'] ?? '', 'net1')
              }
            }, 30_000)
          }
          for (const { pod } of pods) assertDone(await pod.run('DEL', { executable, conf }))
        }
        // A daemon removes a record after its answer.
        if (round > 1) await eventually(() => assertNothingLeft(before))
      }
    } finally {
      clearInterval(closing)
    }
    assert.is(await daemon.stop(), 0)
  })
})
