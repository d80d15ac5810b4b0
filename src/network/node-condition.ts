import { cutToBytes, NETWORKS_READY_CONDITION } from './pod-condition.ts'

/** Type of the condition that a Node has, the same as that of its pods. */
export const NODE_NETWORKS_READY = NETWORKS_READY_CONDITION

/** Whether the networks that a node needs can be attached there. */
export interface NodeNetworksReady {
  readonly status: 'True' | 'False'
  /** One CamelCase word. */
  readonly reason: 'NetworksAvailable' | 'DefaultNetworkMissing' | 'PluginMissing'
  readonly message: string
}

/** A plugin that cannot be run on the node, and what needs it. */
export interface PluginProblem {
  readonly type: string
  /** `is not installed`, or why it is refused. */
  readonly what: string
  /** For example `NAD telco/n6`. */
  readonly neededBy: readonly string[]
}

/** More names than this nobody reads. */
const MOST_NAMES = 3

/** The condition of a node with these problems. */
export function nodeCondition(problems: {
  /** Why there is no default network. */
  readonly defaultNetwork: string | undefined
  readonly plugins: readonly PluginProblem[]
}): NodeNetworksReady {
  const { defaultNetwork, plugins } = problems
  const texts = plugins.map(({ type, what, neededBy }) => {
    const others = neededBy.length - MOST_NAMES
    const names = neededBy.slice(0, MOST_NAMES).join(', ')
    return `plugin "${type}" ${what}; needed by ${names}${others > 0 ? ` and ${others} more` : ''}`
  })
  const message = cutToBytes([defaultNetwork, ...texts].filter((text) => text !== undefined).join('; '))
  if (defaultNetwork !== undefined) return { status: 'False', reason: 'DefaultNetworkMissing', message }
  if (plugins.length > 0) return { status: 'False', reason: 'PluginMissing', message }
  return { status: 'True', reason: 'NetworksAvailable', message: '' }
}
