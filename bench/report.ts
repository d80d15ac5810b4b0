import type { ResultRow } from './measure.ts'
import type { StartupRow } from './startup.ts'

/** All that one run of the benchmark found. */
export interface Report {
  readonly results: readonly ResultRow[]
  readonly startup: readonly StartupRow[]
}

/** Both as Markdown tables, which are also readable as they are. */
export function formatReport({ results, startup }: Report): string {
  const lines = table(
    ['mode', 'verb', 'at once', 'p50 ms', 'p90 ms', 'per second', '× limit', 'errors'],
    results.map(({ mode, verb, concurrency, p50Ms, p90Ms, perSecond, ratioToLimit, errors }) => [
      mode,
      verb,
      String(concurrency),
      p50Ms?.toFixed(1) ?? '-',
      p90Ms?.toFixed(1) ?? '-',
      perSecond.toFixed(1),
      ratioToLimit?.toFixed(2) ?? '-',
      String(errors),
    ]),
  )
  const starts = table(
    ['start to end of', 'p50 ms', 'p90 ms'],
    startup.map(({ program, p50Ms, p90Ms }) => [program, p50Ms.toFixed(1), p90Ms.toFixed(1)]),
  )
  return `${[...lines, '', ...starts].join('\n')}\n`
}

/** The first two columns are text, or the first alone where there are three. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const textColumns = head.length > 3 ? 2 : 1
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)),
  )
  const line = (cells: readonly string[]): string =>
    `| ${cells
      .map((cell, column) =>
        column < textColumns ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join(' | ')} |`
  const rule = `|${widths
    .map((width, column) => (column < textColumns ? '-'.repeat(width + 2) : `${'-'.repeat(width + 1)}:`))
    .join('|')}|`
  return [line(head), rule, ...rows.map(line)]
}
