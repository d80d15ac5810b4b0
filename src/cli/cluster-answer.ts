import { CniError } from '../cni/cni-error.ts'
import type { AskedCluster, ClusterOptions } from './asked-cluster.ts'
import type { Styler } from './output.ts'
import { indent } from './table.ts'

/** The cluster that a command asked beside the journal. `null`: not known, or no problem. */
export interface ClusterAnswer {
  /** How it was found. */
  readonly source: string | null
  /** URL of the API server. */
  readonly server: string | null
  /** Why it could not be asked. */
  readonly problem: string | null
  readonly hint: string | null
}

/**
 * Asks the cluster, if there is one. A fault is part of the answer: what the journal says is worth printing
 * all the same.
 *
 * @throws {UsageError} For a context without a kubeconfig.
 */
export async function askCluster(
  options: ClusterOptions,
  ask: (cluster: AskedCluster) => Promise<void>,
): Promise<ClusterAnswer | null> {
  const { openAskedCluster } = await import('./asked-cluster.ts')
  let cluster: AskedCluster | undefined
  try {
    cluster = openAskedCluster(options, process.env)
    if (cluster === undefined) return null
    await ask(cluster)
    return { source: cluster.source, server: cluster.server, problem: null, hint: null }
  } catch (error) {
    if (!(error instanceof CniError)) throw error
    const { message, hint = null } = error
    return { source: cluster?.source ?? null, server: cluster?.server ?? null, problem: message, hint }
  } finally {
    await cluster?.close()
  }
}

/** What went wrong with the cluster, for people; empty when nothing did. */
export function clusterProblemText(answer: ClusterAnswer | null, style: Styler): string {
  if (answer === null || answer.problem === null) return ''
  const todo = answer.hint === null ? '' : indent(`What to do: ${answer.hint}.\n`, 2)
  return `${style('red', 'The cluster could not be asked:')} ${answer.problem}\n${todo}`
}
