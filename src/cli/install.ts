import { join } from 'node:path'
import { type ShimConf, shimConfFaults } from '../config/shim-conf.ts'
import { type PlacedFile, placeShimFiles, type ShimFiles, STANDALONE_FILE } from '../node/shim-files.ts'
import { keepShimFiles } from '../node/shim-keeper.ts'
import { clearUninstallMark } from '../node/uninstall-mark.ts'
import { ExitCode, UsageError } from './failure.ts'
import { packageVersion, shippedFile } from './installation.ts'
import { formatDocument, type OutputFormat, type Styler, statePaint } from './output.ts'
import {
  keepTakingOver,
  type MultusOptions,
  type MultusReport,
  multusText,
  readNodeMultus,
  takeOverMultus,
} from './replace-multus.ts'
import { formatTable } from './table.ts'

/** What `plexus install` is told. */
export interface InstallOptions {
  readonly binDir: string
  /** The same folder as the host names it. */
  readonly hostBinDir: string
  /** Empty: the folder itself. */
  readonly pluginDirs: readonly string[]
  readonly stateDir: string
  readonly socket: string
  readonly addWait: number
  readonly delWait: number
  readonly hasFallback: boolean
  readonly isWatching: boolean
  /** The runtime's folder of conf files. */
  readonly confDir: string
  /** What is needed to take Multus's place, when that is asked for. */
  readonly multus: MultusOptions | undefined
  readonly format: OutputFormat
  readonly style: Styler
  readonly write: (text: string) => void
}

/** What `plexus install -o json` prints. */
interface InstallReport {
  readonly version: string
  readonly binDir: string
  readonly files: readonly PlacedFile[]
  /** Only where Multus is replaced. */
  readonly multus?: MultusReport
}

/**
 * `plexus install`: puts shim, `plexus.shim` and fallback into the folder of plugins, and, asked to watch, keeps them
 * there until a signal.
 *
 * @throws {CniError} Io, with what to do.
 */
export async function install(options: InstallOptions): Promise<number> {
  const { binDir, stateDir, isWatching, multus, format, style, write } = options
  const found = multus === undefined ? undefined : readNodeMultus(multus, options)
  const conf = shimConf(options, found?.pluginDirs ?? [])
  const files: ShimFiles = {
    binDir,
    conf,
    shim: shippedFile('dist/native/plexus', 'run npm run build'),
    standalone: options.hasFallback
      ? shippedFile(
          'dist/plexus-standalone',
          'build it with npm run build:binary, or install without it: --no-fallback',
        )
      : undefined,
  }
  if (isWatching) {
    await watch(files, options)
    return ExitCode.good
  }
  clearUninstallMark(stateDir)
  const placed = placeShimFiles(files)
  const report: InstallReport = { version: conf.version, binDir, files: placed }
  if (multus === undefined || found === undefined) {
    write(formatDocument(report, format, ({ files }) => placedText(files, style)))
    return ExitCode.good
  }
  const replaced = { ...report, multus: await takeOverMultus(multus, found, options, conf.binDirs) }
  write(
    formatDocument(
      replaced,
      format,
      ({ files, multus }) => `${placedText(files, style)}\n${multusText(multus)}`,
    ),
  )
  const { waiting, left } = replaced.multus
  return waiting.length + left.length === 0 ? ExitCode.good : ExitCode.finding
}

/** A table of files and what was done about each. */
function placedText(files: readonly PlacedFile[], style: Styler): string {
  const rows = files.map(({ path, action }) => [path, action])
  return formatTable(
    ['FILE', 'ACTION'],
    rows,
    statePaint(style, 1, (text) => (text === 'unchanged' ? 'dim' : 'green')),
  )
}

function shimConf(options: InstallOptions, more: readonly string[]): ShimConf {
  const { hostBinDir, pluginDirs, socket, stateDir, addWait, delWait, hasFallback } = options
  const conf: ShimConf = {
    version: packageVersion(),
    socket,
    stateDir,
    binDirs: [...new Set([...(pluginDirs.length === 0 ? [hostBinDir] : pluginDirs), ...more])],
    addWait,
    delWait,
    fallback: hasFallback ? join(hostBinDir, STANDALONE_FILE) : undefined,
  }
  const faults = shimConfFaults(conf)
  if (faults.length > 0) throw new UsageError(faults.join('; '))
  return conf
}

async function watch(files: ShimFiles, options: InstallOptions): Promise<void> {
  const { stateDir, multus } = options
  const { signal, abort } = stopSignal()
  const report = (message: string): void => void process.stderr.write(`plexus install: ${message}\n`)
  try {
    await Promise.all([
      keepShimFiles({ files, stateDir, signal, report }),
      multus === undefined
        ? undefined
        : keepTakingOver(multus, options, files.conf.binDirs, { signal, report }),
    ])
  } finally {
    abort()
  }
}

/** Aborted by SIGTERM and SIGINT. */
function stopSignal(): { readonly signal: AbortSignal; abort(): void } {
  const stop = new AbortController()
  const abort = (): void => stop.abort()
  process.on('SIGTERM', abort)
  process.on('SIGINT', abort)
  return { signal: stop.signal, abort }
}
