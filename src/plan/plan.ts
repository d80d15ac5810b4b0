import type { CniError } from '../cni/cni-error.ts'
import type { JsonObject } from '../cni/json.ts'
import type { CniVersion } from '../cni/version.ts'

/** One plugin of an attachment. What goes to its stdin is `conf` with the rest injected. */
export interface PlannedPlugin {
  readonly type: string
  /** As the network's author wrote it, to the digit. */
  readonly conf: JsonObject & { type: string }
  readonly runtimeConfig: JsonObject | undefined
  /** Keys for `args.cni`. */
  readonly cniArgs: JsonObject | undefined
  /** Further top-level keys: `deviceID`, `pciBusID`. */
  readonly extra: JsonObject | undefined
}

/** One network on one pod interface, fully decided. */
export interface PlannedAttachment {
  /** Position in the pod; 0 is the default network. */
  readonly index: number
  readonly isDefault: boolean
  /** `name` of the network's configuration (NPWG-082). */
  readonly network: string
  /** `namespace/name` of the NAD, else the network's name: what network-status calls it (NPWG-144). */
  readonly label: string
  /** Where the configuration came from, for people. */
  readonly source: string
  readonly ifName: string
  readonly cniVersion: CniVersion
  readonly disableCheck: boolean
  readonly disableGC: boolean
  /** CNI_ARGS in strict form. */
  readonly args: string
  readonly plugins: readonly PlannedPlugin[]
  /** Gateways the pod asked for on this interface; `[]` keeps its own (NPWG-092). */
  readonly defaultRoute: readonly string[] | undefined
  /** Indexes of attachments whose interface this one is built on. */
  readonly waitsFor: readonly number[]
  readonly isOptional: boolean
  /** Limit of one call in milliseconds, when the pod asked for one. */
  readonly timeoutMs: number | undefined
  /** Path of the device-info file, which plugins with that capability are given (NPWG-122). */
  readonly deviceInfoFile: string | undefined
  /** What the device plugin says of the network's device, copied to `deviceInfoFile` beforehand (NPWG-123). */
  readonly devicePluginFile: string | undefined
  /** Why it is as it is, one sentence a decision. */
  readonly reasons: readonly string[]
}

/** What is to be done for a pod, and all that is wrong with it. Nothing runs while there is a fault. */
export interface Plan {
  readonly attachments: readonly PlannedAttachment[]
  readonly faults: readonly CniError[]
  readonly warnings: readonly string[]
  /** What is wrong with each optional network that is left out. */
  readonly missing: readonly string[]
}

/** How messages name a network: with its NAD or the place its configuration came from. */
export function networkTitle(attachment: { network: string; source: string }): string {
  return `network "${attachment.network}" (${attachment.source})`
}
