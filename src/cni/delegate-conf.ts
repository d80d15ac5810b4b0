import type { PluginConf } from './conflist.ts'
import { isJsonObject, type JsonObject } from './json.ts'
import type { CniVersion } from './version.ts'

/** What a request adds to a plugin's own configuration; what is absent adds nothing. */
export interface InjectedConf {
  /** From {@link selectRuntimeConfig}. CNI-076. */
  readonly runtimeConfig?: JsonObject | undefined
  /** In the list's version. CNI-072. */
  readonly prevResult?: unknown
  /** Merged key by key into `args.cni`, winning over the conf's own. NPWG-049. */
  readonly cniArgs?: JsonObject | undefined
  /** Further top-level keys (`deviceID`, `pciBusID`, `cni.dev/valid-attachments`), set as they are. */
  readonly extra?: JsonObject | undefined
}

/**
 * What a plugin gets on stdin: its conf with the list's name and version and what was injected. All
 * other keys stay as they are, in their order. An injected `runtimeConfig` replaces the conf's whole key;
 * without one a literal key stays, as with the reference library. `prevResult` and `cni.dev/…` keys are
 * the runtime's alone: those of the conf are dropped. CNI-070 to CNI-073, CNI-076, CNI-088.
 */
export function injectConf(
  conf: PluginConf,
  list: { readonly name: string; readonly cniVersion: CniVersion },
  injected: InjectedConf,
): JsonObject {
  const { runtimeConfig, prevResult, cniArgs, extra } = injected
  const own = Object.entries(conf).filter(([key]) => key !== 'prevResult' && !key.startsWith('cni.dev/'))
  return {
    ...Object.fromEntries(own),
    name: list.name,
    cniVersion: list.cniVersion,
    ...(cniArgs === undefined ? {} : { args: mergeArgs(conf.args, cniArgs) }),
    ...extra,
    ...(runtimeConfig === undefined ? {} : { runtimeConfig }),
    ...(prevResult === undefined ? {} : { prevResult }),
  }
}

function mergeArgs(args: unknown, cniArgs: JsonObject): JsonObject {
  const own = isJsonObject(args) ? args : {}
  return { ...own, cni: { ...(isJsonObject(own.cni) ? own.cni : {}), ...cniArgs } }
}

/** The capabilities that a conf declares: those that are literally `true`. CNI-076. */
export function capabilitiesOf(conf: PluginConf): string[] {
  const { capabilities } = conf
  if (!isJsonObject(capabilities)) return []
  return Object.keys(capabilities).filter((key) => key !== '' && capabilities[key] === true)
}

/**
 * The part of the runtime's values that a plugin declared itself capable of, or `undefined` when there
 * is none; never with a null value or an empty key. CNI-076, CNI-079.
 */
export function selectRuntimeConfig(conf: PluginConf, available: JsonObject): JsonObject | undefined {
  const selected = capabilitiesOf(conf)
    .filter((key) => Object.hasOwn(available, key) && (available[key] ?? null) !== null)
    .map((key) => [key, available[key]])
  return selected.length === 0 ? undefined : Object.fromEntries(selected)
}
