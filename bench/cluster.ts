import { NAMESPACE } from './workload.ts'

/** What an API server was asked about pods and networks. */
export interface ApiCalls {
  /** GET and LIST. */
  readonly reads: number
  /** Of pods. */
  readonly patches: number
  readonly events: number
}

/** A real API server with the objects of the benchmark. */
export interface BenchCluster {
  readonly kubeconfig: string
  /** Whose pods they are. */
  readonly node: string
  uidOf(pod: string): string | undefined
  /** Since its start. */
  calls(): Promise<ApiCalls>
  close(): Promise<void>
}

const SERIES = /^apiserver_request_total\{([^}]*)\} (\d+)$/gm

/**
 * Starts the API server that the cluster tests use, with Plexus's rights for the daemon's user.
 *
 * @param networks Conf of each NAD by its name.
 */
export async function startCluster(
  networks: Readonly<Record<string, object>>,
  pods: readonly { readonly name: string; readonly networks: readonly string[] }[],
): Promise<BenchCluster> {
  // Only then: the tests' rig ends the process in ways of its own.
  const { clusterScene, inTurns, NODE } = await import('../test/cluster/scene.ts')
  const { writeKubeconfig } = await import('../test/rig/kubeconfig.ts')
  const scene = await clusterScene(NAMESPACE)
  try {
    const { api } = scene
    const uids = new Map<string, string>()
    await inTurns(Object.entries(networks), ([name, config]) => scene.createNad({ name, config }))
    await inTurns(pods, async (pod) => {
      uids.set(pod.name, await scene.createPod({ name: pod.name, networks: pod.networks.join(',') }))
    })
    return {
      kubeconfig: writeKubeconfig({ server: api.server, ca: api.authority.ca, token: 'node-token' }),
      node: NODE,
      uidOf: (pod) => uids.get(pod),
      async calls() {
        const { body } = await api.call('GET', '/metrics')
        return countCalls(String(body))
      },
      close: () => scene.close(),
    }
  } catch (error) {
    await scene.close()
    throw error
  }
}

function countCalls(metrics: string): ApiCalls {
  const counts = { reads: 0, patches: 0, events: 0 }
  for (const [, labels = '', count] of metrics.matchAll(SERIES)) {
    const label = (name: string): string | undefined => new RegExp(`\\b${name}="([^"]*)"`).exec(labels)?.[1]
    const resource = label('resource')
    const verb = label('verb')
    if (resource === 'events' && verb === 'POST') counts.events += Number(count)
    else if (resource !== 'pods' && resource !== 'network-attachment-definitions') continue
    else if (verb === 'GET' || verb === 'LIST') counts.reads += Number(count)
    else if (verb === 'PATCH') counts.patches += Number(count)
  }
  return counts
}
