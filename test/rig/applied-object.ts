import type { DeployedObject } from './deployment.ts'
import type { KubeApiserver } from './kube-apiserver.ts'

/** Where the API server has the objects of each kind that an overlay has. */
const PATHS: Readonly<Record<string, string>> = {
  ServiceAccount: '/api/v1/namespaces/kube-system/serviceaccounts',
  ConfigMap: '/api/v1/namespaces/kube-system/configmaps',
  ClusterRole: '/apis/rbac.authorization.k8s.io/v1/clusterroles',
  ClusterRoleBinding: '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings',
  DaemonSet: '/apis/apps/v1/namespaces/kube-system/daemonsets',
  Service: '/api/v1/namespaces/kube-system/services',
  Deployment: '/apis/apps/v1/namespaces/kube-system/deployments',
  PodDisruptionBudget: '/apis/policy/v1beta1/namespaces/kube-system/poddisruptionbudgets',
  ValidatingWebhookConfiguration: '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations',
  MutatingWebhookConfiguration: '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations',
}

/** Whether the API server of the tests serves a kind: no distribution's own, none of cert-manager. */
export const isServedKind = (kind: string): boolean => Object.hasOwn(PATHS, kind)

/** Path of an object at the API server. @throws For one of a kind that it does not serve. */
export function pathOf({ kind, metadata }: DeployedObject): string {
  const path = PATHS[kind]
  if (path === undefined) throw new Error(`no path is known for a ${kind}`)
  return `${path}/${metadata.name}`
}

/**
 * The call that applies an object, as `kubectl apply --server-side` does.
 *
 * @param query More of the query, from its `&` on.
 * @throws As {@link pathOf}.
 */
export function applyCall(object: DeployedObject, query = ''): Parameters<KubeApiserver['call']> {
  const path = `${pathOf(object)}?fieldManager=test&force=true&fieldValidation=Strict${query}`
  return ['PATCH', path, object, { contentType: 'application/apply-patch+yaml' }]
}
