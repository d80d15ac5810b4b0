import { existsSync } from 'node:fs'
import { CniError, toCniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import { isAtLeast } from '../cni/version.ts'
import { networkTitle, type PlannedAttachment } from '../plan/plan.ts'
import { planAttachments } from '../plan/plan-attachments.ts'
import { executedTypes } from '../plan/plugin-faults.ts'
import { allFaults, chooseNetworks } from '../plan/requested-network.ts'
import { execDelegate, supportedVersions } from './delegate.ts'
import type { EngineContext } from './engine.ts'
import { delegateStdin } from './recorded-plan.ts'
import { resolveNetworks } from './resolution.ts'

/**
 * STATUS: ready when the default network can be attached: its configuration is found, its plugins are
 * installed, and, when its list and each of its plugins speak 1.1.0, they say so themselves. Answers at
 * once. CNI-058 to CNI-061, NPWG-104, C-35.
 *
 * @throws {CniError} NotAvailable with the reason; a delegate's own code untouched.
 */
export async function status(context: EngineContext): Promise<void> {
  const { conf, request, executor } = context
  if (conf.readinessIndicatorFile !== undefined && !existsSync(conf.readinessIndicatorFile)) {
    throw notAvailable(
      `readinessindicatorfile ${conf.readinessIndicatorFile} is missing: the default network is not ready`,
    )
  }
  let attachment: PlannedAttachment | undefined
  try {
    const [requested] = chooseNetworks(conf, undefined).networks
    const networks = await resolveNetworks(requested === undefined ? [] : [requested], context)
    const types = networks.flatMap(
      ({ conflist }) =>
        conflist?.plugins.flatMap((plugin) => executedTypes({ type: plugin.type, conf: plugin })) ?? [],
    )
    const facts = await executor.probe('', [...new Set(types)])
    const plan = planAttachments({
      conf,
      request,
      podNamespace: undefined,
      namespaceLabels: undefined,
      networks,
      facts,
      devices: undefined,
    })
    if (plan.faults.length > 0) throw allFaults(plan.faults)
    attachment = plan.attachments[0]
  } catch (error) {
    const fault = toCniError(error)
    throw notAvailable(`the default network is not available: ${fault.message}`, fault)
  }
  if (attachment === undefined || !isAtLeast(attachment.cniVersion, '1.1.0')) return
  for (const plugin of attachment.plugins) {
    const titled = {
      network: attachment.network,
      call: {
        command: 'STATUS' as const,
        type: plugin.type,
        containerId: '',
        netns: '',
        ifName: '',
        args: '',
        stdin: delegateStdin(attachment, plugin, { isPodRequest: false }),
        timeoutMs: conf.delegateTimeoutMs,
      },
      title: networkTitle(attachment),
      cniVersion: attachment.cniVersion,
    }
    // An older one may take the unknown verb for a fault (CNI-061).
    const versions = await supportedVersions(executor, titled.call)
    if (versions.includes('1.1.0')) await execDelegate(context, titled, context.signal)
  }
}

function notAvailable(message: string, cause?: CniError): CniError {
  return new CniError(CniErrorCode.NotAvailable, message, {
    hint: cause?.hint ?? 'start the default CNI on this node',
    ...(cause === undefined ? {} : { cause, faults: cause.faults }),
  })
}
