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
