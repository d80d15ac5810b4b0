import { readdirSync } from 'node:fs'
import { basename } from 'node:path'
import { toCniError } from '../cni/cni-error.ts'
import {
  type Candidate,
  chooseDefaultNetwork,
  type DefaultNetworkChoice,
  type NetworkPin,
} from '../plan/default-network-choice.ts'
import { NODE_CONFLIST_FILE } from '../plan/node-conflist.ts'
import { isMetaPlugin } from '../plan/plugin-quirks.ts'
import { recogniseSystem } from '../plan/systems/registry.ts'
import { readConfFolder } from '../store/conf-files.ts'

/** What a folder of conf files says about the node's default network. */
export interface Detection extends DefaultNetworkChoice {
  readonly folder: string
}

/** What is remembered between two looks. */
export interface DetectionMemory {
  readonly pin: NetworkPin | undefined
  /** The default network as it was last read: counts while its file is being written. */
  readonly lastGood?: Candidate | undefined
}

/**
 * Finds the default network in a folder: the first valid file in byte order that is not of a meta-plugin,
 * unless another one is pinned. Every file that is passed over is named with the reason. CNI-136 to CNI-142.
 */
export function detectDefaultNetwork(folder: string, memory: DetectionMemory): Detection {
  const siblings = namesIn(folder)
  const ignored: string[] = []
  const candidates: Candidate[] = []
  const { files, invalid } = readFolder(folder)
  for (const { path, reason } of invalid) {
    const { lastGood } = memory
    if (lastGood?.path === path) {
      candidates.push(lastGood)
      ignored.push(`${path} cannot be used as it is now, its last valid content counts: ${reason}`)
    } else ignored.push(`${path} is passed over: ${reason}`)
  }
  for (const { path, conflist } of files) {
    const meta = conflist.plugins.find(({ type }) => isMetaPlugin(type))
    if (meta === undefined) {
      candidates.push({ path, conflist, system: recogniseSystem({ path, conflist, siblings }) })
    } else if (basename(path) !== NODE_CONFLIST_FILE) {
      ignored.push(`${path} is passed over: its plugin "${meta.type}" is a meta-plugin`)
    }
  }
  candidates.sort((left, right) => Buffer.compare(Buffer.from(left.path), Buffer.from(right.path)))
  const choice = chooseDefaultNetwork(candidates, memory.pin)
  return {
    ...choice,
    folder,
    ignored: [...ignored, ...choice.ignored],
  }
}

function readFolder(folder: string): {
  readonly files: ReturnType<typeof readConfFolder>['files']
  readonly invalid: ReturnType<typeof readConfFolder>['ignored']
} {
  try {
    const { files, ignored } = readConfFolder(folder)
    return { files, invalid: ignored }
  } catch (error) {
    return { files: [], invalid: [{ path: folder, reason: toCniError(error).message }] }
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    // A folder that is missing has no files; one that cannot be read is told of by readFolder.
    return []
  }
}
