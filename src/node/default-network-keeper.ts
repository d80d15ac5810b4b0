import { mkdirSync, readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { performance } from 'node:perf_hooks'
import { toCniError } from '../cni/cni-error.ts'
import type { JsonObject } from '../cni/json.ts'
import type { CniVersion } from '../cni/version.ts'
import { type Candidate, type NetworkPin, parsePin } from '../plan/default-network-choice.ts'
import { nodeConflist } from '../plan/node-conflist.ts'
import { listVersion, SAFE_VERSION } from '../plan/runtime-version.ts'
import { type Detection, detectDefaultNetwork } from './default-network-detection.ts'
import { writeDurably } from './durable-file.ts'
import { type FolderWatch, watchFolder } from './folder-watch.ts'
import { type NodeConflistFile, openNodeConflistFile, type PutOutcome } from './node-conflist-file.ts'

/** Keeps the node's default network known and our list in the runtime's folder. */
export interface DefaultNetworkKeeper {
  /** The default network as it is now; `undefined` while there is none. */
  readonly network: Candidate | undefined
  /** Where it is, or was and is waited for. */
  readonly path: string | undefined
  /** Files that were passed over, each with the reason. */
  readonly ignored: readonly string[]
  /** Why our list is not as it should be; `undefined` when it is, or none is wanted. */
  readonly fault: string | undefined
  close(): void
}

type Level = 'info' | 'warn' | 'error'

/** What {@link keepDefaultNetwork} needs. */
export interface KeeperOptions {
  /** Where the default network's file is looked for; absent when the configuration names the network. */
  readonly search?: {
    readonly confDir: string
    /** File that remembers which network was chosen. */
    readonly pinFile: string
    /** The default network is another one, or its configuration is. */
    readonly changed: (network: Candidate | undefined) => void
  }
  /** The list that is kept in the runtime's folder; absent when somebody else does that. */
  readonly conflist?: {
    readonly folder: string
    /** By the configuration; else that of the runtime. */
    readonly cniVersion: CniVersion | undefined
    /** `undefined` while it is not known: then the list that is there says it. Asked again and again. */
    readonly runtimeVersion: () => CniVersion | undefined
    /** Keys of our entry in it. */
    readonly netConf: JsonObject
    /** Whether it may be written now: not before we can serve. */
    readonly isWanted: () => boolean
    /** Whether the node is being uninstalled: then it is not put back. */
    readonly isUninstalled?: () => boolean
  }
  readonly report: (level: Level, message: string) => void
}

/** Who replaces a file by removing it first is given that long before another network takes its place. */
const GRACE_MS = 700
const RETRY_MS = 500
const RUNTIME_LOOK_MS = 1000
/** So often in a minute the list is written at once; then once a second. */
const FREE_WRITES = 20
const WRITE_INTERVAL_MS = 1000
const MINUTE_MS = 60_000
/** What the runtime may hand over for a network that nobody has looked up: who does not declare it never gets it. */
const ANY_NETWORK = { type: 'any', capabilities: { portMappings: true, bandwidth: true, dns: true } }

/**
 * Watches the folders and brings both in order whenever something in them changes: which file is the default
 * network's, and our list. A fight over the list is bounded in work and in words.
 */
export function keepDefaultNetwork(options: KeeperOptions): DefaultNetworkKeeper {
  const { search, conflist } = options
  const file = conflist === undefined ? undefined : openNodeConflistFile(conflist.folder)
  const say = openReports(options.report)
  let pin =
    search === undefined ? undefined : readPin(search.pinFile, (message) => options.report('warn', message))
  let detection: Detection | undefined
  /** Stays when the network goes: our list does so too. */
  let lastGood: Candidate | undefined
  let missingSince: number | undefined
  let isPinWritten = true
  let pinNotBefore = 0
  let fault: string | undefined
  let runtimeVersion: CniVersion | undefined
  let writes: number[] = []
  let notBefore = 0
  let timer: NodeJS.Timeout | undefined
  let dueAt = Number.POSITIVE_INFINITY
  let isClosed = false

  const later = (ms: number): void => {
    const at = performance.now() + ms
    if (isClosed || at >= dueAt) return
    clearTimeout(timer)
    dueAt = at
    timer = setTimeout(settle, ms)
    timer.unref()
  }
  const settle = (): void => {
    if (isClosed) return
    clearTimeout(timer)
    dueAt = Number.POSITIVE_INFINITY
    if (search !== undefined) detect(search)
    if (file !== undefined) keepConflist(file)
  }

  const detect = ({ confDir, pinFile, changed }: NonNullable<KeeperOptions['search']>): void => {
    const next = detectDefaultNetwork(confDir, { pin, lastGood })
    const current = detection?.chosen
    if (current !== undefined && !isSameNetwork(current, next.chosen)) {
      const now = performance.now()
      missingSince ??= now
      if (now - missingSince < GRACE_MS) {
        later(GRACE_MS - (now - missingSince) + 10)
        return
      }
    }
    missingSince = undefined
    const isFirst = detection === undefined
    const hasChanged = isFirst || contentOf(current) !== contentOf(next.chosen)
    detection = next
    if (next.chosen !== undefined) lastGood = next.chosen
    rememberPin(pinFile, next.pin)
    for (const reason of next.ignored) say.once('warn', `ignored:${reason}`, reason)
    if (!hasChanged) return
    announce(confDir, current, next.chosen)
    changed(next.chosen)
  }
  const announce = (confDir: string, from: Candidate | undefined, to: Candidate | undefined): void => {
    if (to === undefined) {
      const why = from === undefined ? 'there is none yet' : `${from.path} is gone or no longer valid`
      const text = `no default network in ${confDir}: ${why}; pods wait until the default CNI writes its file`
      say.once('warn', text, text)
      return
    }
    const system = to.system === undefined ? 'no system that Plexus knows' : to.system.title
    const title = `"${to.conflist.name}" of ${to.path} (${system})`
    const was = from === undefined ? '' : `"${from.conflist.name}" of ${from.path}`
    if (from === undefined) say.once('info', title, `the default network is ${title}`)
    else if (isSameNetwork(from, to)) {
      const text = `the default network ${title} has a new configuration: it counts for new pods`
      say.once('info', text, text)
    } else {
      const text = `the default network is now ${title}; it was ${was}, which is gone`
      say.once('warn', text, text)
    }
  }
  /** At once when another network is chosen; what lies beside it may change all the time. */
  const rememberPin = (pinFile: string, next: NetworkPin | undefined): void => {
    if (next !== undefined && JSON.stringify(next) !== JSON.stringify(pin)) {
      if (pin === undefined || next.name !== pin.name || next.type !== pin.type) pinNotBefore = 0
      pin = next
      isPinWritten = false
    }
    if (isPinWritten || pin === undefined) return
    const now = performance.now()
    if (now < pinNotBefore) {
      later(pinNotBefore - now)
      return
    }
    pinNotBefore = now + WRITE_INTERVAL_MS
    try {
      mkdirSync(dirname(pinFile), { recursive: true, mode: 0o700 })
      writeDurably(pinFile, `${JSON.stringify(pin)}\n`, 0o600)
      isPinWritten = true
    } catch (error) {
      later(WRITE_INTERVAL_MS)
      const { message } = toCniError(error)
      say.once('warn', 'pin', `the choice of the default network cannot be remembered: ${message}`)
    }
  }

  const keepConflist = (target: NodeConflistFile): void => {
    if (conflist === undefined) return
    const network = search === undefined ? undefined : lastGood
    if (search !== undefined && network === undefined) return
    const now = performance.now()
    const isUninstalled = conflist.isUninstalled?.() ?? false
    if (isUninstalled) {
      fault = undefined
      say.once('warn', 'uninstalled', `${target.path} is not put back: Plexus is being uninstalled here`)
    }
    if (isUninstalled || !conflist.isWanted()) {
      later(RETRY_MS)
      return
    }
    if (now < notBefore) {
      later(notBefore - now)
      return
    }
    try {
      runtimeVersion = conflist.runtimeVersion() ?? runtimeVersion
      const outcome = target.put((kept) => {
        runtimeVersion ??= kept.cniVersion ?? SAFE_VERSION
        return nodeConflist({
          cniVersion: listVersion({ told: conflist.cniVersion, runtime: runtimeVersion, kept }),
          defaultPlugins: network?.conflist.plugins ?? [ANY_NETWORK],
          netConf: {
            ...conflist.netConf,
            ...(network === undefined ? {} : { defaultNetwork: network.path }),
          },
          kept,
        })
      })
      fault = undefined
      tell(target.path, outcome, now)
      const before = target.before()
      if (before.length === 0) return
      fault = `${before.join(', ')} sorts before ${target.path}: the runtime uses it and does not call Plexus`
      say.once('error', fault, `${fault}; remove it, or rename it so that it sorts behind`)
    } catch (error) {
      fault = `${target.path} cannot be written: ${toCniError(error).message}`
      say.once('error', fault, `${fault}; it is tried again until it works`)
      later(RETRY_MS)
    }
  }
  const tell = (path: string, { action, renamedTo }: PutOutcome, now: number): void => {
    if (action === 'none') return
    // Removed at once it may be gone before anybody sees that it was there.
    later(RETRY_MS)
    writes = [...writes.filter((time) => now - time < MINUTE_MS), now]
    if (writes.length > FREE_WRITES) notBefore = now + WRITE_INTERVAL_MS
    if (action === 'created' || action === 'updated') {
      say.often('info', action, () => `${path} is ${action}`)
      return
    }
    const what =
      action === 'corrected'
        ? 'had been changed'
        : `had been ${renamedTo === undefined ? 'removed' : 'renamed'}`
    const to = action === 'put back' && renamedTo !== undefined ? ` to ${renamedTo}` : ''
    say.often('warn', action, (times) => {
      const count = times === 1 ? '' : `, ${times} times since this was last said`
      return `${path} ${what}${to} and is ${action}${count}: ${remedyOf(action, renamedTo)}`
    })
  }

  const followRuntime = (): void => {
    const version = conflist?.runtimeVersion()
    if (version !== undefined && version !== runtimeVersion) settle()
  }
  const runtimeTimer = setInterval(followRuntime, RUNTIME_LOOK_MS)
  runtimeTimer.unref()
  const folders = new Set([search?.confDir, conflist?.folder].filter((folder) => folder !== undefined))
  const watches: FolderWatch[] = [...folders].map((folder) =>
    watchFolder(folder, {
      changed: settle,
      blind: (reason) =>
        options.report(
          'warn',
          `${folder} is looked at twice a second, the kernel gives no notice: ${reason}`,
        ),
    }),
  )
  return {
    get network() {
      return detection?.chosen
    },
    get path() {
      return detection?.chosen?.path ?? pin?.path
    },
    get ignored() {
      return detection?.ignored ?? []
    },
    get fault() {
      return fault
    },
    close() {
      pinNotBefore = 0
      if (search !== undefined) rememberPin(search.pinFile, pin)
      isClosed = true
      clearTimeout(timer)
      clearInterval(runtimeTimer)
      for (const watch of watches) watch.close()
    },
  }
}

function remedyOf(action: PutOutcome['action'], renamedTo: string | undefined): string {
  if (action === 'corrected') return 'put the change into the configuration of Plexus instead'
  if (renamedTo?.endsWith('.cilium_bak') === true) {
    return 'Cilium runs in exclusive mode; set cni.exclusive=false in its Helm values and restart its agent'
  }
  return 'find out who does it; to take Plexus off the node, uninstall it'
}

/** Whether it is the same network, whatever has become of its configuration. */
function isSameNetwork(left: Candidate, right: Candidate | undefined): boolean {
  return (
    left.conflist.name === right?.conflist.name &&
    left.conflist.plugins[0]?.type === right.conflist.plugins[0]?.type
  )
}

function contentOf(candidate: Candidate | undefined): string {
  if (candidate === undefined) return ''
  return JSON.stringify([candidate.path, candidate.conflist.source, candidate.conflist.plugins])
}

function readPin(path: string, warn: (message: string) => void): NetworkPin | undefined {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch {
    // The first start, or a disk that rememberPin will tell of.
    return undefined
  }
  try {
    const pin = parsePin(JSON.parse(text))
    if (pin !== undefined) return pin
  } catch {
    // As wrong as JSON of another shape.
  }
  warn(`${path} is damaged: the default network is chosen anew`)
  return undefined
}

/** Bounds what is said of something that happens again and again. */
function openReports(report: KeeperOptions['report']): {
  once(level: Level, key: string, message: string): void
  often(level: Level, key: string, message: (times: number) => string): void
} {
  const said = new Map<string, { at: number; unsaid: number }>()
  const often = (level: Level, key: string, message: (times: number) => string): void => {
    const now = performance.now()
    const last = said.get(key)
    if (last !== undefined && now - last.at < MINUTE_MS) {
      last.unsaid += 1
      return
    }
    // Keys hold reasons with names of files, of which there may be any number over the years.
    if (said.size > 1000) said.clear()
    said.set(key, { at: now, unsaid: 0 })
    report(level, message((last?.unsaid ?? 0) + 1))
  }
  return { often, once: (level, key, message) => often(level, key, () => message) }
}
