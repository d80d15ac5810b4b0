/** Where what is in a JSON text; offsets are in UTF-16 units from 0. */
export interface JsonPositions {
  /** The first syntax fault; the maps then hold what came before it. */
  fault: { offset: number; reason: string } | undefined
  /** JSON pointer of each value (`/0/ips/1`; the whole is ``) → offset of its first character. */
  values: Map<string, number>
  /** JSON pointer of each member of an object → offset of its key. */
  keys: Map<string, number>
  /** Pointers of keys that are in their object twice; the last one counts. */
  duplicates: Set<string>
  /** Offset behind the value; `undefined` when it cannot be read. */
  end: number | undefined
}

class SyntaxFault {
  readonly offset: number
  readonly reason: string

  constructor(offset: number, reason: string) {
    this.offset = offset
    this.reason = reason
  }
}

const DEPTH_LIMIT = 64
const BLANK = /[ \t\n\r]*/y
// biome-ignore lint/suspicious/noControlCharactersInRegex: JSON forbids them inside a string
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y
const SCALAR = /true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?/y

/** One token of a JSON pointer, escaped. */
export function pointerToken(key: string | number): string {
  return `/${String(key).replaceAll('~', '~0').replaceAll('/', '~1')}`
}

/** The keys and indexes of a JSON pointer. */
export function pointerSteps(pointer: string): string[] {
  return pointer
    .split('/')
    .slice(1)
    .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'))
}

/** Gives the `line:column`, both from 1, of an offset in the text; cheap for many offsets of a long text. */
export function toLocator(text: string): (offset: number) => string {
  let starts: number[] | undefined
  return (offset) => {
    starts ??= [0, ...Array.from(text.matchAll(/\n/g), ({ index }) => index + 1)]
    let line = 0
    for (let above = starts.length; above - line > 1; ) {
      const middle = (line + above) >> 1
      if ((starts[middle] ?? 0) <= offset) line = middle
      else above = middle
    }
    return `${line + 1}:${offset - (starts[line] ?? 0) + 1}`
  }
}

/**
 * Finds the place of every value and key, or of the first syntax fault; the standard parser tells neither
 * of a text that it accepts, nor always of one that it refuses. Never throws.
 */
export function locateJson(text: string): JsonPositions {
  const positions: JsonPositions = {
    fault: undefined,
    values: new Map(),
    keys: new Map(),
    duplicates: new Set(),
    end: undefined,
  }
  let at = 0

  function take(pattern: RegExp): string | undefined {
    pattern.lastIndex = at
    const match = pattern.exec(text)?.[0]
    at += match?.length ?? 0
    return match
  }

  function refuse(expected: string): never {
    const found =
      at < text.length ? JSON.stringify(String.fromCodePoint(text.codePointAt(at) ?? 0)) : 'the end'
    throw new SyntaxFault(at, `expected ${expected}, found ${found}`)
  }

  /** Steps over the character if it is the next one. */
  function skip(character: string): boolean {
    take(BLANK)
    if (text[at] !== character) return false
    at += 1
    return true
  }

  function takeString(): string {
    const token = take(STRING)
    if (token !== undefined) return String(JSON.parse(token))
    throw new SyntaxFault(at, 'a string is not closed, or has an illegal escape or a control character in it')
  }

  function member(pointer: string, depth: number): void {
    take(BLANK)
    const offset = at
    if (text[at] !== '"') refuse('a key in double quotes')
    const path = pointer + pointerToken(takeString())
    if (positions.keys.has(path)) positions.duplicates.add(path)
    positions.keys.set(path, offset)
    if (!skip(':')) refuse('":"')
    value(path, depth)
  }

  function value(pointer: string, depth: number): void {
    take(BLANK)
    if (depth > DEPTH_LIMIT) throw new SyntaxFault(at, `nested more than ${DEPTH_LIMIT} deep`)
    positions.values.set(pointer, at)
    if (skip('{')) {
      if (skip('}')) return
      do member(pointer, depth + 1)
      while (skip(','))
      if (!skip('}')) refuse('"," or "}"')
    } else if (skip('[')) {
      if (skip(']')) return
      let index = 0
      do value(pointer + pointerToken(index++), depth + 1)
      while (skip(','))
      if (!skip(']')) refuse('"," or "]"')
    } else if (text[at] === '"') takeString()
    else if (take(SCALAR) === undefined) refuse('a value')
  }

  try {
    value('', 0)
    positions.end = at
    take(BLANK)
    if (at < text.length) refuse('the end')
  } catch (thrown) {
    if (!(thrown instanceof SyntaxFault)) throw thrown
    positions.fault = { offset: thrown.offset, reason: thrown.reason }
  }
  for (const pointer of positions.duplicates) {
    // Of an object that is there twice the keys are so too.
    if (ancestors(pointer).some((around) => positions.duplicates.has(around)))
      positions.duplicates.delete(pointer)
  }
  return positions
}

function ancestors(pointer: string): string[] {
  const steps = pointer.split('/')
  return steps.slice(2).map((_, index) => steps.slice(0, index + 2).join('/'))
}
