import type { Styler } from '../output.ts'
import { formatTable, indent } from '../table.ts'

/** What the demo writes on. */
export interface Screen {
  /** Begins a step: number and title. */
  step(title: string): void
  /** A paragraph; long lines are wrapped. */
  say(text: string): void
  /** Text of a file, or what a program printed: as it is, indented. */
  show(text: string): void
  /** A command that is run, before its output. */
  command(text: string): void
  /** Columns as wide as their longest cell. */
  table(header: readonly string[], rows: readonly (readonly string[])[]): void
  /** Facts that were checked, one a line: those that hold and those that do not. */
  verdict(facts: readonly Fact[]): void
}

/** Something that was checked. */
export interface Fact {
  readonly holds: boolean
  readonly text: string
}

const WIDTH = 96

/**
 * @param write Takes the lines, newlines included.
 * @param style How text is styled; without colours it gives texts back as they are.
 */
export function openScreen(write: (text: string) => void, style: Styler): Screen {
  const line = (text = ''): void => write(`${text}\n`)
  let steps = 0
  return {
    step(title) {
      steps += 1
      line()
      line(style('bold', `${steps}. ${title}`))
    },
    say(text) {
      line()
      for (const part of wrap(text, WIDTH)) line(part)
    },
    show(text) {
      line()
      for (const part of text.trimEnd().split('\n')) {
        line(part.trim() === '' ? '' : `    ${style('dim', part.trimEnd())}`)
      }
    },
    command(text) {
      line()
      line(`    ${style('bold', `$ ${text}`)}`)
    },
    table(head, rows) {
      line()
      write(
        indent(
          formatTable(head, rows, (text, { row }) => (row === 'head' ? style('bold', text) : text)),
          4,
        ),
      )
    },
    verdict(facts) {
      line()
      for (const { holds, text } of facts) {
        line(`    ${holds ? style('green', '✓') : style('red', '✗')} ${text}`)
      }
    },
  }
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = []
  let current = ''
  for (const word of text.split(/\s+/)) {
    if (current !== '' && current.length + 1 + word.length > width) {
      lines.push(current)
      current = word
    } else {
      current = current === '' ? word : `${current} ${word}`
    }
  }
  return [...lines, current]
}
