/** Facts that only the host can tell, gathered before anything runs. */
export interface HostFacts {
  /** Identity of the netns; `undefined` when the path names none. */
  readonly netnsId: string | undefined
  /** Whether CNI_NETNS is the namespace that Plexus itself runs in (CNI-012). */
  readonly isHostNetns: boolean
  /** Whether CNI_NETNS leads to something that cannot be entered (CNI-012). */
  readonly isNotEntered?: boolean
  /** Interface names already in the netns. */
  readonly links: readonly string[]
  /** Executable of each asked plugin type; `undefined` when no directory has it. */
  readonly plugins: ReadonlyMap<string, PluginFile | undefined>
  /** Directories searched, in order. */
  readonly searchPath: readonly string[]
}

/** A plugin's executable as found. */
export interface PluginFile {
  /** `<directory>/<type>`, links unresolved: multi-call binaries look at it. */
  readonly path: string
  /** Whether the file is Plexus itself under another name. */
  readonly isPlexus: boolean
  /** Why the executor will not run it: others than root can write it or a folder that leads to it. */
  readonly refusal?: string
}
