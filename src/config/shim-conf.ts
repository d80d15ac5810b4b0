/** What `plexus.shim`, the file beside the shim, says. Paths are the host's. */
export interface ShimConf {
  /** Release that has written it. */
  readonly version: string
  readonly socket: string
  readonly stateDir: string
  /** Folders that plugins are looked for in besides CNI_PATH. */
  readonly binDirs: readonly string[]
  /** Whole seconds. */
  readonly addWait: number
  readonly delWait: number
  /** Standalone executable for pods without network annotations while no daemon answers. */
  readonly fallback: string | undefined
}

/** What the shim does without such a file; `native/config.c` has the same. */
export const SHIM_CONF_DEFAULTS = {
  binDir: '/opt/cni/bin',
  addWait: 10,
  delWait: 2,
} as const

/** A unix socket's path has room for no more. */
const LONGEST_SOCKET = 107
const LONGEST_PATH = 3500
const LONGEST_WAIT = 9999

/** What the shim would refuse of a configuration, or take for something else; none when it is fine. */
export function shimConfFaults(conf: ShimConf): string[] {
  const faults: string[] = []
  const paths = [
    ['the socket', conf.socket],
    ['the state directory', conf.stateDir],
    ...conf.binDirs.map((folder) => ['a plugin directory', folder]),
  ]
  for (const [what = '', path = ''] of paths) {
    if (!path.startsWith('/')) faults.push(`${what} must be an absolute path, not "${path}"`)
    else if (/\p{Cc}|^\s|\s$/u.test(path))
      faults.push(`${what} must have no line breaks or blanks at its ends`)
    else if (path.length > LONGEST_PATH) faults.push(`${what} is longer than ${LONGEST_PATH} characters`)
  }
  for (const folder of conf.binDirs) {
    if (folder.includes(':')) faults.push(`a plugin directory must have no ":" in its name: "${folder}"`)
  }
  if (Buffer.byteLength(conf.socket) > LONGEST_SOCKET) {
    faults.push(`the socket's path has more than ${LONGEST_SOCKET} bytes, which no unix socket's may have`)
  }
  for (const [what, seconds] of [
    ['the wait of an ADD', conf.addWait],
    ['the wait of a DEL', conf.delWait],
  ] as const) {
    if (!Number.isInteger(seconds) || seconds < 0 || seconds > LONGEST_WAIT) {
      faults.push(`${what} must be whole seconds, 0 to ${LONGEST_WAIT}`)
    }
  }
  return faults
}

/**
 * The file's text, for a configuration without {@link shimConfFaults}.
 *
 * @param installed When these settings were installed, in ISO 8601; empty when nobody keeps them any more.
 */
export function formatShimConf(conf: ShimConf, installed: string): string {
  const { version, socket, stateDir, binDirs, addWait, delWait, fallback } = conf
  const since = installed === '' ? undefined : installed
  const keys = {
    version,
    installed: since,
    socket,
    stateDir,
    binDirs: binDirs.join(':'),
    addWait,
    delWait,
    fallback,
  }
  const lines = Object.entries(keys).flatMap(([key, value]) =>
    value === undefined ? [] : [`${key}=${value}\n`],
  )
  return `# Written by "plexus install".\n${lines.join('')}`
}

/** The release that has written a `plexus.shim`; `undefined` when it does not say. */
export function shimConfVersion(text: string): string | undefined {
  return /^version=(.*)$/m.exec(text)?.[1]
}

/** When the settings of a `plexus.shim` were installed; empty when it does not say. */
export function shimConfInstalled(text: string): string {
  return /^installed=(.*)$/m.exec(text)?.[1] ?? ''
}

/** The folders of plugins that a `plexus.shim` names. */
export function shimConfBinDirs(text: string): string[] {
  const [, value = ''] = /^binDirs=(.*)$/m.exec(text) ?? []
  return value.split(':').filter((folder) => folder.startsWith('/'))
}
