import { setTimeout as delay } from 'node:timers/promises'
import { CniError, toCniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import type { JsonObject } from '../cni/json.ts'
import type { Result } from '../cni/result.ts'
import { formatResult } from '../cni/result-conversion.ts'
import { parseResult } from '../cni/result-parsing.ts'
import { resultFamily } from '../cni/version.ts'
import type { OpenJournal } from '../journal/journal.ts'
import { pendingUndo } from '../journal/record.ts'
import { type NetworkStatusEntry, toNetworkStatus } from '../network/network-status.ts'
import { decideDefaultRoutes } from '../plan/default-route.ts'
import { type MergePart, mergeResults } from '../plan/merge.ts'
import { networkTitle, type PlannedAttachment } from '../plan/plan.ts'
import type { ClusterStore } from '../store/cluster-store.ts'
import { type Attached, attachAll } from './attach.ts'
import { prepareDeviceInfo, readDeviceInfo, removeDeviceInfo } from './device-info-file.ts'
import type { CallReport, EngineContext } from './engine.ts'
import { planRequest } from './plan-request.ts'
import {
  type CompleteMeta,
  type PlannedMeta,
  type RecordedAttachment,
  toPublication,
  undoExec,
} from './recorded-plan.ts'
import { clearRemains } from './remains.ts'
import { undoCalls, undoError } from './undo.ts'

/** What ADD gives back when it succeeds. */
export interface AddOutcome {
  /** The merged result in the version of the request. */
  readonly result: JsonObject
  readonly networkStatus: readonly NetworkStatusEntry[]
}

/** Part of ADD's time that is kept for the undo. */
const UNDO_SHARE = 0.25

/**
 * ADD: plan everything, record it, attach, move the default route, answer with one merged result. Any
 * failure, however late, undoes in reverse all that was started and reports the first cause. Design §4,
 * CNI-040 to CNI-046, NPWG-100 to NPWG-111.
 *
 * @throws {CniError} With pod and network in the message; nothing of the pod is left then, or the
 * journal still knows it.
 */
export async function add(context: EngineContext): Promise<AddOutcome> {
  const { request, conf, journal, startedAt } = context
  const deadline = startedAt + conf.addTimeoutMs
  const key = { containerId: request.containerId, ifName: request.ifName }
  await clearRemains(context, key, deadline)
  const { plan, identity, facts } = await planRequest(context)
  const { netnsId } = facts
  if (netnsId === undefined) {
    throw new CniError(CniErrorCode.InvalidNetns, `network namespace ${request.netns} does not exist`)
  }

  // Whoever held the container's lock for us may be gone, and another call of it have recorded what it did.
  if (context.signal.aborted) {
    throw new CniError(
      CniErrorCode.TryAgainLater,
      'the runtime ended the call before anything was started',
    ).at(whose(identity, request.containerId))
  }
  const attachments = numberCalls(plan.attachments)
  const meta: PlannedMeta = {
    ...key,
    netns: request.netns,
    netnsId,
    name: request.name,
    cniVersion: request.cniVersion,
    pod: identity,
    searchPath: facts.searchPath,
    time: new Date().toISOString(),
    uptimeUs: Number(process.hrtime.bigint() / 1000n),
    attachments,
  }
  const undos = attachments.flatMap((attachment) => undosOf(attachment, context, undefined))
  const files = attachments.flatMap(({ deviceInfoFile }) => deviceInfoFile ?? [])
  const open = journal.plan(
    key,
    { meta: meta as unknown as JsonObject, netns: request.netns, netnsId, files },
    undos,
  )
  const spared = new Set<number>()
  try {
    const execDeadline = deadline - conf.addTimeoutMs * UNDO_SHARE
    const { complete, ...outcome } = await attachPod(context, open, meta, plan.missing, execDeadline, spared)
    await open.sync()
    const told = Promise.withResolvers<void>()
    const tell = (): Promise<void> => publish(context, open, meta, complete, told.resolve)
    const waitMs = Math.min(context.publishWaitMs, deadline - context.now())
    if (waitMs <= 0) await context.afterAnswer(tell)
    else {
      await tell()
      await Promise.race([told.promise, delay(waitMs, undefined, { ref: false })])
    }
    return outcome
  } catch (error) {
    const cause = toCniError(error).at(whose(identity, request.containerId))
    try {
      throw await rollBack(context, open, meta, cause, deadline, spared)
    } finally {
      open.close()
    }
  }
}

async function attachPod(
  context: EngineContext,
  open: OpenJournal,
  meta: PlannedMeta,
  leftOut: readonly string[],
  deadline: number,
  spared: Set<number>,
): Promise<AddOutcome & { readonly complete: CompleteMeta }> {
  const { request, conf, now, store, warn } = context
  const missing = [...leftOut]
  for (const attachment of meta.attachments) prepareDeviceInfo(attachment, warn)
  const started = new Set<number>()
  const calls: CallReport[] = []
  const called: EngineContext['called'] = (report) => {
    calls.push(report)
    context.called(report)
  }
  const leaveOut = async (attachment: RecordedAttachment, error: CniError, raw: unknown): Promise<void> => {
    warn(`optional ${networkTitle(attachment)} is left out: ${error.message}`)
    missing.push(`${networkTitle(attachment)}: ${error.message}`)
    const ids = new Set(attachment.calls.filter((id) => started.has(id)))
    const undos = undosOf(attachment, context, raw)
      .filter(({ id }) => ids.has(id))
      .map((exec) => ({ exec, isStarted: true, isUndone: false, isSpared: spared.has(exec.id) }))
      .reverse()
    const { faults, undone } = await undoCalls(context, undos, request.netns, deadline)
    open.undone(...undone)
    const owner = { devInfoDir: conf.devInfoDir, containerId: request.containerId }
    removeDeviceInfo(attachment.deviceInfoFile, owner, warn)
    for (const fault of faults) warn(`undo of optional ${networkTitle(attachment)}: ${fault.message}`)
  }
  const all = await attachAll({ ...context, called }, meta.attachments, deadline, {
    started: (attachments) => {
      const ids = attachments.flatMap((attachment) => attachment.calls)
      open.started(ids)
      for (const id of ids) started.add(id)
    },
    dropped: (attachment) => {
      for (const id of attachment.calls) started.delete(id)
      open.undone(...attachment.calls)
    },
    spared: (ids) => {
      for (const id of ids) spared.add(id)
    },
    attached: ({ attachment, raw }) => open.undo(undosOf(attachment, context, raw)),
    failedOptional: (attachment, error) => leaveOut(attachment, error, undefined),
  })

  const { attached, results } = await moveDefaultRoute(context, all, leaveOut)

  const merged = merge(context, attached, results)
  const result = formatResult(merged, request.cniVersion)
  const networkStatus = toNetworkStatus(
    attached.map(({ attachment }, index) => {
      const deviceInfo = readDeviceInfo(attachment.deviceInfoFile, warn)
      return {
        name: attachment.label,
        ifName: attachment.ifName,
        isDefault: attachment.isDefault,
        result: results[index] ?? emptyResult(request.cniVersion),
        ...(attachment.defaultRoute === undefined
          ? {}
          : { requestedDefaultRoute: [...attachment.defaultRoute] }),
        ...(deviceInfo === undefined ? {} : { deviceInfo }),
      }
    }),
    request.netns,
  )
  const replaces = meta.pod && store?.statusMark?.(meta.pod.namespace, meta.pod.name)
  const complete: CompleteMeta = {
    results: attached.map(({ attachment, raw, result: before }, index) => {
      const after = results[index]
      const isChanged = after !== undefined && after !== before
      const prevResult = isChanged ? formatResult(after, attachment.cniVersion) : raw
      return { index: attachment.index, prevResult }
    }),
    networkStatus,
    missing,
    ...(replaces === undefined ? {} : { replaces }),
    calls,
    warnings: [],
    durationMs: now() - context.startedAt,
  }
  open.complete(complete as unknown as JsonObject)
  return { result, networkStatus, complete }
}

/**
 * Puts the default route where it belongs. An optional network whose gateway cannot be used is left out, and then the
 * route belongs elsewhere.
 *
 * @returns What stays attached, and the results as they are afterwards.
 */
async function moveDefaultRoute(
  context: EngineContext,
  attached: readonly Attached[],
  leaveOut: (attachment: RecordedAttachment, error: CniError, raw: unknown) => Promise<void>,
): Promise<{ readonly attached: readonly Attached[]; readonly results: readonly Result[] }> {
  const { conf, executor, request, signal } = context
  const candidates = attached.map(({ attachment, result }) => ({ ...attachment, result }))
  const { change, results } = decideDefaultRoutes(candidates, conf.clusterCIDRs)
  if (change.length === 0) return { attached, results }
  try {
    await executor.changeRoutes(request.netns, change)
    return { attached, results }
  } catch (error) {
    const owner = attached.find(
      ({ attachment }) => attachment.isOptional && attachment.defaultRoute !== undefined,
    )
    // What is built on its interface would go with it.
    const isNeeded = attached.some(({ attachment }) =>
      attachment.waitsFor.includes(owner?.attachment.index ?? -1),
    )
    if (owner === undefined || isNeeded || signal.aborted) throw error
    await leaveOut(owner.attachment, toCniError(error), owner.raw)
    return await moveDefaultRoute(
      context,
      attached.filter((other) => other !== owner),
      leaveOut,
    )
  }
}

function merge(context: EngineContext, attached: readonly Attached[], results: readonly Result[]): Result {
  const { request, conf } = context
  const parts: MergePart[] = attached.flatMap(({ attachment }, index) => {
    const result = results[index]
    return result === undefined ? [] : [{ ifName: attachment.ifName, result }]
  })
  const listed = conf.result === 'default-network' ? parts.slice(0, 1) : parts
  // A runtime that chains us expects what came before in the answer (CNI-042).
  const before =
    conf.prevResult === undefined
      ? []
      : [
          {
            ifName: request.ifName,
            result: parseResult(conf.prevResult, { fallbackVersion: request.cniVersion, what: 'prevResult' }),
          },
        ]
  const all = [...before, ...listed]
  // An answer without addresses is no fault only where every network could say no more (CNI-123).
  const richest = all.find(({ result }) => resultFamily(result.version) !== 'A')?.result.version
  return mergeResults(all, request.netns, richest ?? request.cniVersion)
}

function emptyResult(version: Result['version']): Result {
  return { version, interfaces: [], ips: [], routes: [], dns: {} }
}

/**
 * Tells the cluster, or leaves that to a store that does it later, and to the journal to remember it.
 *
 * @param settled Told when it is over, however it ended.
 */
async function publish(
  { store, request, warn }: EngineContext,
  open: OpenJournal,
  { pod, time }: PlannedMeta,
  complete: CompleteMeta,
  settled: () => void,
): Promise<void> {
  const mark = open.closeToMark()
  // What waits in a store holds on to these alone.
  const settle = (isDone: boolean): void => {
    try {
      if (isDone) mark.set()
    } finally {
      mark.close()
      settled()
    }
  }
  let outcome: Awaited<ReturnType<ClusterStore['publish']>> = 'unneeded'
  try {
    if (store === undefined || pod === undefined) return
    const later = { ifName: request.ifName, settled: settle }
    outcome = await store.publish(toPublication(pod, request.containerId, time, complete), later)
  } catch (error) {
    // The pod has its networks; what the cluster is told of them does not decide about it (design §4.9).
    const name = `${pod?.namespace}/${pod?.name}`
    warn(`network-status of pod ${name} is not published: ${toCniError(error).message}`)
  } finally {
    try {
      if (outcome !== 'later') settle(outcome === 'done')
    } catch (error) {
      warn(`what was published is not recorded: ${toCniError(error).message}`)
    }
  }
}

async function rollBack(
  context: EngineContext,
  open: OpenJournal,
  meta: PlannedMeta,
  cause: CniError,
  deadline: number,
  spared: ReadonlySet<number>,
): Promise<CniError> {
  const { request, journal, warn } = context
  const lookup = journal.lookup(meta)
  const calls = lookup.state === 'intact' || lookup.state === 'damaged' ? pendingUndo(lookup.record) : []
  const undos = calls.map((call) => ({ ...call, isSpared: spared.has(call.exec.id) }))
  const { faults, undone } = await undoCalls(context, undos, request.netns, deadline)
  const owner = { devInfoDir: context.conf.devInfoDir, containerId: request.containerId }
  for (const { deviceInfoFile } of meta.attachments) removeDeviceInfo(deviceInfoFile, owner, warn)
  if (faults.length === 0) {
    try {
      // A daemon that was held up may come to this when the container has been made anew.
      if (open.isCurrent()) journal.remove(meta)
    } catch (error) {
      // What it records is undone; the next DEL of the container removes it.
      warn(toCniError(error).message)
    }
    return cause
  }
  try {
    open.undone(...undone)
  } catch (error) {
    warn(`what was undone is not recorded: ${toCniError(error).message}`)
  }
  const left = undoError(faults)
  return new CniError(cause.code, cause.message, {
    ...(cause.hint === undefined ? {} : { hint: cause.hint }),
    cause: cause.cause,
    faults: [
      ...cause.faults,
      `the undo failed too and stays recorded for DEL: ${left.message}`,
      ...left.faults,
    ],
  })
}

/** Whose ADD it is, for messages. */
function whose(pod: PlannedMeta['pod'], containerId: string): string {
  return pod === undefined ? `container ${containerId}` : `pod ${pod.namespace}/${pod.name}`
}

function numberCalls(attachments: readonly PlannedAttachment[]): RecordedAttachment[] {
  let next = 0
  return attachments.map((attachment) => ({ ...attachment, calls: attachment.plugins.map(() => next++) }))
}

function undosOf(attachment: RecordedAttachment, context: EngineContext, prevResult: unknown) {
  const { request, conf } = context
  return attachment.plugins.map((plugin, index) => {
    const id = attachment.calls[index] ?? 0
    const { containerId, netns } = request
    return undoExec(
      attachment,
      plugin,
      { id, containerId, netns, timeoutMs: conf.delegateTimeoutMs },
      prevResult,
    )
  })
}
