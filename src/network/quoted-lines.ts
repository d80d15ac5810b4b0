/** A text with blanks put in, and the way back. */
export interface IndentedText {
  readonly text: string
  /** The offset in the text as it was written. */
  toWritten(offset: number): number
}

const QUOTED_VALUE = /^( *(?:- +)*)[^\s#'"{[][^'"]*?: +(?:[&!]\S+ +)*(['"])/
const BLOCK_VALUE = /^( *(?:- +)*)\S.*: +(?:[&!]\S+ +)*[|>][-+\d]*\s*(?:#.*)?$/

/**
 * Indents the further lines of quoted texts in YAML, which the API's own reader takes without: many published NADs
 * have `config: '{` with the JSON at the margin, or behind tabs. A parser by the letter of the specification refuses
 * these.
 */
export function indentQuotedLines(written: string): IndentedText {
  const lines = written.split('\n')
  const insertions: { at: number; blanks: number }[] = []
  let open: { quote: string; indent: number } | undefined
  let blockIndent: number | undefined
  let offset = 0
  const padded = lines.map((line) => {
    const start = offset
    offset += line.length + 1
    if (open !== undefined) {
      // A tab is no indentation, but may follow it.
      const indent = line.length - line.replace(/^ +/, '').length
      const blanks = line.trim() === '' ? 0 : Math.max(0, open.indent + 1 - indent)
      if (blanks > 0) insertions.push({ at: start, blanks })
      if (isClosed(line, open.quote)) open = undefined
      return ' '.repeat(blanks) + line
    }
    const indent = line.length - line.trimStart().length
    if (blockIndent !== undefined && (line.trim() === '' || indent > blockIndent)) return line
    blockIndent = BLOCK_VALUE.exec(line)?.[1]?.length
    const [head, prefix = '', quote = ''] = QUOTED_VALUE.exec(line) ?? []
    if (head !== undefined && !isClosed(line.slice(head.length), quote))
      open = { quote, indent: prefix.length }
    return line
  })
  return {
    text: padded.join('\n'),
    toWritten: (wanted) => {
      let shift = 0
      for (const { at, blanks } of insertions) {
        if (at + shift > wanted) break
        if (wanted < at + shift + blanks) return at
        shift += blanks
      }
      return wanted - shift
    },
  }
}

function isClosed(rest: string, quote: string): boolean {
  return quote === "'" ? /^(?:[^']|'')*'(?!')/.test(rest) : /^(?:[^"\\]|\\.)*"/.test(rest)
}
