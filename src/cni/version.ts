import { CniError } from './cni-error.ts'
import { CniErrorCode } from './codes.ts'

/** All released versions of the CNI specification, lowest first. */
export const CNI_VERSIONS = ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'] as const

/** A released version of the CNI specification. */
export type CniVersion = (typeof CNI_VERSIONS)[number]

/** The version that Plexus answers when the caller names none that it knows. */
export const HIGHEST_VERSION: CniVersion = '1.1.0'

/** Result shapes: A = 0.1.0, 0.2.0; B = 0.3.0 to 0.4.0; C = 1.0.0 and 1.1.0. */
export type ResultFamily = 'A' | 'B' | 'C'

/** Whether the text is exactly a released version; `1.0` and `1.0.0-rc1` are not (CNI-033). */
export function isCniVersion(value: unknown): value is CniVersion {
  return typeof value === 'string' && (CNI_VERSIONS as readonly string[]).includes(value)
}

/** The result shape of a version. */
export function resultFamily(version: CniVersion): ResultFamily {
  if (version === '0.1.0' || version === '0.2.0') return 'A'
  return version === '1.0.0' || version === '1.1.0' ? 'C' : 'B'
}

/** Whether a released version is at least another. */
export function isAtLeast(version: CniVersion, least: CniVersion): boolean {
  return CNI_VERSIONS.indexOf(version) >= CNI_VERSIONS.indexOf(least)
}

/** All released versions as a message lists them: `0.1.0, 0.2.0, …, 1.1.0`. */
export const SUPPORTED_TEXT = CNI_VERSIONS.join(', ')

/**
 * Reads a version as numbers: up to three dot-separated integers, missing ones 0, an empty text is
 * 0.1.0. CNI-034.
 *
 * @throws {CniError} InvalidNetworkConfig for four parts or anything that is no number.
 */
export function parseVersion(text: string): [number, number, number] {
  if (text === '') return [0, 1, 0]
  if (!/^\d+(\.\d+){0,2}$/.test(text)) {
    throw new CniError(
      CniErrorCode.InvalidNetworkConfig,
      `"${text}" is no version (up to three numbers with dots)`,
    )
  }
  const [major = 0, minor = 0, micro = 0] = text.split('.').map(Number)
  return [major, minor, micro]
}

/**
 * Negative, 0 or positive as the first version is lower, equal or higher. CNI-034.
 *
 * @throws {CniError} InvalidNetworkConfig like {@link parseVersion}.
 */
export function compareVersions(left: string, right: string): number {
  const [a, b] = [parseVersion(left), parseVersion(right)]
  return a[0] - b[0] || a[1] - b[1] || a[2] - b[2]
}

/**
 * The version that a list is run in: the highest released one out of `cniVersion` and `cniVersions`;
 * `cniVersion` as it is written when none of them is. CNI-037.
 *
 * @throws {CniError} InvalidNetworkConfig for an entry of `cniVersions` that is no version.
 */
export function pickVersion(cniVersion: string, cniVersions: readonly unknown[]): string {
  for (const entry of cniVersions) {
    if (typeof entry !== 'string') {
      throw new CniError(
        CniErrorCode.InvalidNetworkConfig,
        `cniVersions: ${JSON.stringify(entry)} is no string`,
      )
    }
    parseVersion(entry)
  }
  if (cniVersions.length === 0) return cniVersion
  return (
    CNI_VERSIONS.findLast((version) => version === cniVersion || cniVersions.includes(version)) ?? cniVersion
  )
}
