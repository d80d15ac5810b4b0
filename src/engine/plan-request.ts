import type { PodIdentity } from '../cni/cni-args.ts'
import { CniError, toCniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import type { PodDevices } from '../network/pod-devices.ts'
import { resourceOf } from '../plan/devices.ts'
import type { HostFacts } from '../plan/host-facts.ts'
import type { Plan } from '../plan/plan.ts'
import { planAttachments, type ResolvedNetwork } from '../plan/plan-attachments.ts'
import { executedTypes } from '../plan/plugin-faults.ts'
import { allFaults, chooseNetworks } from '../plan/requested-network.ts'
import type { EngineContext } from './engine.ts'
import { findPod } from './pod-lookup.ts'
import { waitForReadiness } from './readiness.ts'
import { findNamespaceLabels, resolveNetworks } from './resolution.ts'

/** A plan without faults, and what it rests on. */
export interface PlannedRequest {
  readonly plan: Plan
  readonly identity: PodIdentity | undefined
  readonly facts: HostFacts
}

/**
 * Looks up the pod, its networks and its devices, probes the host and plans. Design §4, steps 2 to 4.
 *
 * @throws {CniError} Every fault that can be known before anything runs, in one error that names the pod.
 */
export async function planRequest(context: EngineContext): Promise<PlannedRequest> {
  const { request, conf, executor, warn } = context
  for (const warning of conf.warnings) warn(warning)
  if (conf.readinessIndicatorFile !== undefined) {
    await waitForReadiness(conf.readinessIndicatorFile, conf.readinessTimeoutMs, context.signal)
  }
  const { identity, facts: pod } = await findPod(context)
  const where =
    identity === undefined ? `container ${request.containerId}` : `pod ${identity.namespace}/${identity.name}`
  try {
    const { networks: requested, warnings } = chooseNetworks(conf, pod)
    for (const warning of warnings) warn(warning)
    const networks = await resolveNetworks(requested, context)
    const types = networks.flatMap(
      ({ conflist }) =>
        conflist?.plugins.flatMap((plugin) => executedTypes({ type: plugin.type, conf: plugin })) ?? [],
    )
    const facts = await executor.probe(request.netns, [...new Set(types)])
    checkNetns(context, facts)
    const devices = await findDevices(context, identity, networks)
    const podNamespace = pod?.namespace
    const namespaceLabels = await findNamespaceLabels(context.store, podNamespace, networks)
    const plan = planAttachments({ conf, request, podNamespace, namespaceLabels, networks, facts, devices })
    for (const warning of plan.warnings) warn(warning)
    if (plan.faults.length > 0) throw allFaults(plan.faults)
    return { plan, identity, facts }
  } catch (error) {
    throw toCniError(error).at(where)
  }
}

/** The kubelet is asked for pods alone that have a network with devices; without a pod there is nothing to ask for. */
async function findDevices(
  { conf, signal, startedAt, now }: EngineContext,
  pod: PodIdentity | undefined,
  networks: readonly ResolvedNetwork[],
): Promise<PodDevices> {
  if (pod === undefined || !networks.some((network) => resourceOf(network) !== undefined)) return new Map()
  const { fetchPodDevices } = await import('../store/kubelet.ts')
  const leftMs = Math.max(1, Math.round(startedAt + conf.addTimeoutMs - now()))
  return await fetchPodDevices(pod, {
    socket: conf.podResourcesSocket,
    timeoutMs: Math.min(conf.podResourcesTimeoutMs, leftMs),
    signal,
  })
}

function checkNetns({ request }: EngineContext, facts: HostFacts): void {
  if (facts.netnsId === undefined) {
    throw new CniError(CniErrorCode.InvalidNetns, `network namespace ${request.netns} does not exist`, {
      hint: 'CNI_NETNS must name the network namespace of the pod',
    })
  }
  if (facts.isNotEntered === true) {
    throw new CniError(CniErrorCode.InvalidNetns, `network namespace ${request.netns} cannot be entered`, {
      hint: 'CNI_NETNS must name the network namespace of the pod; what the kernel says is in the log',
    })
  }
  const isOverridden = /^(1|true)$/i.test(request.env.CNI_NETNS_OVERRIDE ?? '')
  if (facts.isHostNetns && !isOverridden) {
    throw new CniError(CniErrorCode.InvalidNetns, `network namespace ${request.netns} is the host's own`, {
      hint: 'CNI_NETNS must name the network namespace of the pod',
    })
  }
}
