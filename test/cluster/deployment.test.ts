import * as assert from 'uvu/assert'
import { eventually } from '../rig/daemon.ts'
import {
  asOfTestServer,
  type DeployedObject,
  deployedObject,
  deployedObjects,
  overlays,
} from '../rig/deployment.ts'
import { type KubeApiserver, startKubeApiserver } from '../rig/kube-apiserver.ts'
import { spec } from '../spec.ts'

const AGENT = 'deploy/components/agent'
const FOLDERS = ['deploy/base', AGENT, ...overlays()]
/** Kinds that only a distribution has. */
const FOREIGN: Readonly<Record<string, readonly string[]>> = {
  'deploy/overlays/openshift': ['SecurityContextConstraints'],
}
const PATHS: Readonly<Record<string, string>> = {
  ServiceAccount: '/api/v1/namespaces/kube-system/serviceaccounts',
  ConfigMap: '/api/v1/namespaces/kube-system/configmaps',
  ClusterRole: '/apis/rbac.authorization.k8s.io/v1/clusterroles',
  ClusterRoleBinding: '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings',
  DaemonSet: '/apis/apps/v1/namespaces/kube-system/daemonsets',
}

spec('deploy/ and its overlays at a real API server', (it) => {
  let api: KubeApiserver

  const apply = (object: DeployedObject, query: string): ReturnType<KubeApiserver['call']> =>
    api.call(
      'PATCH',
      `${PATHS[object.kind] ?? object.kind}/${object.metadata.name}?fieldManager=test&force=true&fieldValidation=Strict${query}`,
      object,
      { contentType: 'application/apply-patch+yaml' },
    )

  it.before(async () => {
    api = await startKubeApiserver()
    await eventually(async () => void (await api.ok('GET', '/api/v1/namespaces/kube-system')), 20_000)
  })
  it.after(() => api.close())

  it('takes each object of each overlay on trial, every field known, but for what only its distribution has', async () => {
    for (const folder of FOLDERS) {
      const refused: string[] = []
      for (const object of deployedObjects(folder)) {
        const { status, body } = await apply(asOfTestServer(object), '&dryRun=All')
        if (PATHS[object.kind] === undefined) refused.push(object.kind)
        else assert.is(status, 201, `${folder} ${object.kind}: ${body.message}`)
      }
      assert.equal(refused, FOREIGN[folder] ?? [], folder)
    }
  })

  it('the field that this API server is too old for is maxSurge, and a field that none knows is refused', async () => {
    const set = deployedObject('DaemonSet')
    const { status, body } = await apply(set, '&dryRun=All')
    assert.ok(status >= 400)
    assert.match(body.message, 'maxSurge: field not declared in schema')
    const wrong = asOfTestServer({ ...set, spec: { ...set.spec, minReadySecond: 10 } })
    assert.match((await apply(wrong, '&dryRun=All')).body.message, 'minReadySecond')
  })

  it('keeps what the manifest says: defaults come on top, nothing is dropped', async () => {
    const object = asOfTestServer(deployedObject('DaemonSet', 'deploy/overlays/microk8s'))
    const { status, body } = await apply(object, '')
    assert.is(status, 201)
    assertContains(body.spec, object.spec, '/spec')
  })
})

/** Whether all of an object is in another, at the same places. */
function assertContains(whole: unknown, part: unknown, at: string): void {
  if (typeof part !== 'object' || part === null) {
    assert.is(whole, part, at)
    return
  }
  assert.ok(typeof whole === 'object' && whole !== null, at)
  for (const [key, value] of Object.entries(part))
    assertContains((whole as Record<string, unknown>)[key], value, `${at}/${key}`)
}
