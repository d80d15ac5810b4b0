import { CniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import { delegatedTypes } from '../cni/conflist.ts'
import type { NetConf } from '../config/net-conf.ts'
import type { HostFacts } from './host-facts.ts'
import { networkTitle, type PlannedAttachment, type PlannedPlugin } from './plan.ts'
import { META_PLUGIN_TYPES, runsIpamPlugin } from './plugin-quirks.ts'

/** Plugin types that a plugin makes run on the node: itself, its IPAM, its nested delegates. */
export function executedTypes(plugin: Pick<PlannedPlugin, 'type' | 'conf'>): string[] {
  const types = delegatedTypes(plugin.conf)
  return runsIpamPlugin(plugin.type) ? types : types.slice(0, 1)
}

/**
 * What is wrong with an attachment's plugins: ourselves or another meta-plugin, not allowed here, or
 * not installed (CNI-091). One fault a plugin type.
 *
 * @param facts `undefined` when nothing will run: then nothing is looked for.
 */
export function pluginFaults(
  attachment: PlannedAttachment,
  conf: Pick<NetConf, 'allowedPluginTypes'>,
  facts: Pick<HostFacts, 'plugins' | 'searchPath'> | undefined,
): CniError[] {
  const title = networkTitle(attachment)
  const types = new Set(attachment.plugins.flatMap(executedTypes))
  return [...types].flatMap((type) => {
    const file = facts?.plugins.get(type)
    if (META_PLUGIN_TYPES.has(type) || file?.isPlexus === true) {
      return [
        new CniError(
          CniErrorCode.PluginNotAllowed,
          `${title}: plugin "${type}" is a meta-plugin, delegating to it would never end`,
          {
            hint: 'name the plugin that makes the network itself',
          },
        ),
      ]
    }
    if (conf.allowedPluginTypes?.includes(type) === false) {
      return [
        new CniError(
          CniErrorCode.PluginNotAllowed,
          `${title}: plugin "${type}" is not in allowedPluginTypes`,
          {
            hint: `allowed are ${conf.allowedPluginTypes.join(', ')}`,
          },
        ),
      ]
    }
    if (file?.refusal !== undefined) {
      return [
        new CniError(
          CniErrorCode.PluginNotAllowed,
          `${title}: plugin "${type}" is not run: ${file.refusal}`,
          {
            hint: 'only root may be able to write it and the folders that lead to it',
          },
        ),
      ]
    }
    if (facts === undefined || file !== undefined) return []
    const path =
      facts.searchPath.length === 0 ? ': no paths provided' : ` in path [${facts.searchPath.join(' ')}]`
    return [
      new CniError(CniErrorCode.PluginNotFound, `${title}: failed to find plugin "${type}"${path}`, {
        hint: `install the "${type}" plugin on this node or remove the network from the pod`,
      }),
    ]
  })
}
