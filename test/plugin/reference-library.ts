import { isJsonObject, type JsonObject } from '../../src/cni/json.ts'

/** What a runtime gives the CNI reference library for one attachment. */
export interface RuntimeCall {
  readonly containerId: string
  readonly netns: string
  readonly ifName: string
  readonly args: string
  readonly path: string
  /** Values by capability. */
  readonly capabilityArgs: JsonObject
}

/** One call of a plugin as the reference library makes it. */
export interface ReferenceCall {
  readonly type: string
  readonly env: Readonly<Record<string, string>>
  readonly stdin: JsonObject
}

/**
 * The calls that the CNI reference library makes for a list or a single conf, written down anew from the
 * specification ("Section 4: execution"), so that what Plexus hands on can be held against it.
 *
 * @param conf As the file has it; `name` stands in for a NAD's.
 * @param result The result of ADD, for CHECK and DEL.
 * @param resultOf ADD: what the plugin before answered.
 */
export function referenceCalls(
  command: 'ADD' | 'CHECK' | 'DEL',
  conf: JsonObject,
  call: RuntimeCall,
  { name, result, resultOf }: { name?: string; result?: unknown; resultOf?: (index: number) => unknown } = {},
): ReferenceCall[] {
  const plugins = (Array.isArray(conf.plugins) ? conf.plugins : [conf]) as JsonObject[]
  // A missing version means the first one.
  const cniVersion = String(conf.cniVersion ?? '0.1.0')
  const has = (least: string): boolean => cniVersion.localeCompare(least) >= 0
  if (command === 'CHECK' && (conf.disableCheck === true || !has('0.4.0'))) return []
  const calls = plugins.map((plugin, index): ReferenceCall => {
    const prevResult =
      command === 'ADD'
        ? index === 0
          ? undefined
          : resultOf?.(index - 1)
        : has('0.4.0')
          ? result
          : undefined
    return {
      type: String(plugin.type),
      env: {
        CNI_COMMAND: command,
        CNI_CONTAINERID: call.containerId,
        CNI_NETNS: call.netns,
        CNI_IFNAME: call.ifName,
        CNI_ARGS: call.args,
        CNI_PATH: call.path,
      },
      stdin: {
        ...plugin,
        name: conf.name ?? name,
        cniVersion,
        ...runtimeConfigOf(plugin, call.capabilityArgs),
        ...(prevResult === undefined ? {} : { prevResult }),
      },
    }
  })
  return command === 'DEL' ? calls.reverse() : calls
}

function runtimeConfigOf({ capabilities }: JsonObject, values: JsonObject): JsonObject {
  const declared = isJsonObject(capabilities) ? capabilities : {}
  const runtimeConfig = Object.fromEntries(
    Object.entries(declared)
      .filter(([key, isDeclared]) => isDeclared === true && values[key] !== undefined)
      .map(([key]) => [key, values[key]]),
  )
  return Object.keys(runtimeConfig).length === 0 ? {} : { runtimeConfig }
}
