import { type CniVersion, isAtLeast } from '../cni/version.ts'
import type { KeptOfConflist } from './node-conflist.ts'

/** What every runtime that Kubernetes still works with can read. */
export const SAFE_VERSION: CniVersion = '1.0.0'

/** What a release of a runtime and all later ones can read. */
interface Row {
  readonly runtime: string
  readonly from: readonly [major: number, minor: number]
  readonly cniVersion: CniVersion
}

/**
 * By the CNI library that each was built with: 0.8 reads up to 0.4.0, 1.0 and 1.1 read 1.0.0, 1.2 reads 1.1.0. Docker is
 * none of these rows: its CNI side is cri-dockerd, which the Node does not name and which reads 1.0.0.
 */
const ROWS: readonly Row[] = [
  { runtime: 'containerd', from: [2, 0], cniVersion: '1.1.0' },
  { runtime: 'containerd', from: [1, 6], cniVersion: '1.0.0' },
  { runtime: 'containerd', from: [0, 0], cniVersion: '0.4.0' },
  { runtime: 'cri-o', from: [1, 32], cniVersion: '1.1.0' },
  { runtime: 'cri-o', from: [1, 24], cniVersion: '1.0.0' },
  { runtime: 'cri-o', from: [0, 0], cniVersion: '0.4.0' },
]

/**
 * The highest CNI version of a runtime.
 *
 * @param runtime As a Node's `status.nodeInfo.containerRuntimeVersion` has it: `containerd://1.7.27`.
 * @returns 1.0.0 for a runtime that is not known.
 */
export function runtimeCniVersion(runtime: string): CniVersion {
  const [, name, major, minor] = /^([a-z-]+):\/\/v?(\d+)\.(\d+)/.exec(runtime) ?? []
  const isReached = ([fromMajor, fromMinor]: Row['from']): boolean =>
    Number(major) > fromMajor || (Number(major) === fromMajor && Number(minor) >= fromMinor)
  return ROWS.find((row) => row.runtime === name && isReached(row.from))?.cniVersion ?? SAFE_VERSION
}

/** What is known of the version that our list shall have. */
export interface ListVersionInput {
  /** By the configuration: it wins. */
  readonly told: CniVersion | undefined
  readonly runtime: CniVersion
  readonly kept: KeptOfConflist
}

/**
 * The version of our list. Plugins that others have put in are called by the runtime in this version, and many do not
 * know 1.1.0: nobody but the configuration may ask it of them.
 */
export function listVersion({ told, runtime, kept }: ListVersionInput): CniVersion {
  if (told !== undefined) return told
  const hasOthers = kept.before.length + kept.behind.length > 0
  return hasOthers && isAtLeast(runtime, SAFE_VERSION) ? SAFE_VERSION : runtime
}
