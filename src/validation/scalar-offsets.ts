/** How a text is written in its source. */
export type ScalarStyle = 'plain' | 'block' | 'single' | 'double'

const ESCAPE = /\\(?:x[\da-fA-F]{2}|u[\da-fA-F]{4}|U[\da-fA-F]{8}|\r?\n[ \t]*|[\s\S])/y

/**
 * For each UTF-16 unit of a text (and its end) the offset in the source from which it comes. All that folding,
 * indentation and quotes change is white space and escapes, so the other characters are found in order.
 *
 * @param source The whole file.
 * @param start Where the scalar begins in it: its quote, its block header or its first character.
 * @param end Behind its last character.
 */
export function scalarOffsets(
  source: string,
  start: number,
  end: number,
  value: string,
  style: ScalarStyle,
): number[] {
  let at = start
  if (style === 'single' || style === 'double') at += 1
  if (style === 'block') {
    const lineEnd = source.indexOf('\n', start)
    at = lineEnd < 0 ? end : lineEnd + 1
  }
  const offsets: number[] = []
  for (let index = 0; index < value.length; index++) {
    const unit = value[index] ?? ''
    if (style === 'double' && source[at] === '\\') {
      // A line that ends in a backslash gives nothing.
      while (at < end && /^\\\r?\n/.test(source.slice(at, at + 3))) at += escapeLength(source, at)
    }
    if (style === 'double' && source[at] === '\\') {
      offsets.push(at)
      // \U gives two units of one escape.
      const isPairStart = source[at + 1] === 'U' && (value.codePointAt(index) ?? 0) > 0xffff
      if (isPairStart) {
        offsets.push(at)
        index += 1
      }
      at += escapeLength(source, at)
      continue
    }
    if (isBlank(unit)) {
      offsets.push(at)
      if (source[at] === unit) at += 1
      continue
    }
    while (at < end && isBlank(source[at] ?? '')) at += 1
    if (style === 'double' && source[at] === '\\') {
      index -= 1
      continue
    }
    offsets.push(at)
    at += style === 'single' && unit === "'" ? 2 : 1
  }
  offsets.push(at)
  return offsets
}

function isBlank(unit: string): boolean {
  return unit === ' ' || unit === '\n' || unit === '\t' || unit === '\r'
}

function escapeLength(source: string, at: number): number {
  ESCAPE.lastIndex = at
  return ESCAPE.exec(source)?.[0].length ?? 1
}
