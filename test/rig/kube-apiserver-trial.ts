// Whether the API server in a directory works: `kube-apiserver-trial.ts DIR`. A build with a faulty
// library starts and says that it is ready, and dies when a custom resource is written.
import process from 'node:process'
import { startKubeApiserver } from './kube-apiserver.ts'
import { nad } from './manifests.ts'

async function main(): Promise<void> {
  const api = await startKubeApiserver(process.argv[2])
  const path = '/apis/k8s.cni.cncf.io/v1/namespaces/default/network-attachment-definitions'
  await api.ok('POST', path, nad({ name: 'trial', config: { cniVersion: '1.0.0', type: 'bridge' } }))
  await api.ok('GET', `${path}/trial`)
  await api.ok('DELETE', `${path}/trial`)
  await api.close()
}

main().catch((error: unknown) => {
  console.error(error)
  process.exit(1)
})
