import { styleText } from 'node:util'
import { stringify } from 'yaml'
import { printable, printableDocument, printableYaml } from './printable.ts'
import type { Paint } from './table.ts'

/** How a command prints its data. */
export type OutputFormat = 'table' | 'json' | 'yaml'

export const OUTPUT_FORMATS: readonly OutputFormat[] = ['table', 'json', 'yaml']

/** A style of text on a terminal. */
export type Style = 'bold' | 'dim' | 'green' | 'yellow' | 'red'

/** Styles a text; gives it back as it is where there are no colours. */
export type Styler = (style: Style, text: string) => string

/**
 * Styles for what goes to stdout: only when that is a terminal and neither `NO_COLOR` nor
 * `NODE_DISABLE_COLORS` is set.
 */
export const terminalStyler: Styler = (style, text) => styleText(style, text, { stream: process.stdout })

/** A table's titles in bold, and its last column by what it says. */
export function statePaint(style: Styler, column: number, styleOf: (text: string) => Style): Paint {
  return (text, place) => {
    if (place.row === 'head') return style('bold', text)
    return place.column === column ? style(styleOf(text), text) : text
  }
}

/**
 * A command's document as text ending in a newline. Numbers keep their digits in JSON; YAML has them as
 * exactly as JavaScript can.
 *
 * @param toText Writes it for people; called for `table` only.
 */
export function formatDocument<T extends object>(
  document: T,
  format: OutputFormat,
  toText: (document: T) => string,
): string {
  switch (format) {
    case 'json':
      // In a JSON text what is escaped means the same.
      return `${printable(JSON.stringify(document, null, 2))}\n`
    case 'yaml':
      return printableYaml(
        stringify(JSON.parse(JSON.stringify(document), toBigInt as Reviver), { lineWidth: 0 }),
      )
    case 'table':
      return toText(printableDocument(document))
  }
}

type Reviver = (key: string, value: unknown) => unknown

/** Integers that a double cannot hold become a bigint, which YAML prints in full. */
function toBigInt(_key: string, value: unknown, { source }: { source?: string }): unknown {
  if (typeof value !== 'number' || source === undefined || Number.isSafeInteger(value)) return value
  return /^-?\d+$/.test(source) ? BigInt(source) : value
}
