/** Looks of a text; sizes in pixels. */
export const TEXT_LOOKS = {
  title: { font: 'sans', size: 20, isBold: true },
  heading: { font: 'sans', size: 14, isBold: true },
  name: { font: 'sans', size: 13, isBold: true },
  note: { font: 'sans', size: 12, isBold: false },
  ifName: { font: 'mono', size: 12, isBold: true },
  data: { font: 'mono', size: 11, isBold: false },
} as const

export type TextLook = keyof typeof TEXT_LOOKS

/** Widths of ASCII characters in ems, rounded up from the widest font that browsers commonly fall back to. */
const WIDTHS: readonly (readonly [characters: RegExp, ems: number])[] = [
  [/[ijl|!'.,:;I ]/, 0.34],
  [/[-/\\ftr()[\]"`{}*]/, 0.5],
  [/[mwMW@%—]/, 1],
  [/[A-Z&<>=+~#^OQG]/, 0.84],
  [/[ -~]/, 0.65],
  [/[\u00a0-\u024f…·→]/, 0.85],
]
const MONO_EMS = 0.61
/** Of what is neither: ideographs, symbols. */
const WIDE_EMS = 1.4
const BOLD = 1.1

/** An upper bound of the width of a text in pixels, whatever font the reader has. */
export function textWidth(text: string, look: TextLook): number {
  const { font, size, isBold } = TEXT_LOOKS[look]
  let ems = 0
  for (const character of text) {
    const isNarrow = /[ -~\u00a0-\u024f…·]/.test(character)
    ems +=
      font === 'mono' && isNarrow
        ? MONO_EMS
        : (WIDTHS.find(([characters]) => characters.test(character))?.[1] ?? WIDE_EMS)
  }
  return Math.ceil(ems * size * (isBold && font === 'sans' ? BOLD : 1))
}

/** A text of at most so many characters; what is left out is of the middle, since the ends tell names apart. */
export function elide(text: string, longest: number): string {
  const characters = [...text]
  if (characters.length <= longest) return text
  const kept = longest - 1
  const head = Math.ceil(kept / 2)
  return `${characters.slice(0, head).join('')}…${characters.slice(characters.length - (kept - head)).join('')}`
}

/** `1 pod`, `2 pods`. */
export function counted(number: number, word: string): string {
  return `${number} ${word}${number === 1 ? '' : 's'}`
}
