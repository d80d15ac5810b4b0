// biome-ignore-start lint/suspicious/noControlCharactersInRegex: they are what is looked for
/** Control characters but tab and line feed. */
const CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g
/** These, and those that turn the direction of writing. */
const UNPRINTABLE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g
// biome-ignore-end lint/suspicious/noControlCharactersInRegex: they are what is looked for

/**
 * A text that does nothing to a terminal but be read: what a cluster, a plugin or a file says could otherwise
 * move the cursor and hide or forge lines.
 */
export function printable(text: string): string {
  return text.replaceAll(UNPRINTABLE, escaped)
}

/** A text of YAML without control characters: where there are any, its writer has used double quotes. */
export function printableYaml(text: string): string {
  return text.replaceAll(CONTROLS, escaped)
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
}

/** The same document with all its texts made {@link printable}; keys, numbers and all else as they are. */
export function printableDocument<T>(document: T): T {
  return mapTexts(document) as T
}

function mapTexts(value: unknown): unknown {
  if (typeof value === 'string') return printable(value)
  if (Array.isArray(value)) return value.map(mapTexts)
  // A number kept by its digits is an object too.
  if (typeof value !== 'object' || value === null || JSON.isRawJSON(value)) return value
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, mapTexts(inner)]))
}
