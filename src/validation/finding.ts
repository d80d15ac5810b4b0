/** Whether something will not work, or works otherwise than it reads. */
export type Severity = 'error' | 'warning'

/**
 * Every finding that `plexus validate` and the webhook can have, with its severity; `docs/validation.md` has an
 * anchor for each. The codes are stable: scripts may rely on them.
 */
export const FINDING_CODES = {
  'file-unreadable': 'error',
  'yaml-syntax': 'error',
  'json-syntax': 'error',
  'not-a-manifest': 'error',
  'duplicate-object': 'error',
  'object-metadata': 'error',
  'kind-near-miss': 'error',
  'config-misplaced': 'error',
  'config-not-text': 'error',
  'config-syntax': 'error',
  'config-structure': 'error',
  'cni-version-missing': 'warning',
  'cni-version-unknown': 'error',
  'cni-version-not-spoken': 'error',
  'duplicate-key': 'warning',
  'resource-name': 'error',
  'allowed-namespaces': 'error',
  'net-conf': 'error',
  'net-conf-key': 'warning',
  'network-near-miss': 'warning',
  'network-not-found': 'error',

  'plugin-near-miss': 'warning',
  'meta-plugin': 'error',
  'chained-plugin-first': 'error',
  'ipam-as-plugin': 'error',
  'plugin-as-ipam': 'error',
  'ipam-without-type': 'warning',
  'ipam-missing': 'error',
  'second-interface-plugin': 'warning',
  'unknown-key': 'warning',
  'key-spelling': 'warning',
  'missing-key': 'error',
  'value-type': 'error',
  'value-range': 'error',
  'value-choice': 'error',
  'value-format': 'error',
  'excluded-keys': 'error',
  'vlan-trunk': 'error',
  'vlan-id-missing': 'warning',
  'device-missing': 'error',
  'sriov-without-device': 'warning',
  'sriov-vlan': 'error',
  'rate-order': 'error',
  'bandwidth-pair': 'error',
  'bandwidth-without-veth': 'warning',
  'capability-missing': 'warning',
  'nad-name-mismatch': 'error',
  'sysctl-not-net': 'error',

  'subnet-host-bits': 'error',
  'subnet-too-small': 'error',
  'range-outside-subnet': 'error',
  'range-reversed': 'error',
  'ranges-overlap': 'error',
  'range-families': 'error',
  'gateway-outside-subnet': 'error',
  'gateway-not-excluded': 'warning',
  'addresses-as-strings': 'error',
  'addresses-missing': 'warning',
  'route-family': 'error',
  'route-gateway-unreachable': 'warning',
  'extra-default-route': 'warning',
  'host-local-many-nodes': 'warning',

  'networks-overlap': 'warning',
  'bridge-vlans-differ': 'warning',
  'shared-address-store': 'warning',
  'mtu-above-parent': 'error',

  'annotation-near-miss': 'warning',
  'annotation-as-label': 'error',
  'annotation-on-workload': 'error',
  'host-network': 'warning',
  'selection-fault': 'error',
  'selection-oddity': 'warning',
  'default-network-count': 'error',
  'default-route-twice': 'error',
  'attachment-fault': 'error',
  'attachment-oddity': 'warning',
  'capability-not-declared': 'error',
  'ip-outside-range': 'error',
  'ip-without-prefix': 'error',
  'address-of-many-pods': 'warning',
  'link-not-there': 'error',
} as const satisfies Readonly<Record<string, Severity>>

/** Name of a sort of finding. */
export type FindingCode = keyof typeof FINDING_CODES

/** One thing that is wrong or odd, with its place. */
export interface Finding {
  readonly severity: Severity
  readonly code: FindingCode
  readonly message: string
  /** What to do, in the imperative, without a full stop. */
  readonly hint: string | null
  /** Name of the file as it was given; `null` for an object that is from no file. */
  readonly file: string | null
  /** Number of the YAML document in its file, from 1. */
  readonly document: number | null
  /** From 1; `null` where the text is not known. */
  readonly line: number | null
  readonly column: number | null
  /** `NAD telco/n6`, `Deployment telco/upf`; `null` when the file is no object. */
  readonly object: string | null
  /** Where in the object: `spec.config /ipam/ranges/0/0/subnet`. */
  readonly path: string | null
}

/** Findings in the order of their places, each once. */
export function sortFindings(findings: readonly Finding[], files: readonly string[]): Finding[] {
  const order = (finding: Finding): readonly number[] => [
    finding.file === null ? -1 : files.indexOf(finding.file),
    finding.document ?? 0,
    finding.line ?? 0,
    finding.column ?? 0,
    finding.severity === 'error' ? 0 : 1,
  ]
  const unique = new Map(findings.map((finding) => [JSON.stringify(finding), finding]))
  return [...unique.values()].sort((left, right) => {
    const [a, b] = [order(left), order(right)]
    return a.map((value, index) => value - (b[index] ?? 0)).find((difference) => difference !== 0) ?? 0
  })
}
