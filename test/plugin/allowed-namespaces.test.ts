import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { nad } from '../rig/manifests.ts'
import { spec } from '../spec.ts'
import { assertAdded, assertDone, assertRefused, type StubNode, stubNode } from './stub-node.ts'

const SELECTOR = 'plexus-cni.io/allowed-namespaces'

spec('a NAD that is only for some namespaces', (it) => {
  let node: StubNode

  it.before(async () => {
    node = await stubNode()
    const config = { cniVersion: '1.0.0', type: 'alpha' }
    node.write(
      nad({ name: 'core', namespace: 'infra', config, annotations: { [SELECTOR]: 'team in (core)' } }),
    )
  })

  const label = (namespace: string, labels: object): void =>
    writeFileSync(
      join(node.manifests, `namespace-${namespace}.json`),
      JSON.stringify({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace, labels } }),
    )
  const ways = [
    ['networks', { networks: 'infra/core' }],
    ['default-network', { networks: '', defaultNetwork: 'infra/core' }],
  ] as const

  for (const [annotation, networks] of ways) {
    it(`holds for the ${annotation} annotation: labels that are not known, do not match, match`, async () => {
      const namespace = `telco-${annotation.slice(0, 3)}`
      const pod = await node.pod({ name: annotation, namespace, ...networks })
      const before = await node.watch(pod)
      const waiting = `the labels of the namespace are not known`
      assertRefused(await pod.run('ADD'), 11, waiting, `create the namespace ${namespace}`)
      label(namespace, { team: 'web' })
      assertRefused(await pod.run('ADD'), 104, `may not be used from namespace ${namespace}`)
      await node.assertClean(before)
      label(namespace, { team: 'core' })
      assertAdded(await pod.run('ADD'))
      // What is attached stays, and can be undone, whatever becomes of the labels.
      label(namespace, { team: 'web' })
      assertDone(await pod.run('DEL'))
      await node.assertClean(before)
    })
  }
})
