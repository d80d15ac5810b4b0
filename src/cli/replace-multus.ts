import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { setTimeout as delay } from 'node:timers/promises'
import { stringify } from 'yaml'
import { toCniError } from '../cni/cni-error.ts'
import type { JsonObject } from '../cni/json.ts'
import { DAEMON_CONF_DEFAULTS } from '../config/daemon-conf.ts'
import { NET_CONF_DEFAULTS } from '../config/net-conf.ts'
import { type MultusOnNode, type Replacement, readMultus, replaceMultus } from '../node/replace-multus.ts'
import { UNINSTALLING_FILE } from '../node/uninstall-mark.ts'
import { writeConfig } from '../node/written-config.ts'

/** What `plexus install --replace-multus` is told. */
export interface MultusOptions {
  /** Multus's configuration when the runtime's folder does not have it. */
  readonly confFile: string | undefined
  /** Multus's `cniDir`; `undefined` for what its configuration says. */
  readonly cacheDir: string | undefined
  /** Cache of the runtime's CNI library. */
  readonly cniCacheDir: string
  /** File that gets the daemon's configuration. */
  readonly configFile: string | undefined
}

/** The node that is taken over. */
interface NodePlace {
  readonly confDir: string
  readonly stateDir: string
  readonly socket: string
}

/** The part of `plexus install -o json` that is about Multus. */
export interface MultusReport extends Replacement {
  readonly daemonConf: JsonObject
  /** Where it was written to. */
  readonly configFile: string | null
  readonly notes: readonly string[]
}

const MULTUS_CACHE_DIR = '/var/lib/cni/multus'
/** While Multus is still in force, and to see whether it comes back. */
const LOOK_MS = 2000
/** When all is done, for what Multus has kept of pods that are gone since. */
const QUIET_MS = 60_000

/** Reads and translates; nothing is changed. */
export function readNodeMultus(
  { confFile }: MultusOptions,
  { confDir, stateDir, socket }: NodePlace,
): MultusOnNode {
  const own = {
    ...(stateDir === NET_CONF_DEFAULTS.stateDir ? {} : { stateDir }),
    ...(socket === DAEMON_CONF_DEFAULTS.socket ? {} : { socket }),
  }
  return readMultus(confDir, confFile, own)
}

/**
 * Takes Multus's place on this node, as far as that is possible now.
 *
 * @param pluginDirs Where the plugins of the pods are, as the host names the folders.
 */
export async function takeOverMultus(
  options: MultusOptions,
  multus: MultusOnNode,
  place: NodePlace,
  pluginDirs: readonly string[],
): Promise<MultusReport> {
  const { configFile, cacheDir, cniCacheDir } = options
  const { conf, notes, files, defaultNetwork } = multus
  if (configFile !== undefined) writeConfig(place.stateDir, configFile, stringify(conf))
  const replacement = await replaceMultus({
    ...{ ...place, cniCacheDir, defaultNetwork, pluginDirs, files },
    multusCacheDir: cacheDir ?? multus.cacheDir ?? MULTUS_CACHE_DIR,
  })
  return { daemonConf: conf, configFile: configFile ?? null, notes, ...replacement }
}

/** Does so again and again, until it is told to stop. A configuration that is there already stays as it is. */
export async function keepTakingOver(
  options: MultusOptions,
  place: NodePlace,
  pluginDirs: readonly string[],
  { signal, report }: { readonly signal: AbortSignal; readonly report: (message: string) => void },
): Promise<void> {
  const { configFile } = options
  let said = ''
  let quietUntil = 0
  const step = async (): Promise<string> => {
    if (existsSync(join(place.stateDir, UNINSTALLING_FILE))) return said
    const multus = readNodeMultus(options, place)
    if (multus.files.length === 0 && performance.now() < quietUntil) return said
    const isThere = configFile === undefined || existsSync(configFile)
    const now = { ...options, configFile: isThere ? undefined : configFile }
    const outcome = await takeOverMultus(now, multus, place, pluginDirs)
    const isBusy = outcome.waitsFor !== undefined || outcome.waiting.length > 0
    quietUntil = isBusy ? 0 : performance.now() + QUIET_MS
    return progressText(outcome)
  }
  while (!signal.aborted) {
    const text = await step().catch((error) => {
      const { message, hint } = toCniError(error)
      return hint === undefined ? message : `${message}; ${hint}`
    })
    if (text !== '' && text !== said) report(text)
    said = text
    await delay(LOOK_MS, undefined, { signal }).catch(() => undefined)
  }
}

/** What has happened, for people. */
export function multusText(report: MultusReport): string {
  const { daemonConf, configFile, notes, waiting, left } = report
  const conf =
    configFile === null
      ? `The daemon's configuration:\n${stringify(daemonConf).replace(/^(?=.)/gm, '  ')}`
      : `The daemon's configuration is in ${configFile}.\n`
  return [
    conf,
    ...notes.map((note) => `Note: ${note}.\n`),
    `${progressText(report)}\n`,
    ...waiting.map(({ containerId, reason }) => `Not yet adopted: container ${containerId}: ${reason}.\n`),
    ...left.map(({ containerId, reason }) => `Not adopted: container ${containerId}: ${reason}.\n`),
  ].join('')
}

function progressText({ adopted, setAside, waitsFor, waiting, left }: Replacement): string {
  return [
    ...(adopted.length === 0 ? [] : [`adopted ${adopted.length} pods: ${adopted.join(', ')}`]),
    ...setAside.map((path) => `Multus's file is now ${path}`),
    ...(waitsFor === undefined
      ? []
      : [`Multus's file stays until there is ${waitsFor}; run this again then`]),
    ...(waiting.length === 0 ? [] : [`${waiting.length} pods are still being attached by Multus`]),
    ...left.map(({ containerId, reason }) => `container ${containerId} is not adopted: ${reason}`),
  ].join('; ')
}
