import { CniError, toCniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import type { Labels } from '../network/label-selector.ts'
import type { NetworkAttachmentDefinition } from '../network/nad.ts'
import type { NetworkStatusEntry } from '../network/network-status.ts'
import type { Pod } from '../network/pod.ts'
import { kubernetesStore } from '../store/kubernetes.ts'
import { ApiError } from '../store/kubernetes-client.ts'
import {
  type CredentialSource,
  inClusterCredentials,
  kubeconfigCredentials,
} from '../store/kubernetes-credentials.ts'
import { kubernetesLists, type Listed } from '../store/kubernetes-lists.ts'
import { runExecCredential } from './exec-credential.ts'
import { UsageError } from './failure.ts'

/** What the command line says of the cluster. */
export interface ClusterOptions {
  readonly kubeconfig: string | undefined
  readonly context: string | undefined
}

/** An API server that a command asks object by object: nothing is followed, written or kept on disk. */
export interface AskedCluster {
  /** How it was found: `kubeconfig FILE` or `service account`. */
  readonly source: string
  /** URL of the API server; `null` as long as nothing was asked. */
  readonly server: string | null
  /** `undefined` when it does not know the pod. @throws {CniError} When it cannot tell. */
  pod(namespace: string, name: string): Promise<Pod | undefined>
  /** `undefined` when it does not know the NAD. @throws {CniError} When it cannot tell. */
  nad(namespace: string, name: string): Promise<NetworkAttachmentDefinition | undefined>
  /** `undefined` when it does not know the namespace. @throws {CniError} When it cannot tell. */
  namespaceLabels(namespace: string): Promise<Labels | undefined>
  /** All pods of all namespaces. @throws {CniError} When it cannot tell. */
  pods(): Promise<Listed<Pod>>
  /** All NADs of all namespaces. @throws {CniError} When it cannot tell. */
  nads(): Promise<Listed<NetworkAttachmentDefinition>>
  /** What the pod's annotation says. @throws {CniError} When the API server cannot tell, or it is broken. */
  networkStatus(namespace: string, name: string): Promise<NetworkStatusEntry[] | undefined>
  /** Whether it is the pod that a runtime calls by this UID; what has no UID cannot be told from it. */
  isSamePod(pod: Pod, uid: string | undefined): boolean
  close(): Promise<void>
}

/** For one object, a second try included. */
const READ_MS = 8000

/**
 * Opens the cluster that is asked: of `--kubeconfig`, else of the net-conf's kubeconfig, else of the variable
 * KUBECONFIG, else that of the pod that this runs in. `undefined` when there is none of these.
 *
 * The kubeconfig is read, and its credential program run, when something is asked.
 *
 * @throws {UsageError} For a context without a kubeconfig.
 * @throws {CniError} When KUBECONFIG names several files.
 */
export function openAskedCluster(
  { kubeconfig, context }: ClusterOptions,
  env: Readonly<Record<string, string | undefined>>,
  confKubeconfig?: string,
): AskedCluster | undefined {
  const named = kubeconfig ?? confKubeconfig
  const file = named ?? (env.KUBECONFIG || undefined)
  if (file === undefined) {
    if (context !== undefined)
      throw new UsageError('--context needs a kubeconfig: name it by --kubeconfig or the variable KUBECONFIG')
    const own = inClusterCredentials(env)
    return own === undefined ? undefined : askedCluster('service account', own)
  }
  if (named === undefined && file.includes(':')) {
    throw new CniError(CniErrorCode.InvalidNetworkConfig, `KUBECONFIG names several files: ${file}`, {
      hint: 'name one by --kubeconfig',
    })
  }
  const runProgram = runExecCredential.bind(undefined, file)
  return askedCluster(`kubeconfig ${file}`, kubeconfigCredentials(file, { context, runProgram }))
}

function askedCluster(source: string, credentials: CredentialSource): AskedCluster {
  const store = kubernetesStore({ credentials, warn: () => undefined, limits: { readMs: READ_MS } })
  const lists = kubernetesLists(credentials, READ_MS)
  let server: string | null = null
  /** It did not answer: waiting as long for each further object would help nobody. */
  let silence: CniError | undefined
  const asking = async <Answer>(ask: () => Promise<Answer>): Promise<Answer> => {
    if (silence !== undefined) throw silence
    try {
      server = credentials.current().server
      return await ask()
    } catch (error) {
      const fault = toAskingError(toCniError(error), source)
      if (error instanceof CniError && error.cause instanceof ApiError && error.cause.status === undefined)
        silence = fault
      throw fault
    }
  }
  return {
    source,
    get server() {
      return server
    },
    pod: (namespace, name) => asking(() => store.pod(namespace, name)),
    nad: (namespace, name) => asking(() => store.nad(namespace, name)),
    namespaceLabels: (namespace) => asking(() => store.namespaceLabels(namespace)),
    pods: () => asking(() => lists.pods()),
    nads: () => asking(() => lists.nads()),
    networkStatus: (namespace, name) => asking(() => store.networkStatus(namespace, name)),
    // A static pod's runtime knows the hash of its manifest.
    isSamePod: (pod, uid) => uid === undefined || uid === pod.uid || (pod.isStatic && uid === pod.configHash),
    close: async () => {
      lists.close()
      await store.close()
    },
  }
}

/** The hints for a node, whose runtime asks again, are of no use to a person. */
function toAskingError(error: CniError, source: string): CniError {
  if (!(error.cause instanceof ApiError)) return error
  const { status } = error.cause
  const hint =
    status === 401
      ? `renew the credentials of the ${source}`
      : status === 403
        ? `grant the user of the ${source} this right, or take another user`
        : status === undefined
          ? 'look whether the API server runs and can be reached from here'
          : status === 404
            ? error.hint
            : 'try again'
  return new CniError(error.code, error.message, { cause: error, ...(hint === undefined ? {} : { hint }) })
}
