/**
 * Error codes in the runtime's answer: below 100 the CNI specification's, from 100 our own.
 * Each has an anchor in `docs/errors.md`. CNI spec 1.1.0, section "Error".
 */
export const CniErrorCode = {
  /** cniVersion not supported, or too old for the verb. */
  IncompatibleCniVersion: 1,
  /** A key of a network or annotation that we refuse. */
  UnsupportedField: 2,
  /** Tells the runtime that no DEL is needed; we never send it, a delegate may. */
  UnknownContainer: 3,
  /** CNI_* variable missing or malformed. */
  InvalidEnvironment: 4,
  /** Reading or writing stdin, state or configuration failed. */
  Io: 5,
  /** JSON or YAML that cannot be decoded. */
  Decoding: 6,
  /** Net-conf, NetworkAttachmentDefinition or annotation that is wrong. */
  InvalidNetworkConfig: 7,
  /** CNI_NETNS is the host's own namespace or unusable. */
  InvalidNetns: 8,
  /** An unchanged retry can succeed. */
  TryAgainLater: 11,
  /** STATUS: not ready for ADD. */
  NotAvailable: 50,
  /** STATUS: not ready, and running pods may be limited. */
  NotAvailableLimited: 51,
  /** A delegate failed without a code of its own. */
  DelegateFailed: 100,
  /** A plugin's executable is in none of the searched directories. */
  PluginNotFound: 101,
  /** A plugin type that policy, or delegation to ourselves, forbids. */
  PluginNotAllowed: 102,
  /** ADD for an attachment that is live. */
  AttachmentExists: 103,
  /** A namespace may not use this NetworkAttachmentDefinition. */
  NamespaceIsolation: 104,
  /** A delegate's output is no result: garbage, nothing, too much. */
  DelegateOutput: 105,
  /** At least one delegate's DEL failed; what is left is kept for the next one. */
  UndoIncomplete: 106,
  /** The pod's routes could not be changed as asked. */
  RouteChange: 107,
  /** CHECK found the pod's networks other than recorded. */
  CheckFailed: 108,
  /** A fault of ours. */
  Internal: 999,
} as const

/** A CNI error code: one of {@link CniErrorCode}, or a delegate's own. */
export type CniErrorCode = number
