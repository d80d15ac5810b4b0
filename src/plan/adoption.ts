import type { CachedResult } from '../cni/cached-result.ts'
import { formatCniArgs, type PodIdentity, podIdentity } from '../cni/cni-args.ts'
import { type Conflist, parseConflist } from '../cni/conflist.ts'
import { selectRuntimeConfig } from '../cni/delegate-conf.ts'
import type { JsonObject } from '../cni/json.ts'
import { deviceInfoFileName } from '../network/device-info.ts'
import type { PlannedAttachment } from './plan.ts'

/** A network of a pod that somebody else has attached. */
export interface ForeignAttachment {
  /** `namespace/nad` or the configuration's name; '' when that is not known. */
  readonly label: string
  readonly config: JsonObject
  readonly ifName: string
  /** What the library has kept of its ADD; `undefined` when that has not succeeded. */
  readonly cached: CachedResult | undefined
  readonly deviceId: string | undefined
}

/** A pod that somebody else has attached, as our journal would have it. */
export interface Adoption {
  readonly pod: PodIdentity | undefined
  readonly attachments: readonly PlannedAttachment[]
}

/**
 * Makes of what somebody else has kept of a pod the attachments that our DEL undoes: the same configuration, interface,
 * arguments and capabilities that its plugins were called with.
 *
 * @param source Where it came from, for people.
 * @param runtime What the runtime's own library has kept of the pod.
 * @throws {CniError} For a configuration or arguments that no plugin could be called with.
 */
export function adopt(
  foreign: readonly ForeignAttachment[],
  containerId: string,
  { source, devInfoDir, runtime }: { source: string; devInfoDir: string; runtime: CachedResult | undefined },
): Adoption {
  const someArgs = [runtime, ...foreign.map(({ cached }) => cached)].find(
    (cached) => (cached?.args ?? []).length > 0,
  )
  const attachments = foreign.map(({ label, config, ifName, cached, deviceId }, index): PlannedAttachment => {
    const conflist = toConflist(config, label, cached, source)
    const args = cached === undefined || cached.args.length === 0 ? (someArgs?.args ?? []) : cached.args
    const capabilities = cached?.capabilityArgs ?? {}
    const title = label === '' ? conflist.name : label
    return {
      index,
      isDefault: index === 0,
      network: conflist.name,
      label: title,
      source,
      ifName,
      cniVersion: conflist.cniVersion,
      disableCheck: conflist.disableCheck,
      disableGC: conflist.disableGC,
      args: formatCniArgs(args),
      plugins: conflist.plugins.map((conf) => ({
        type: conf.type,
        conf,
        runtimeConfig: selectRuntimeConfig(conf, capabilities),
        cniArgs: undefined,
        extra: undefined,
      })),
      defaultRoute: undefined,
      waitsFor: [],
      isOptional: false,
      timeoutMs: undefined,
      deviceInfoFile:
        deviceId === undefined
          ? undefined
          : `${devInfoDir}/cni/${deviceInfoFileName(title, containerId, ifName)}`,
      devicePluginFile: undefined,
      reasons: [`attached by another meta-plugin and adopted from ${source}`],
    }
  })
  return { pod: podIdentity(someArgs?.args ?? []), attachments }
}

/** A configuration without a version was called in that of the list around it, which the result shows. */
function toConflist(
  config: JsonObject,
  label: string,
  cached: CachedResult | undefined,
  source: string,
): Conflist {
  const version = config.cniVersion ?? cached?.result?.cniVersion
  return parseConflist(version === undefined ? config : { ...config, cniVersion: version }, {
    what: `a network in ${source}`,
    form: 'by-content',
    ...(label === '' ? {} : { fallbackName: label.slice(label.lastIndexOf('/') + 1) }),
  })
}
