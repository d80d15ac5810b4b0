import { join } from 'node:path'
import { type ShimConf, shimConfFaults } from '../config/shim-conf.ts'
import { type PlacedFile, placeShimFiles, type ShimFiles, STANDALONE_FILE } from '../node/shim-files.ts'
import { keepShimFiles } from '../node/shim-keeper.ts'
import { clearUninstallMark } from '../node/uninstall-mark.ts'
import { ExitCode, UsageError } from './failure.ts'
import { packageVersion, shippedFile } from './installation.ts'
import { formatDocument, type OutputFormat, type Styler, statePaint } from './output.ts'
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
  readonly format: OutputFormat
  readonly style: Styler
  readonly write: (text: string) => void
}

/** What `plexus install -o json` prints. */
interface InstallReport {
  readonly version: string
  readonly binDir: string
  readonly files: readonly PlacedFile[]
}

/**
 * `plexus install`: puts shim, `plexus.shim` and fallback into the folder of plugins, and, asked to watch, keeps them
 * there until a signal.
 *
 * @throws {CniError} Io, with what to do.
 */
export async function install(options: InstallOptions): Promise<number> {
  const { binDir, stateDir, isWatching, format, style, write } = options
  const conf = shimConf(options)
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
    await watch(files, stateDir)
    return ExitCode.good
  }
  clearUninstallMark(stateDir)
  const placed = placeShimFiles(files)
  const report: InstallReport = { version: conf.version, binDir, files: placed }
  write(formatDocument(report, format, ({ files }) => placedText(files, style)))
  return ExitCode.good
}

/** A table of files and what was done about each. */
export function placedText(files: readonly PlacedFile[], style: Styler): string {
  const rows = files.map(({ path, action }) => [path, action])
  return formatTable(
    ['FILE', 'ACTION'],
    rows,
    statePaint(style, 1, (text) => (text === 'unchanged' ? 'dim' : 'green')),
  )
}

function shimConf(options: InstallOptions): ShimConf {
  const { hostBinDir, pluginDirs, socket, stateDir, addWait, delWait, hasFallback } = options
  const conf: ShimConf = {
    version: packageVersion(),
    socket,
    stateDir,
    binDirs: pluginDirs.length === 0 ? [hostBinDir] : pluginDirs,
    addWait,
    delWait,
    fallback: hasFallback ? join(hostBinDir, STANDALONE_FILE) : undefined,
  }
  const faults = shimConfFaults(conf)
  if (faults.length > 0) throw new UsageError(faults.join('; '))
  return conf
}

async function watch(files: ShimFiles, stateDir: string): Promise<void> {
  const stop = new AbortController()
  process.on('SIGTERM', () => stop.abort())
  process.on('SIGINT', () => stop.abort())
  const report = (message: string): void => void process.stderr.write(`plexus install: ${message}\n`)
  await keepShimFiles({ files, stateDir, signal: stop.signal, report })
}
