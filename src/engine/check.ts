import { CniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import { isAtLeast } from '../cni/version.ts'
import { networkTitle } from '../plan/plan.ts'
import { implementsCheck } from '../plan/plugin-quirks.ts'
import { execDelegate } from './delegate.ts'
import type { EngineContext } from './engine.ts'
import { delegateStdin, readCompleteMeta, readPlannedMeta } from './recorded-plan.ts'

/**
 * CHECK: every recorded attachment in the order of ADD, with its own final result; the first error is
 * passed on. Lists below 0.4.0, lists that disable it and plugins that do not implement it are skipped.
 * CNI-054 to CNI-057, design §10.
 *
 * @throws {CniError} The delegate's; CheckFailed when nothing is recorded of the container.
 */
export async function check(context: EngineContext): Promise<void> {
  const { request, conf, journal, signal } = context
  const key = { containerId: request.containerId, ifName: request.ifName }
  const lookup = journal.lookup(key)
  if (lookup.state === 'newer') throw lookup.error
  const planned = lookup.state === 'absent' ? undefined : readPlannedMeta(lookup.record.planned)
  const complete = lookup.state === 'absent' ? undefined : readCompleteMeta(lookup.record.complete)
  if (planned === undefined || complete === undefined) {
    if (conf.prevResult === undefined) {
      throw new CniError(
        CniErrorCode.InvalidNetworkConfig,
        'required prevResult missing, and nothing is recorded of the container',
        {
          hint: 'CHECK is for a container that ADD attached',
        },
      )
    }
    throw new CniError(
      CniErrorCode.CheckFailed,
      `container ${key.containerId} is not attached on ${key.ifName}: nothing is recorded of it`,
      { hint: 'delete the pod, so that the runtime attaches it anew' },
    )
  }
  const results = new Map(complete.results.map(({ index, prevResult }) => [index, prevResult]))
  for (const attachment of planned.attachments) {
    const prevResult = results.get(attachment.index)
    // An optional attachment that failed has no result.
    if (prevResult === undefined || attachment.disableCheck || !isAtLeast(attachment.cniVersion, '0.4.0'))
      continue
    for (const plugin of attachment.plugins) {
      if (!implementsCheck(plugin)) continue
      await execDelegate(
        context,
        {
          network: attachment.network,
          call: {
            command: 'CHECK',
            type: plugin.type,
            containerId: request.containerId,
            netns: request.netns,
            ifName: attachment.ifName,
            args: attachment.args,
            stdin: delegateStdin(attachment, plugin, { isPodRequest: true, prevResult }),
            timeoutMs: conf.delegateTimeoutMs,
          },
          title: networkTitle(attachment),
          cniVersion: attachment.cniVersion,
        },
        signal,
      )
    }
  }
}
