import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** A row of a table by its column titles; the cells as they are written, without blanks around. */
export type TableRow = Readonly<Record<string, string>>

/** A fenced block: its language and its text. */
export interface FencedBlock {
  readonly language: string
  readonly text: string
  /** The heading that it stands below. */
  readonly heading: string
}

/** Absolute path of the repository, with a slash at the end. */
export const ROOT = fileURLToPath(new URL('../../', import.meta.url))

/** @param path From the repository's root. */
export function readDocument(path: string): string {
  return readFileSync(ROOT + path, 'utf8')
}

/** All fenced blocks in their order. */
export function fencedBlocks(markdown: string): FencedBlock[] {
  const blocks: FencedBlock[] = []
  let heading = ''
  let open: { language: string; lines: string[] } | undefined
  for (const line of markdown.split('\n')) {
    const fence = /^```(\S*)$/.exec(line)
    if (open === undefined && fence !== null) open = { language: fence[1] ?? '', lines: [] }
    else if (open !== undefined && fence !== null) {
      blocks.push({ language: open.language, text: `${open.lines.join('\n')}\n`, heading })
      open = undefined
    } else if (open !== undefined) open.lines.push(line)
    else heading = /^#+ (.+)$/.exec(line)?.[1] ?? heading
  }
  if (open !== undefined) throw new Error(`the block ${open.lines[0]} is not closed`)
  return blocks
}

/** The text without its fenced blocks. */
export function proseOf(markdown: string): string {
  return markdown.replace(/^```[\s\S]*?^```$/gm, '')
}

/** The text below a heading, up to the next one of its level or above. */
export function sectionOf(markdown: string, heading: string): string {
  const lines = markdown.split('\n')
  const start = lines.findIndex((line) => line.replace(/^#+ /, '') === heading && line.startsWith('#'))
  if (start < 0) throw new Error(`there is no heading "${heading}"`)
  const level = (lines[start] ?? '').indexOf(' ')
  let isFenced = false
  const length = lines.slice(start + 1).findIndex((line) => {
    if (line.startsWith('```')) isFenced = !isFenced
    return !isFenced && /^#+ /.test(line) && line.indexOf(' ') <= level
  })
  return lines.slice(start + 1, length < 0 ? undefined : start + 1 + length).join('\n')
}

/** The rows of all tables whose first column has that title. */
export function tableRows(markdown: string, firstColumn: string): TableRow[] {
  const rows: TableRow[] = []
  let titles: readonly string[] | undefined
  for (const line of proseOf(markdown).split('\n')) {
    if (!line.startsWith('|')) titles = undefined
    else if (/^\|[\s|:-]+\|$/.test(line)) continue
    else {
      const cells = line.slice(1, -1).split('|')
      const trimmed = cells.map((cell) => cell.trim())
      if (titles === undefined) titles = trimmed
      else if (titles[0] === firstColumn) {
        const { length } = titles
        if (trimmed.length !== length) throw new Error(`${trimmed.length} cells, not ${length}: ${line}`)
        rows.push(Object.fromEntries(titles.map((title, index) => [title, trimmed[index] ?? ''])))
      }
    }
  }
  return rows
}

/** What stands between the backticks of a cell that is nothing else. */
export function codeOf(cell: string | undefined): string {
  const code = /^`([^`]+)`$/.exec(cell ?? '')?.[1]
  if (code === undefined) throw new Error(`no code: ${cell}`)
  return code
}

/** The texts of the headings, outside of fenced blocks. */
export function headingsOf(markdown: string): string[] {
  return [...proseOf(markdown).matchAll(/^#+ (.+)$/gm)].map((match) => match[1] ?? '')
}

/** The anchor that a heading gets where Markdown is shown. */
export function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\p{Pc} -]/gu, '')
    .replaceAll(' ', '-')
}
