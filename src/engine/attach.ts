import { CniError, toCniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import { isJsonObject, type JsonObject } from '../cni/json.ts'
import type { Result } from '../cni/result.ts'
import { formatResult } from '../cni/result-conversion.ts'
import { parseResult } from '../cni/result-parsing.ts'
import { type DelegateExit, DroppedError } from '../executor/executor.ts'
import { networkTitle } from '../plan/plan.ts'
import {
  judgeExit,
  NotStartedError,
  parseDelegateOutput,
  supportedVersions,
  type TitledCall,
} from './delegate.ts'
import type { EngineContext } from './engine.ts'
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
  /** Before the first plugin of any of them may run. */
  started(attachments: readonly RecordedAttachment[]): void
  /** No plugin of it has been started after all. */
  dropped(attachment: RecordedAttachment): void
  /** When it failed: its calls that never began their work, so that nothing of theirs can be left. */
  spared(ids: readonly number[]): void
  /** When its last plugin succeeded. */
  attached(attached: Attached): void
  /** When an attachment failed that the pod called optional. */
  failedOptional(attachment: RecordedAttachment, error: CniError): Promise<void>
}

/** One ADD of one plugin. */
interface Step {
  readonly attachment: RecordedAttachment
  readonly position: number
  readonly titled: TitledCall
}

/** A plugin's result, as such and as the next plugin gets it. */
interface StepResult {
  readonly result: Result
  readonly raw: JsonObject
}

/**
 * Attaches the default network, then the others in order; with `parallel` the others at once, except that
 * one built on another's interface waits for it. After a failure nothing new starts. NPWG-110, NPWG-114.
 *
 * @returns In the order of the plan.
 * @throws {CniError} The first failure, when all that was under way has ended.
 */
export async function attachAll(
  context: EngineContext,
  attachments: readonly RecordedAttachment[],
  deadline: number,
  events: AttachEvents,
): Promise<Attached[]> {
  const attached: (Attached | undefined)[] = []
  let failure: CniError | undefined
  const handed = new Map<RecordedAttachment, Series>()
  const runAll = async (
    list: readonly RecordedAttachment[],
    along: readonly RecordedAttachment[],
  ): Promise<void> => {
    for (let next = 0; next < list.length && (failure === undefined || isHanded(list[next])); ) {
      const round = await attachInOrder(context, list.slice(next), {
        deadline,
        events,
        along,
        handed,
        hasFailed: () => failure !== undefined,
      })
      for (const done of round.attached) attached[done.attachment.index] = done
      next += round.attached.length
      if (round.failed === undefined) continue
      const { attachment, error } = round.failed
      next++
      if (!attachment.isOptional || context.signal.aborted) failure ??= error
      else if (failure === undefined) await events.failedOptional(attachment, error)
    }
  }
  const isHanded = (attachment: RecordedAttachment | undefined): boolean =>
    attachment !== undefined && handed.has(attachment)
  const run = async (
    list: readonly RecordedAttachment[],
    along: readonly RecordedAttachment[] = [],
  ): Promise<void> => {
    try {
      await runAll(list, along)
    } catch (error) {
      // What else is under way is waited for before anything is undone.
      failure ??= toCniError(error)
    }
  }
  if (context.conf.parallel) {
    const [first, ...others] = attachments
    if (first !== undefined) {
      const free = others.filter(({ waitsFor }) => waitsFor.every((index) => index === first.index))
      await run([first], free)
    }
    const running = new Map<number, Promise<void>>()
    for (const attachment of others) {
      const before = attachment.waitsFor.flatMap((index) => running.get(index) ?? [])
      running.set(
        attachment.index,
        before.length === 0 ? run([attachment]) : Promise.all(before).then(() => run([attachment])),
      )
    }
    await Promise.all(running.values())
  } else {
    await run(attachments)
  }
  if (failure !== undefined) throw failure
  return attached.filter((entry) => entry !== undefined)
}

/** Calls that have been handed over: those to be waited for in their order, and the first of other networks. */
interface Series {
  readonly steps: readonly Step[]
  readonly exits: readonly Promise<DelegateExit>[]
  readonly along: readonly (readonly [Step, Promise<DelegateExit>])[]
  /** When the first of them began, if not when it is waited for. */
  readonly begunAt?: number
}

interface RoundOptions {
  readonly deadline: number
  readonly events: AttachEvents
  /** Networks whose first plugins are handed over together with the list's last call, and start when that has succeeded. */
  readonly along: readonly RecordedAttachment[]
  /** What has been handed over with an earlier round's last call. */
  readonly handed: Map<RecordedAttachment, Series>
  /** Whether another network has failed, so that nothing new is to be started. */
  hasFailed(): boolean
}

/** How far a run through attachments came: those that are up from the first on, and the one that failed. */
interface Round {
  readonly attached: readonly Attached[]
  readonly failed: { readonly attachment: RecordedAttachment; readonly error: CniError } | undefined
}

/**
 * Attaches one after another up to the first failure. Calls that need no earlier plugin's result are handed
 * over together: the executor goes from one to the next without asking (design §6).
 */
async function attachInOrder(
  context: EngineContext,
  list: readonly RecordedAttachment[],
  options: RoundOptions,
): Promise<Round> {
  const { deadline, events, along, handed } = options
  const attached: Attached[] = []
  let before: StepResult | undefined
  let position = 0
  for (;;) {
    const attachment = list[attached.length]
    if (attachment === undefined) return { attached, failed: undefined }
    const begun = position === 0 ? handed.get(attachment) : undefined
    const late = begun === undefined ? lateness(context, attachment, position, options) : undefined
    if (late !== undefined) {
      if (position > 0) events.spared(attachment.calls.slice(position))
      return { attached, failed: { attachment, error: late } }
    }
    let failed: Round['failed']
    const starting = (begun: readonly Step[]): void => {
      const first = begun.filter((step) => step.position === 0)
      if (first.length > 0) events.started(first.map((step) => step.attachment))
    }
    const ended = (step: Step, end: StepEnd): void => {
      if (!('error' in end)) {
        before = end
        position = step.position + 1
        if (position < step.attachment.plugins.length) return
        const done = { attachment: step.attachment, ...end }
        events.attached(done)
        if (failed === undefined) attached.push(done)
        before = undefined
        position = 0
      } else {
        const isDropped = end.error instanceof DroppedError
        if (isDropped && step.position === 0) events.dropped(step.attachment)
        else events.spared(step.attachment.calls.slice(end.hasBegun ? step.position + 1 : step.position))
        // Only the end of the time drops a call behind one that succeeded.
        failed ??= { attachment: step.attachment, error: isDropped ? overtime(context, step) : end.error }
      }
    }
    const series =
      begun ??
      startSeries(context, list.slice(attached.length), position, before?.raw, { deadline, along, starting })
    const hand = (begunAt: number): void => {
      for (const [step, exit] of series.along)
        handed.set(step.attachment, { steps: [step], exits: [exit], along: [], begunAt })
    }
    hand(context.now())
    const endedAt = await awaitSeries(context, series, (step, end) => {
      try {
        ended(step, end)
      } catch (error) {
        // What cannot be recorded behind a plugin that failed is not why the ADD fails.
        if (failed === undefined) throw error
        context.warn(toCniError(error).message)
      }
    })
    hand(endedAt)
    if (failed !== undefined) return { attached, failed }
  }
}

/**
 * Hands over the plugin at `position`, and the first plugin of each network that follows as long as none before it
 * has a further plugin. An optional network ends the series: what comes after it does not depend on it.
 */
function startSeries(
  context: EngineContext,
  list: readonly RecordedAttachment[],
  position: number,
  prevResult: JsonObject | undefined,
  {
    deadline,
    along,
    starting,
  }: Pick<RoundOptions, 'deadline' | 'along'> & { starting(steps: readonly Step[]): void },
): Series {
  const { executor, signal, now } = context
  const steps: Step[] = []
  let isWhole = true
  for (const [index, attachment] of list.entries()) {
    if (!isWhole) break
    const first = index === 0 ? position : 0
    steps.push(makeStep(context, attachment, first, index === 0 ? prevResult : undefined, deadline))
    isWhole = first + 1 === attachment.plugins.length && !attachment.isOptional
  }
  const together = isWhole ? along.map((other) => makeStep(context, other, 0, undefined, deadline)) : []
  const all = [...steps, ...together]
  const exits = executor.execSeries({
    calls: all.map(({ titled }) => titled.call),
    next: 'success',
    together: together.length,
    withinMs: deadline - now(),
    signal,
    starting: (indexes) => starting(indexes.flatMap((index) => all[index] ?? [])),
  })
  return {
    steps,
    exits: exits.slice(0, steps.length),
    along: together.flatMap((step, index) => {
      const exit = exits[steps.length + index]
      return exit === undefined ? [] : [[step, exit] as const]
    }),
  }
}

function makeStep(
  { request, conf, now }: EngineContext,
  attachment: RecordedAttachment,
  position: number,
  prevResult: JsonObject | undefined,
  deadline: number,
): Step {
  const plugin = attachment.plugins[position]
  const title = networkTitle(attachment)
  if (plugin === undefined) throw new CniError(CniErrorCode.Internal, `${title} has no plugin`)
  const { network, ifName, args, cniVersion } = attachment
  const timeoutMs = Math.min(
    attachment.timeoutMs ?? conf.delegateTimeoutMs,
    conf.delegateTimeoutMs,
    deadline - now(),
  )
  const { containerId, netns } = request
  const stdin = delegateStdin(attachment, plugin, { isPodRequest: true, prevResult })
  const call = {
    command: 'ADD',
    type: plugin.type,
    containerId,
    netns,
    ifName,
    args,
    stdin,
    timeoutMs,
  } as const
  return { attachment, position, titled: { call, network, title, cniVersion } }
}

type StepEnd = StepResult | { readonly error: CniError; readonly hasBegun: boolean }

/**
 * Tells of each end of a series when it comes, and waits until each of its calls has ended or will not start.
 *
 * @returns When the last of them ended.
 */
async function awaitSeries(
  context: EngineContext,
  { steps, exits, ...series }: Series,
  ended: (step: Step, end: StepEnd) => void,
): Promise<number> {
  const { executor, now } = context
  let begunAt = series.begunAt ?? now()
  let thrown: { readonly error: unknown } | undefined
  for (const [index, pending] of exits.entries()) {
    const step = steps[index]
    if (step === undefined) continue
    let end: StepEnd
    try {
      const exit = await judgeExit(context, step.titled, pending, begunAt)
      begunAt += exit.durationMs
      end = readResult(context, step, exit)
    } catch (error) {
      const fault = toCniError(error)
      end = { error: fault, hasBegun: await mayHaveBegun(executor, step.titled, fault) }
    }
    try {
      ended(step, end)
    } catch (error) {
      // What runs is waited for before anything is undone.
      thrown ??= { error }
    }
  }
  if (thrown !== undefined) throw thrown.error
  return begunAt
}

function readResult({ warn }: EngineContext, { attachment, titled }: Step, exit: DelegateExit): StepResult {
  const output = parseDelegateOutput(exit, titled)
  const { title, call } = titled
  if (isJsonObject(output) && 'code' in output && 'msg' in output && !('ips' in output)) {
    warn(
      `${title}: plugin "${call.type}" ended with success but printed an error object: ${String(output.msg)}`,
    )
  }
  const result = parseResult(output, {
    fallbackVersion: attachment.cniVersion,
    what: `${title}: result of plugin "${call.type}"`,
  })
  return { result, raw: toPrevResult(output, result, attachment) }
}

/** Why the plugin at `position` is not started any more; `undefined` when it may be. */
function lateness(
  context: EngineContext,
  attachment: RecordedAttachment,
  position: number,
  { deadline, hasFailed }: RoundOptions,
): CniError | undefined {
  const { conf, now, signal } = context
  if (hasFailed()) return notStarted({ attachment, position }, 'another network has failed')
  const isLate = (attachment.timeoutMs ?? conf.delegateTimeoutMs) <= 0 || deadline <= now()
  if (!signal.aborted && !isLate) return undefined
  return overtime(context, { attachment, position })
}

function overtime({ conf, signal }: EngineContext, step: Pick<Step, 'attachment' | 'position'>): CniError {
  const why = signal.aborted
    ? 'the runtime ended the call'
    : `the time for the whole ADD (${conf.addTimeoutMs / 1000} s) is over`
  return notStarted(step, why)
}

function notStarted({ attachment, position }: Pick<Step, 'attachment' | 'position'>, why: string): CniError {
  return new CniError(
    CniErrorCode.TryAgainLater,
    `${networkTitle(attachment)}: plugin "${attachment.plugins[position]?.type}" is not started: ${why}`,
  )
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
  if (error instanceof NotStartedError || error instanceof DroppedError) return false
  if (error.code !== CniErrorCode.IncompatibleCniVersion) return true
  return (await supportedVersions(executor, call)).includes(cniVersion)
}

/** The result as the next plugin gets it: untouched when it is in the list's version, else converted (CNI-073, CNI-075). */
function toPrevResult(output: unknown, result: Result, attachment: RecordedAttachment): JsonObject {
  const { cniVersion } = attachment
  if (isJsonObject(output) && result.version === cniVersion) return { ...output, cniVersion }
  return formatResult(result, cniVersion)
}
