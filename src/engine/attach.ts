import { type CniError, CniError as CniErrorClass, toCniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import { isJsonObject, type JsonObject } from '../cni/json.ts'
import type { Result } from '../cni/result.ts'
import { formatResult } from '../cni/result-conversion.ts'
import { parseResult } from '../cni/result-parsing.ts'
import {
  execDelegate,
  NotStartedError,
  parseDelegateOutput,
  supportedVersions,
  type TitledCall,
} from './delegate.ts'
import type { CallReport, EngineContext } from './engine.ts'
import { delegateStdin, type RecordedAttachment } from './recorded-plan.ts'

/** An attachment that is up. */
export interface Attached {
  readonly attachment: RecordedAttachment
  readonly result: Result
  /** The last plugin's result in the attachment's version: prevResult of CHECK and DEL. */
  readonly raw: JsonObject
}

/** What the caller records on the way. */
export interface AttachEvents {
  /** Before the first plugin of an attachment runs. */
  started(attachment: RecordedAttachment): void
  /** When it failed: its calls that never began their work, so that nothing of theirs can be left. */
  spared(ids: readonly number[]): void
  /** When its last plugin succeeded. */
  attached(attached: Attached): void
  /** When an attachment failed that the pod called optional. */
  failedOptional(attachment: RecordedAttachment, error: CniError): Promise<void>
}

/**
 * Attaches the default network, then the others in order; with `parallel` the others at once, except that
 * one built on another's interface waits for it. After a failure nothing new starts. NPWG-110, NPWG-114.
 *
 * @throws {CniError} The first failure, when all that was under way has ended.
 */
export async function attachAll(
  context: EngineContext,
  attachments: readonly RecordedAttachment[],
  deadline: number,
  events: AttachEvents,
): Promise<{ attached: Attached[]; calls: CallReport[] }> {
  const begin = context.now()
  const calls: CallReport[] = []
  const attached: (Attached | undefined)[] = []
  let failure: CniError | undefined
  const run = async (attachment: RecordedAttachment): Promise<void> => {
    if (failure !== undefined) return
    try {
      events.started(attachment)
      const done = await attach(context, attachment, deadline, begin, calls, events)
      events.attached(done)
      attached[attachment.index] = done
    } catch (error) {
      const fault = toCniError(error)
      if (!attachment.isOptional || context.signal.aborted) failure ??= fault
      else await events.failedOptional(attachment, fault)
    }
  }
  if (context.conf.parallel) {
    const [first, ...others] = attachments
    if (first !== undefined) await run(first)
    const running = new Map<number, Promise<void>>()
    for (const attachment of others) {
      const before = attachment.waitsFor.flatMap((index) => running.get(index) ?? [])
      running.set(
        attachment.index,
        Promise.all(before).then(() => run(attachment)),
      )
    }
    await Promise.all(running.values())
  } else {
    for (const attachment of attachments) await run(attachment)
  }
  if (failure !== undefined) throw failure
  return { attached: attached.filter((entry) => entry !== undefined), calls }
}

async function attach(
  context: EngineContext,
  attachment: RecordedAttachment,
  deadline: number,
  begin: number,
  calls: CallReport[],
  events: Pick<AttachEvents, 'spared'>,
): Promise<Attached> {
  const { request, conf, executor, now, signal, warn } = context
  const title = `network "${attachment.network}" (${attachment.source})`
  let raw: JsonObject | undefined
  let result: Result | undefined
  for (const [position, plugin] of attachment.plugins.entries()) {
    const start = now()
    const timeoutMs = Math.min(
      attachment.timeoutMs ?? conf.delegateTimeoutMs,
      conf.delegateTimeoutMs,
      deadline - start,
    )
    if (signal.aborted || timeoutMs <= 0) {
      events.spared(attachment.calls.slice(position))
      const why = signal.aborted
        ? 'the runtime ended the call'
        : `the time for the whole ADD (${conf.addTimeoutMs / 1000} s) is over`
      throw new CniErrorClass(
        CniErrorCode.TryAgainLater,
        `${title}: plugin "${plugin.type}" is not started: ${why}`,
      )
    }
    const titled: TitledCall = {
      call: {
        command: 'ADD',
        type: plugin.type,
        containerId: request.containerId,
        netns: request.netns,
        ifName: attachment.ifName,
        args: attachment.args,
        stdin: delegateStdin(attachment, plugin, { isPodRequest: true, prevResult: raw }),
        timeoutMs,
      },
      title,
      cniVersion: attachment.cniVersion,
    }
    let output: unknown
    try {
      output = parseDelegateOutput(await execDelegate(executor, titled, signal), titled)
    } catch (error) {
      const hasBegun = await mayHaveBegun(executor, titled, toCniError(error))
      events.spared(attachment.calls.slice(hasBegun ? position + 1 : position))
      throw error
    } finally {
      const { network, ifName } = attachment
      calls.push({
        network,
        plugin: plugin.type,
        command: 'ADD',
        ifName,
        startMs: start - begin,
        durationMs: now() - start,
      })
    }
    if (isJsonObject(output) && 'code' in output && 'msg' in output && !('ips' in output)) {
      warn(
        `${title}: plugin "${plugin.type}" ended with success but printed an error object: ${String(output.msg)}`,
      )
    }
    result = parseResult(output, {
      fallbackVersion: attachment.cniVersion,
      what: `${title}: result of plugin "${plugin.type}"`,
    })
    raw = toPrevResult(output, result, attachment)
  }
  if (result === undefined || raw === undefined) {
    throw new CniErrorClass(CniErrorCode.Internal, `${title} has no plugin`)
  }
  return { attachment, result, raw }
}

/**
 * Whether a plugin whose call failed can have done anything: not when it could not be started, nor when it
 * refused the version, which is the first thing that it looks at. An IPAM plugin's refusal comes later.
 */
async function mayHaveBegun(
  executor: EngineContext['executor'],
  { call, cniVersion }: TitledCall,
  error: CniError,
): Promise<boolean> {
  if (error instanceof NotStartedError) return false
  if (error.code !== CniErrorCode.IncompatibleCniVersion) return true
  return (await supportedVersions(executor, call)).includes(cniVersion)
}

/** The result as the next plugin gets it: untouched when it is in the list's version, else converted (CNI-073, CNI-075). */
function toPrevResult(output: unknown, result: Result, attachment: RecordedAttachment): JsonObject {
  const { cniVersion } = attachment
  if (isJsonObject(output) && result.version === cniVersion) return { ...output, cniVersion }
  return formatResult(result, cniVersion)
}
