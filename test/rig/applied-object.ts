import type { DeployedObject } from './deployment.ts'
import type { KubeApiserver } from './kube-apiserver.ts'

/** Where the API server has the objects of each kind that an overlay has. */
const PATHS: Readonly<Record<string, string>> = {
  ServiceAccount: '/api/v1/namespaces/kube-system/serviceaccounts',
  ConfigMap: '/api/v1/namespaces/kube-system/configmaps',
  ClusterRole: '/apis/rbac.authorization.k8s.io/v1/clusterroles',
  ClusterRoleBinding: '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings',
  DaemonSet: '/apis/apps/v1/namespaces/kube-system/daemonsets',
}

/** Path of an object at the API server. @throws For one that is of no overlay for everybody. */
export function pathOf({ kind, metadata }: DeployedObject): string {
  const path = PATHS[kind]
  if (path === undefined) throw new Error(`no path is known for a ${kind}`)
  return `${path}/${metadata.name}`
}

/** Applies an object, as `kubectl apply --server-side` does. @throws What the API server says when it refuses. */
export async function applyObject(api: KubeApiserver, object: DeployedObject): Promise<void> {
  const query = 'fieldManager=test&force=true&fieldValidation=Strict'
  const contentType = 'application/apply-patch+yaml'
  await api.ok('PATCH', `${pathOf(object)}?${query}`, object, { contentType })
}
