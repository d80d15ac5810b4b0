import { TEXT_LOOKS, type TextLook, textWidth } from './text.ts'

/** Colours of networks; see the style sheet. */
export const HUES = 8

/** Something to be drawn. Lengths are pixels, `y` grows downwards. */
export type Shape = TextShape | RectShape | PathShape | GroupShape

export interface TextShape {
  readonly kind: 'text'
  readonly x: number
  /** Of the baseline. */
  readonly y: number
  readonly text: string
  readonly look: TextLook
  readonly tone: 'plain' | 'dim' | 'bad' | number
  /** Where `x` is in the text. */
  readonly anchor?: 'start' | 'middle' | 'end'
}

interface RectShape {
  readonly kind: 'rect'
  readonly x: number
  readonly y: number
  readonly width: number
  readonly height: number
  readonly radius: number
  /** Names of classes of the style sheet. */
  readonly classes: string
}

interface PathShape {
  readonly kind: 'path'
  readonly d: string
  readonly classes: string
}

/** Shapes that belong together; the title is told by a screen reader, and shown under a pointer. */
interface GroupShape {
  readonly kind: 'group'
  readonly title: string
  readonly shapes: readonly Shape[]
}

/** A whole picture. */
export interface Drawing {
  readonly width: number
  readonly height: number
  readonly title: string
  readonly description: string
  readonly shapes: readonly Shape[]
}

export interface Box {
  readonly x: number
  readonly y: number
  readonly width: number
  readonly height: number
}

/** Where a text is at most, whatever font the reader has. */
export function textBox({ x, y, text, look, anchor = 'start' }: TextShape): Box {
  const { size } = TEXT_LOOKS[look]
  const width = textWidth(text, look)
  const left = anchor === 'start' ? x : anchor === 'middle' ? x - width / 2 : x - width
  return { x: left, y: y - 0.95 * size, width, height: 1.2 * size }
}

/** All texts of a drawing, those of groups too. */
export function textsOf(shapes: readonly Shape[]): TextShape[] {
  return shapes.flatMap((shape) =>
    shape.kind === 'text' ? [shape] : shape.kind === 'group' ? textsOf(shape.shapes) : [],
  )
}

/** A card with lines of text, and the room it takes. */
export interface Card {
  readonly width: number
  readonly height: number
  /** The card with its upper left corner there. */
  at(x: number, y: number, size?: { width?: number; height?: number }): Shape[]
}

/** One line of a card. */
export interface CardLine {
  readonly text: string
  readonly look: TextLook
  readonly tone?: TextShape['tone']
  /** Whether an arrow for the default route follows. */
  readonly hasArrow?: boolean
  /** Behind it on the same line, as data. */
  readonly aside?: string
}

const PAD_X = 10
const PAD_Y = 8
const LEADING = 1.35
const ARROW_WIDTH = 16
const ASIDE_GAP = 8

/** @param classes Of the frame. @param hue Colour of a tint over it; none when absent. */
export function textCard(lines: readonly CardLine[], classes: string, hue?: number): Card {
  const heights = lines.map(({ look }) => Math.round(TEXT_LOOKS[look].size * LEADING))
  const ownWidth = ({ text, look, hasArrow }: CardLine): number =>
    textWidth(text, look) + (hasArrow ? ARROW_WIDTH : 0)
  const widths = lines.map(
    (each) => ownWidth(each) + (each.aside === undefined ? 0 : ASIDE_GAP + textWidth(each.aside, 'data')),
  )
  const width = Math.max(0, ...widths) + 2 * PAD_X
  const height = heights.reduce((sum, each) => sum + each, 0) + 2 * PAD_Y - 3
  return {
    width,
    height,
    at(x, y, size = {}) {
      const box = { x, y, width: size.width ?? width, height: size.height ?? height, radius: 6 }
      const shapes: Shape[] = [{ kind: 'rect', ...box, classes }]
      if (hue !== undefined) shapes.push({ kind: 'rect', ...box, classes: `tint f${hue}` })
      let top = y + PAD_Y - 2
      lines.forEach((each, index) => {
        const { text, look, tone = 'plain', hasArrow, aside } = each
        const bottom = top + (heights[index] ?? 0)
        shapes.push({ kind: 'text', x: x + PAD_X, y: bottom - 4, text, look, tone })
        if (hasArrow === true && hue !== undefined)
          shapes.push(arrow(x + PAD_X + textWidth(text, look) + 6, bottom - 4, hue))
        if (aside !== undefined) {
          const behind = x + PAD_X + ownWidth(each) + ASIDE_GAP
          shapes.push({ kind: 'text', x: behind, y: bottom - 4, text: aside, look: 'data', tone: 'plain' })
        }
        top = bottom
      })
      return shapes
    },
  }
}

/** The sign of a default route, standing on a baseline: an arrow out of the pod. */
export function arrow(x: number, y: number, hue: number | 'dim'): Shape {
  const classes = `arrow ${hue === 'dim' ? 'wire' : `s${hue}`}`
  return { kind: 'path', d: `M${x} ${y}l8 -8m-6 0h6v6`, classes }
}

export function line(x1: number, y1: number, x2: number, y2: number, classes: string): Shape {
  return { kind: 'path', d: `M${x1} ${y1}L${x2} ${y2}`, classes }
}
