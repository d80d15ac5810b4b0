import { isSendable } from '../cni/cni-args.ts'
import { toCniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import { planAttachments } from '../plan/plan-attachments.ts'
import { chooseNetworks } from '../plan/requested-network.ts'
import type { EngineContext } from './engine.ts'
import { undoExec } from './recorded-plan.ts'
import { resolveNetworks } from './resolution.ts'
import { undoCalls, undoError } from './undo.ts'
import { isClaimed, settle, undoRecorded } from './undo-recorded.ts'

/** Time for a whole DEL in milliseconds; runtimes and kubelets give up after about two minutes. */
const DEL_TIMEOUT_MS = 100_000

/**
 * DEL: undoes what the journal says, all of it whatever fails, and needs neither cluster nor conf files
 * for it. Without a record the default network alone is deleted. After `delAttempts` failures the runtime
 * gets success, so that the pod can go; the record stays. Design §5, CNI-047 to CNI-053, NPWG-112 to
 * NPWG-117.
 *
 * @throws {CniError} With the words of every delegate that failed.
 */
export async function del(context: EngineContext): Promise<void> {
  const { request, conf, journal, now, warn } = context
  const key = { containerId: request.containerId, ifName: request.ifName }
  const deadline = now() + DEL_TIMEOUT_MS
  context.store?.cancelPublication?.(request.containerId)
  const lookup = journal.lookup(key)
  if (lookup.state === 'newer') throw lookup.error
  if (lookup.state === 'absent') {
    await delDefaultNetwork(context, deadline)
    await context.afterAnswer(() => settle(context, key, false))
    return
  }
  // What the lost frames said can no longer be known; the default network is the likeliest of it.
  if (lookup.record.planned === undefined) await delDefaultNetwork(context, deadline)
  const { faults, failedDels } = await undoRecorded(
    context,
    key,
    lookup,
    request.netns,
    deadline,
    context.afterAnswer,
  )
  if (faults.length === 0) return
  const error = undoError(faults)
  if (failedDels < conf.delAttempts) throw error
  warn(`DEL of container ${key.containerId} failed ${failedDels} times and stays recorded: ${error.message}`)
}

/**
 * A container that no journal knows: a pod of before Plexus, or one that is gone already. Its default
 * network is deleted as the conf names it now; its netns is left alone when another container's record
 * claims it. What cannot be found was never attached by us.
 */
async function delDefaultNetwork(context: EngineContext, deadline: number): Promise<void> {
  const { request, conf, executor, journal, warn } = context
  const netnsId = await executor.netnsId(request.netns)
  const key = { containerId: request.containerId, ifName: request.ifName }
  const netns = netnsId === undefined || isClaimed(journal, netnsId, key) ? '' : request.netns
  const { networks: requested } = chooseNetworks(conf, undefined)
  const networks = await resolveDefault(requested.slice(0, 1), context)
  // No ADD of ours has had the others; what an older plugin was sent of them is not worth a pod that stays.
  const args = request.args.filter(isSendable)
  const plan = planAttachments({
    conf,
    request: { ...request, args },
    podNamespace: undefined,
    namespaceLabels: undefined,
    networks,
    facts: undefined,
    devices: undefined,
  })
  const [attachment] = plan.attachments
  if (attachment === undefined || plan.faults.length > 0) {
    const [fault] = plan.faults
    warn(
      `nothing is recorded of container ${request.containerId}, and there is no default network to delete: ${fault?.message ?? 'none configured'}`,
    )
    return
  }
  const undos = attachment.plugins.map((plugin, id) => ({
    exec: undoExec(
      attachment,
      plugin,
      { id, containerId: key.containerId, netns, timeoutMs: conf.delegateTimeoutMs },
      undefined,
    ),
    isStarted: true,
    isUndone: false,
  }))
  const { faults } = await undoCalls(context, undos.reverse(), netns, deadline)
  const real = faults.filter(({ code }) => code !== CniErrorCode.PluginNotFound)
  if (real.length > 0) throw undoError(real)
}

async function resolveDefault(
  requested: Parameters<typeof resolveNetworks>[0],
  context: EngineContext,
): ReturnType<typeof resolveNetworks> {
  try {
    return await resolveNetworks(requested, context)
  } catch (error) {
    context.warn(`the default network cannot be looked up: ${toCniError(error).message}`)
    return []
  }
}
