/** `error`: pods fail, or will; `warning`: something will hurt later; `info`: worth knowing. */
export type Severity = 'error' | 'warning' | 'info'

/** Everything that the doctor can find; `docs/troubleshooting.md` has what each means. */
export const FINDINGS = {
  'probe-failed': 'warning',
  'partial-view': 'info',
  'configuration-invalid': 'error',

  'bin-dir-missing': 'error',
  'shim-missing': 'error',
  'shim-insecure': 'error',
  'shim-broken': 'error',
  'shim-conf-insecure': 'error',
  'shim-conf-invalid': 'error',
  'shim-socket-differs': 'error',
  'shim-state-differs': 'error',
  'fallback-missing': 'warning',
  'version-skew': 'warning',
  'half-written-file': 'warning',

  'socket-dir-insecure': 'error',
  'socket-missing': 'error',
  'daemon-not-listening': 'error',
  'daemon-http-silent': 'warning',
  'daemon-not-ready': 'error',
  'daemon-complains': 'warning',
  'status-failed': 'error',

  uninstalling: 'warning',
  'conf-dir-missing': 'error',
  'conf-dir-read-only': 'error',
  'conflist-missing': 'error',
  'conflist-invalid': 'error',
  'conflist-mode': 'warning',
  'conflist-shadowed': 'error',
  'conflist-version': 'warning',
  'conflist-renamed': 'warning',
  'cilium-exclusive': 'warning',
  'second-meta-plugin': 'warning',
  'conf-file-invalid': 'warning',

  'default-network': 'info',
  'default-network-missing': 'error',
  'default-network-stand-in': 'warning',
  'default-network-not-ready': 'warning',
  'default-network-pin-damaged': 'warning',
  'default-network-quirk': 'info',

  'cluster-unreachable': 'warning',
  'nad-invalid': 'warning',
  'default-plugin-missing': 'error',
  'nad-plugin-missing': 'warning',
  'plugin-refused': 'error',
  'default-plugin-version': 'error',
  'nad-plugin-version': 'warning',

  'state-dir-missing': 'warning',
  'state-not-writable': 'error',
  'state-mode': 'warning',
  'state-space': 'error',
  'state-inodes': 'error',
  'lock-stale': 'warning',
  'attachment-leaked': 'warning',
  'attachment-incomplete': 'warning',
  'undo-pending': 'warning',
  'journal-damaged': 'error',
  'journal-kept-aside': 'warning',
  'journal-newer': 'error',
  'journal-unreadable': 'error',
  'lease-stale': 'warning',

  'ip-forward-off': 'warning',
  'inotify-limit': 'warning',
  'rp-filter-strict': 'info',
} as const satisfies Readonly<Record<string, Severity>>

/** Name of a finding, the same in every release. */
export type FindingId = keyof typeof FINDINGS

/** Something that a probe has found. */
export interface Found {
  readonly id: FindingId
  /** One sentence without a full stop. */
  readonly what: string
  /** What was seen: files, values, answers. */
  readonly evidence?: readonly string[]
  /** The command that puts it right, or what to do where no command does. */
  readonly fix?: string
  /** Puts it right without any risk; tells what it did. @throws When it cannot. */
  readonly repair?: () => readonly string[] | Promise<readonly string[]>
}

/** More lines of evidence than this nobody reads. */
const MOST_EVIDENCE = 10

/** The first lines of evidence, and how many there are beyond. */
export function evidenceOf(lines: readonly string[]): string[] {
  if (lines.length <= MOST_EVIDENCE) return [...lines]
  return [...lines.slice(0, MOST_EVIDENCE), `and ${lines.length - MOST_EVIDENCE} more`]
}

/** A word for the shell. */
export function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`
}
