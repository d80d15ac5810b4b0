import type { RemainingSandbox } from '../node/dead-sandboxes.ts'
import { isOnHost } from '../node/own-place.ts'
import { type UninstallReport, uninstall as uninstallNode } from '../node/uninstall.ts'
import { ExitCode } from './failure.ts'
import { ownExecutable } from './installation.ts'
import { formatDocument, type OutputFormat, type Styler, statePaint } from './output.ts'
import { formatTable } from './table.ts'

/** What `plexus uninstall` is told. */
export interface UninstallCommandOptions {
  readonly binDir: string
  /** The same folder as the host names it; another name means that this is a container. */
  readonly hostBinDir: string
  readonly devInfoDir: string
  readonly root: string
  readonly confDir: string
  readonly stateDir: string
  readonly socket: string
  readonly waitMs: number
  readonly format: OutputFormat
  readonly style: Styler
  readonly write: (text: string) => void
}

/**
 * `plexus uninstall`: takes Plexus off this node. The exit code is 1 while something remains.
 *
 * @throws {CniError} What cannot be removed.
 */
export async function uninstall(options: UninstallCommandOptions): Promise<number> {
  const { format, style, write } = options
  const report = await uninstallNode({
    ...options,
    canUndo: options.binDir === options.hostBinDir && isOnHost(process.env),
    self: ownExecutable(),
    warn: (message) => void process.stderr.write(`plexus uninstall: ${message}\n`),
  })
  write(formatDocument(report, format, (report) => reportText(report, style)))
  return report.isDone ? ExitCode.good : ExitCode.finding
}

function reportText(
  { isDone, removed, restored, remaining, obstacle }: UninstallReport,
  style: Styler,
): string {
  const did = [
    ...removed.map((path) => `removed ${path}\n`),
    ...restored.map((path) => `put back ${path}\n`),
  ].join('')
  if (isDone) return `${did}${style('green', 'Plexus is not on this node any more.')}\n`
  return [
    did,
    remainingText(remaining, style),
    obstacle === undefined ? '' : `Not finished: ${obstacle}.\n`,
    'New pods start without Plexus. Run the command again, or with --wait, to finish.\n',
  ].join('')
}

function remainingText(remaining: readonly RemainingSandbox[], style: Styler): string {
  if (remaining.length === 0) return ''
  const rows = remaining.map(({ pod, containerId, ifName, reason }) => [
    pod ?? undefined,
    containerId.slice(0, 12),
    ifName,
    reason,
  ])
  const table = formatTable(
    ['POD', 'CONTAINER', 'INTERFACE', 'WHY IT REMAINS'],
    rows,
    statePaint(style, 3, () => 'yellow'),
  )
  return `Shim and state stay until these are deleted:\n${table}`
}
