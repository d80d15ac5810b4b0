import type { JsonObject } from '../cni/json.ts'
import type { AddressRange } from './address-range.ts'
import type { Report } from './report.ts'
import type { ValuePath } from './source-text.ts'

/** Addresses that a network gives, as far as its configuration tells. */
export interface AddressPool {
  /** `host-local`, `whereabouts` or `static`. */
  readonly ipamType: string
  /** The prefix that the addresses are in. */
  readonly subnet: AddressRange
  /** Those of it that are given. */
  readonly given: AddressRange
  readonly gateway: string | undefined
  /** Way from the report of the network to the pool. */
  readonly path: ValuePath
}

/** One plugin of a network, checked against its schema. */
export interface PluginView {
  readonly type: string
  /** Keys as the schema spells them; what is wrong is left out. All of it when the plugin is not known. */
  readonly conf: JsonObject
  /** As its author wrote it. */
  readonly written: JsonObject
  readonly ipam: JsonObject
  readonly ipamType: string | undefined
  /** Way from the report of the network to the plugin. */
  readonly path: ValuePath
  readonly report: Report
  readonly pools: readonly AddressPool[]
}

/** The MTU that a network's interface has in the end, and the way to it; `undefined` when nothing sets one. */
export function mtuOf(
  plugins: readonly PluginView[],
): { readonly mtu: number; readonly path: ValuePath } | undefined {
  const setters = plugins.filter(({ type }, index) => index === 0 || type === 'tuning')
  const last = setters.findLast(({ conf }) => (numberOf(conf, 'mtu') ?? 0) > 0)
  return last && { mtu: numberOf(last.conf, 'mtu') ?? 0, path: [...last.path, 'mtu'] }
}

/** The number behind a key, or `undefined`. */
export function numberOf(conf: JsonObject, key: string): number | undefined {
  const value = conf[key]
  return typeof value === 'number' ? value : undefined
}

/** The text behind a key, `undefined` when it is absent or empty. */
export function textOf(conf: JsonObject, key: string): string | undefined {
  const value = conf[key]
  return typeof value === 'string' && value !== '' ? value : undefined
}

/** Whether a key was written, in any case, even if with a wrong value: that is told already. */
export function hasKey(written: JsonObject, key: string): boolean {
  return Object.keys(written).some(
    (name) => name.toLowerCase() === key.toLowerCase() && written[name] !== null,
  )
}
