/** What stands in a cell that has nothing to show. */
const EMPTY = '-'
const GAP = '  '

/** How {@link formatTable} writes a cell; it may add escape sequences, but no visible character. */
export type Paint = (
  text: string,
  place: { readonly row: number | 'head'; readonly column: number },
) => string

/**
 * Lays a table out in columns with two blanks between them, without rules, so that it reads well and can be
 * cut by a script. An empty cell is `-`; line breaks in a cell become blanks.
 *
 * @param head Titles, one a column.
 * @param rows Cells by row; a missing one is empty.
 * @param paint Applied to each cell after its width is known.
 * @returns Lines without trailing blanks, each ended by a newline; the head alone when there is no row.
 */
export function formatTable(
  head: readonly string[],
  rows: readonly (readonly (string | undefined)[])[],
  paint: Paint = (text) => text,
): string {
  const cells = rows.map((row) =>
    head.map((_, column) => (row[column] ?? '').replaceAll(/\s+/g, ' ').trim() || EMPTY),
  )
  const widths = head.map((title, column) =>
    Math.max(title.length, ...cells.map((row) => row[column]?.length ?? 0)),
  )
  const line = (row: readonly string[], place: number | 'head'): string => {
    const last = row.length - 1
    const padded = row.map((text, column) => {
      const blanks = column === last ? '' : ' '.repeat((widths[column] ?? 0) - text.length)
      return `${paint(text, { row: place, column })}${blanks}`
    })
    return `${padded.join(GAP)}\n`
  }
  return [line(head, 'head'), ...cells.map((row, index) => line(row, index))].join('')
}

/** Several lines, each with so many blanks before it; empty ones stay empty. */
export function indent(text: string, blanks: number): string {
  return text.replaceAll(/^(?=.)/gm, ' '.repeat(blanks))
}
