import { type Drawing, HUES, type Shape } from './shapes.ts'
import { TEXT_LOOKS } from './text.ts'

/** Colours of networks, on a light page and on a dark one: texts in them can be read on either. */
const LIGHT_HUES = ['#1d4ed8', '#047857', '#b45309', '#be185d', '#6d28d9', '#0e7490', '#b91c1c', '#4d7c0f']
const DARK_HUES = ['#60a5fa', '#34d399', '#fbbf24', '#f472b6', '#a78bfa', '#22d3ee', '#f87171', '#a3e635']

interface Colours {
  readonly page: string
  readonly panel: string
  readonly card: string
  readonly edge: string
  readonly wire: string
  readonly text: string
  readonly dim: string
  readonly bad: string
  readonly hues: readonly string[]
}

const LIGHT: Colours = {
  page: '#ffffff',
  panel: '#f6f8fa',
  card: '#ffffff',
  edge: '#d1d9e0',
  wire: '#8c959f',
  text: '#1f2328',
  dim: '#59636e',
  bad: '#cf222e',
  hues: LIGHT_HUES,
}
const DARK: Colours = {
  page: '#0d1117',
  panel: '#151b23',
  card: '#0d1117',
  edge: '#3d444d',
  wire: '#767e88',
  text: '#f0f6fc',
  dim: '#9fa8b2',
  bad: '#ff7b72',
  hues: DARK_HUES,
}

const FONTS = {
  sans: 'system-ui,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif',
  mono: 'ui-monospace,"SF Mono",Menlo,Consolas,"Liberation Mono",monospace',
}

/**
 * A drawing as an SVG document: texts are text, colours follow the reader's light or dark, nothing is loaded
 * and nothing runs. Whatever the texts hold, they stay texts.
 */
export function renderSvg(drawing: Drawing): string {
  const { width, height, title, description, shapes } = drawing
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" aria-labelledby="plexus-title" aria-describedby="plexus-description">
<title id="plexus-title">${escapeText(title)}</title>
<desc id="plexus-description">${escapeText(description)}</desc>
<style>
${styleSheet()}
</style>
<rect class="page" width="${width}" height="${height}"/>
${shapes.map(renderShape).join('\n')}
</svg>
`
}

function renderShape(shape: Shape): string {
  switch (shape.kind) {
    case 'text': {
      const { x, y, text, look, tone, anchor = 'start' } = shape
      const at = anchor === 'start' ? '' : ` text-anchor="${anchor}"`
      const tint = typeof tone === 'number' ? `f${tone}` : tone
      return `<text class="${look} ${tint}" x="${x}" y="${y}"${at}>${escapeText(text)}</text>`
    }
    case 'rect': {
      const { x, y, width, height, radius, classes } = shape
      return `<rect class="${classes}" x="${x}" y="${y}" width="${width}" height="${height}" rx="${radius}"/>`
    }
    case 'path':
      return `<path class="${shape.classes}" d="${shape.d}"/>`
    case 'group':
      return `<g>\n<title>${escapeText(shape.title)}</title>\n${shape.shapes.map(renderShape).join('\n')}\n</g>`
  }
}

/** Without variables: some programs that draw SVG know none. */
function styleSheet(): string {
  const looks = Object.entries(TEXT_LOOKS).map(
    ([name, { font, size, isBold }]) => `.${name}{font:${isBold ? 600 : 400} ${size}px ${FONTS[font]}}`,
  )
  return `text{white-space:pre}
${looks.join('\n')}
path{fill:none}
.wire{stroke-width:1.5}
.bus{stroke-width:4;stroke-linecap:round}
.tint{fill-opacity:.1}
.card,.panel{stroke-width:1}
.chip{stroke-width:1.5}
.missing{stroke-dasharray:4 3}
.arrow{stroke-width:1.5;stroke-linecap:round;stroke-linejoin:round}
.grid{stroke-width:1;stroke-dasharray:2 4}
.bar{fill-opacity:.75}
${colourRules(LIGHT)}
@media (prefers-color-scheme:dark){
${colourRules(DARK)}
}`
}

function colourRules({ page, panel, card, edge, wire, text, dim, bad, hues }: Colours): string {
  const rules = [
    `.page{fill:${page}}`,
    `.panel{fill:${panel};stroke:${edge}}`,
    `.card,.chip{fill:${card}}`,
    `.card,.grid{stroke:${edge}}`,
    `.wire{stroke:${wire}}`,
    `.plain{fill:${text}}`,
    `.dim{fill:${dim}}`,
    `.bad{fill:${bad}}`,
    `.sbad{stroke:${bad}}`,
    ...hues.slice(0, HUES).map((hue, index) => `.s${index}{stroke:${hue}}.f${index}{fill:${hue}}`),
  ]
  return rules.join('\n')
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

/**
 * A text of XML. What XML cannot hold at all, and what would turn the direction of writing and so show a text
 * other than it is, is shown by its number.
 */
function escapeText(text: string): string {
  return text
    .replace(/[&<>"']/g, (character) => ENTITIES[character] ?? '')
    .replace(UNSPEAKABLE, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

// biome-ignore-start lint/suspicious/noControlCharactersInRegex: they are what is looked for
/** Controls, marks of direction, halves of surrogate pairs, and what is no character. */
const UNSPEAKABLE =
  /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufffe\uffff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g
// biome-ignore-end lint/suspicious/noControlCharactersInRegex: they are what is looked for
