import { existsSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { CniError, toCniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import type { JsonObject } from '../cni/json.ts'
import { formatResult } from '../cni/result-conversion.ts'
import { parseResult } from '../cni/result-parsing.ts'
import { NET_CONF_DEFAULTS } from '../config/net-conf.ts'
import {
  type CompleteMeta,
  type PlannedMeta,
  type RecordedAttachment,
  readCompleteMeta,
  undoExec,
} from '../engine/recorded-plan.ts'
import { readNetnsId } from '../executor/netns.ts'
import { type Journal, type JournalKey, openJournalDir } from '../journal/journal.ts'
import { lockSandbox } from '../journal/lock.ts'
import { toNetworkStatus } from '../network/network-status.ts'
import { adopt } from '../plan/adoption.ts'
import { rememberAdopted, sweepAdopted } from './adopted-pods.ts'
import { type ForeignPod, findOfMultus, findOfRuntime, namesIn } from './foreign-pods.ts'
import { isNetns, isOnHost, seesNodeProcesses } from './own-place.ts'

/** Where pods are adopted from and to. */
export interface AdoptionOptions {
  readonly stateDir: string
  /** Multus's `cniDir`. */
  readonly multusCacheDir: string
  /** Cache of the runtime's CNI library; what it keeps is in `results` below. */
  readonly cniCacheDir: string
  /** Name of the default network: pods that have it alone, from before any meta-plugin, are adopted too. */
  readonly defaultNetwork: string | undefined
  /** Folders of plugins that are searched at DEL besides those of the shim. */
  readonly pluginDirs: readonly string[]
}

/** A pod that was not adopted. */
interface UnadoptedPod {
  readonly containerId: string
  readonly reason: string
}

/** One that cannot be adopted now. */
interface LeftPod extends UnadoptedPod {
  /** Whether another run can do it, once what the reason says is mended. */
  readonly isMendable: boolean
}

/** What became of the pods of a node. */
export interface AdoptionReport {
  /** Adopted now, `namespace/name` or the container's id. */
  readonly adopted: readonly string[]
  /** Still being attached, as it seems: another run may adopt them. */
  readonly waiting: readonly UnadoptedPod[]
  /** Those that cannot be, or not as things are. */
  readonly left: readonly LeftPod[]
}

const LOCK_TIMEOUT_MS = 2000
/** Codes of what is wrong with the node, not with what is known of the pod. */
const MENDABLE: readonly number[] = [CniErrorCode.Io, CniErrorCode.TryAgainLater]

/**
 * Writes a journal record for each pod that Multus, or the runtime alone, has attached, so that a DEL through Plexus
 * undoes all of it. Pods that are recorded already are left alone: it may be run again at any time. What Multus keeps is
 * not touched until we have undone the pod.
 *
 * @throws {CniError} Io when the pods, or their network namespaces, cannot be seen from here: each would be forgotten, or
 * taken for gone.
 */
export async function adoptPods(options: AdoptionOptions): Promise<AdoptionReport> {
  const { stateDir, multusCacheDir, cniCacheDir, defaultNetwork } = options
  if (!existsSync(multusCacheDir) && !isOnHost(process.env)) {
    throw new CniError(
      CniErrorCode.Io,
      `the pods of Multus cannot be seen: ${multusCacheDir} is not there, or not mounted in here`,
      { hint: "mount the host's folder; if Multus has never attached a pod there, make it on the host" },
    )
  }
  // What it leaves it tries again with every run, and the uninstall tells of it.
  sweepAdopted(stateDir)
  const journal = openJournalDir(stateDir)
  const [ofMultus = [], ofRuntime = []] = [multusCacheDir, cniCacheDir].map((folder) =>
    namesIn(join(folder, 'results')).map((name) => join(folder, 'results', name)),
  )
  const adopted: string[] = []
  const waiting: UnadoptedPod[] = []
  const left: LeftPod[] = []
  let isAnySeen = false
  let hidden: HiddenNetnsError | undefined
  const tryOne = async (containerId: string, find: () => ForeignPod | undefined): Promise<void> => {
    try {
      const found = find()
      if (found === undefined) return
      if (isRecorded(journal, found.key)) isAnySeen = true
      else if (found.isYoung) waiting.push({ containerId, reason: 'its networks are still being attached' })
      else {
        const name = await record(journal, found, options)
        isAnySeen = true
        if (name !== undefined) adopted.push(name)
      }
    } catch (error) {
      if (error instanceof HiddenNetnsError) hidden ??= error
      const { message, hint, code } = toCniError(error, CniErrorCode.Io)
      const reason = hint === undefined ? message : `${message}; ${hint}`
      left.push({ containerId, reason, isMendable: MENDABLE.includes(code) })
    }
  }
  const multusIds = namesIn(multusCacheDir).filter((name) =>
    statSync(join(multusCacheDir, name), { throwIfNoEntry: false })?.isFile(),
  )
  for (const id of multusIds) {
    await tryOne(id, () => findOfMultus(join(multusCacheDir, id), [...ofMultus, ...ofRuntime]))
  }
  if (defaultNetwork !== undefined) {
    for (const path of ofRuntime.filter((path) => basename(path).startsWith(`${defaultNetwork}-`))) {
      await tryOne(basename(path), () => findOfRuntime(path, defaultNetwork, multusIds))
    }
  }
  // One that is nowhere, as of a runtime that the node has no more, must not keep the others from having a record.
  if (hidden !== undefined && !isAnySeen) throw hidden
  return { adopted, waiting, left }
}

/** The namespaces of pods cannot be seen here. */
class HiddenNetnsError extends CniError {}

/** @returns What the pod is called; `undefined` when somebody has recorded it meanwhile. */
async function record(
  journal: Journal,
  { key, foreign, runtime, source, files }: ForeignPod,
  { stateDir, pluginDirs }: AdoptionOptions,
): Promise<string | undefined> {
  const { containerId } = key
  const devInfoDir = NET_CONF_DEFAULTS.devInfoDir
  const { pod, attachments } = adopt(foreign, containerId, { source, devInfoDir, runtime })
  const netns = [runtime, ...foreign.map(({ cached }) => cached)].find(
    (cached) => cached?.netns !== undefined,
  )?.netns
  if (netns === undefined) {
    throw new CniError(CniErrorCode.Decoding, `${source} does not say which network namespace it has`)
  }
  const netnsId = currentNetnsId(netns)
  let next = 0
  const numbered: RecordedAttachment[] = attachments.map((attachment) => ({
    ...attachment,
    calls: attachment.plugins.map(() => next++),
  }))
  const meta: PlannedMeta = {
    ...key,
    netns,
    netnsId,
    name: 'plexus',
    cniVersion: '1.0.0',
    pod,
    searchPath: pluginDirs,
    time: new Date().toISOString(),
    attachments: numbered,
  }
  const results = foreign.map(({ cached }, index) => resultOf(cached?.result, numbered[index]))
  const complete = completeMeta(numbered, results, netns)
  const undos = (withResults: boolean) =>
    numbered.flatMap((attachment) =>
      attachment.plugins.map((plugin, index) => {
        const call = { id: attachment.calls[index] ?? 0, containerId, netns, timeoutMs: UNDO_CALL_TIMEOUT_MS }
        return undoExec(attachment, plugin, call, withResults ? results[attachment.index] : undefined)
      }),
    )
  const lock = await lockSandbox(stateDir, containerId, LOCK_TIMEOUT_MS, false)
  try {
    if (isRecorded(journal, key)) return undefined
    const deviceFiles = numbered.flatMap(({ deviceInfoFile }) => deviceInfoFile ?? [])
    const open = journal.plan(
      key,
      { meta: meta as unknown as JsonObject, netns, netnsId, files: deviceFiles },
      undos(false),
    )
    try {
      open.started(numbered.flatMap(({ calls }) => calls))
      open.undo(undos(true))
      await open.sync()
      // Not before there is a record, or the files would be taken for those of a pod that is gone; and before it is
      // whole, since no run looks at a whole one again.
      if (files.length > 0) rememberAdopted(stateDir, { ...key, files })
      open.complete(complete as unknown as JsonObject)
    } catch (error) {
      open.close()
      throw error
    }
    const mark = open.closeToMark()
    try {
      // Its network-status is Multus's, and true.
      mark.set()
    } finally {
      mark.close()
    }
  } finally {
    lock.release(false)
  }
  return pod === undefined ? containerId : `${pod.namespace}/${pod.name}`
}

const UNDO_CALL_TIMEOUT_MS = NET_CONF_DEFAULTS.delegateTimeout * 1000

/** In the version of its network, as the library hands it on. */
function resultOf(
  result: JsonObject | undefined,
  attachment: RecordedAttachment | undefined,
): JsonObject | undefined {
  if (result === undefined || attachment === undefined) return undefined
  const { cniVersion } = attachment
  if (result.cniVersion === cniVersion) return result
  const what = `result of network "${attachment.network}"`
  return formatResult(parseResult(result, { fallbackVersion: cniVersion, what }), cniVersion)
}

function completeMeta(
  attachments: readonly RecordedAttachment[],
  results: readonly (JsonObject | undefined)[],
  netns: string,
): CompleteMeta {
  const up = attachments.flatMap((attachment) => {
    const prevResult = results[attachment.index]
    return prevResult === undefined ? [] : [{ attachment, prevResult }]
  })
  const attached = up.map(({ attachment: { label, ifName, isDefault, cniVersion }, prevResult }) => ({
    name: label,
    ifName,
    isDefault,
    result: parseResult(prevResult, { fallbackVersion: cniVersion, what: `result of ${label}` }),
  }))
  return {
    results: up.map(({ attachment: { index }, prevResult }) => ({ index, prevResult })),
    networkStatus: attached.length === 0 ? [] : toNetworkStatus(attached, netns),
    calls: [],
    warnings: [],
    durationMs: 0,
  }
}

/** Whether there is a whole record; what a killed adoption has left is written anew. */
function isRecorded(journal: Journal, key: JournalKey): boolean {
  const lookup = journal.lookup(key)
  if (lookup.state === 'absent') return false
  return (
    lookup.state !== 'intact' ||
    lookup.record.failedDels > 0 ||
    readCompleteMeta(lookup.record.complete) !== undefined
  )
}

/**
 * The namespace's identity as it is now. One that cannot be seen from here must not be taken for gone: its addresses
 * would be given to others.
 */
function currentNetnsId(netns: string): string {
  const isHere = isOnHost(process.env)
  const isOfProcess = netns.startsWith('/proc/')
  if (isOfProcess && !isHere && !seesNodeProcesses()) {
    throw new CniError(CniErrorCode.Io, `its namespace ${netns} is of a process that is not seen in here`, {
      hint: 'run this with hostPID: true, or on the node itself',
    })
  }
  if (isNetns(netns)) return readNetnsId(netns) ?? GONE
  if (isOfProcess) {
    // Its process has ended: no later run will see it.
    throw new CniError(CniErrorCode.InvalidNetns, `its namespace ${netns} cannot be seen`)
  }
  const folder = dirname(netns)
  const hint = `mount the host's ${folder} with mountPropagation HostToContainer, or run this on the node itself`
  if (namesIn(folder).length === 0) {
    throw new HiddenNetnsError(
      CniErrorCode.Io,
      `the pods' network namespaces cannot be seen: ${folder} is not there, or empty`,
      { hint },
    )
  }
  // In a container that is a plain file until the node's mount comes through.
  if (!isHere && existsSync(netns)) {
    throw new CniError(CniErrorCode.Io, `its namespace ${netns} cannot be seen in here`, { hint })
  }
  return GONE
}

const GONE = 'gone'
