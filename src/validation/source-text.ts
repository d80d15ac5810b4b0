import {
  type Document,
  isAlias,
  isMap,
  isPair,
  isScalar,
  isSeq,
  type Node,
  parseAllDocuments,
  Scalar,
  visit,
  type YAMLParseError,
} from 'yaml'
import { isJsonObject, parseJson } from '../cni/json.ts'
import {
  type JsonPositions,
  locateJson,
  pointerSteps,
  pointerToken,
  toLocator,
} from '../cni/json-position.ts'
import { indentQuotedLines } from '../network/quoted-lines.ts'
import { scalarOffsets } from './scalar-offsets.ts'

/** The way from a document to a value in it: `['spec', 'config']`. */
export type ValuePath = readonly (string | number)[]

/** A text file to validate. */
export interface SourceFile {
  /** For messages; its ending tells the format. */
  readonly name: string
  readonly text: string
}

/** Line and column from 1. */
interface Position {
  readonly line: number
  readonly column: number
}

/** One document of a file, or an object that is from no file. */
export interface SourceDocument {
  readonly file: string | null
  /** From 1. */
  readonly index: number | null
  readonly value: unknown
  /** Ways to keys that are in their JSON object twice; in YAML that is a fault. */
  readonly duplicates: readonly ValuePath[]
  /** Place of a value, by its key where it has one; of the nearest thing around it that is there. */
  position(path: ValuePath): Position | undefined
  /** Place of a character of a text in the document. */
  positionInText(path: ValuePath, offset: number): Position | undefined
}

/** A document that cannot be read. */
export interface SyntaxFault {
  readonly document: number
  readonly position: Position
  readonly code: 'yaml-syntax' | 'json-syntax'
  readonly message: string
  readonly hint: string | undefined
}

/** Aliases that one document may resolve to: more is an attack. */
const ALIAS_LIMIT = 1000

/** A document around a value that is not from a text: it has no positions. */
export function objectDocument(value: unknown): SourceDocument {
  return {
    file: null,
    index: null,
    value,
    duplicates: [],
    position: () => undefined,
    positionInText: () => undefined,
  }
}

/** Splits a file into its documents; empty ones are passed over. Never throws. */
export function readSource(file: SourceFile): { documents: SourceDocument[]; faults: SyntaxFault[] } {
  if (/\.conf(?:list)?$/.test(file.name)) return readJson(file, 'one value')
  // The API's clients step over a byte order mark, plugins and runtimes do not.
  const marked = file.text.startsWith(BYTE_ORDER_MARK) ? { ...file, text: file.text.slice(1) } : file
  const isJson = file.name.endsWith('.json')
  if (!isJson && !/^\s*[{[]/.test(marked.text)) return readYaml(marked)
  const json = readJson(marked, 'several values')
  if (isJson || json.faults.length === 0) return json
  const yaml = readYaml(marked)
  return yaml.faults.length === 0 ? yaml : json
}

const BYTE_ORDER_MARK = '\ufeff'

/** @param form The API's clients take one object behind the other. */
function readJson(
  { name, text }: SourceFile,
  form: 'one value' | 'several values',
): ReturnType<typeof readSource> {
  const locate = positionsOf(text)
  const documents: SourceDocument[] = []
  for (let start = 0; ; ) {
    const rest = text.slice(start)
    const positions = locateJson(rest)
    const { fault, end } = positions
    const isFollowed = fault !== undefined && end !== undefined && form === 'several values'
    if (fault !== undefined && !isFollowed) {
      const isMarked = rest.startsWith(BYTE_ORDER_MARK)
      const unreadable = {
        document: documents.length + 1,
        position: locate(start + fault.offset),
        code: 'json-syntax' as const,
        message: `not JSON: ${isMarked ? 'a byte order mark stands before the value' : fault.reason}`,
        hint: isMarked ? 'save the file as UTF-8 without byte order mark' : jsonHint(rest, fault.offset),
      }
      return { documents, faults: [unreadable] }
    }
    const own = rest.slice(0, end)
    const base = start
    documents.push(jsonDocument(name, documents.length + 1, own, positions, (at) => locate(base + at)))
    if (fault === undefined) return { documents, faults: [] }
    start += fault.offset
  }
}

function jsonDocument(
  file: string,
  index: number,
  text: string,
  positions: JsonPositions,
  locate: (offset: number) => Position,
): SourceDocument {
  const offsetOf = (path: ValuePath): number => jsonOffset(positions, path)
  const value = parseJson(text, file)
  return {
    file,
    index,
    value,
    duplicates: [...positions.duplicates].map(pointerSteps),
    position: (path) => locate(offsetOf(path)),
    positionInText: (path, offset) => {
      const start = positions.values.get(path.map(pointerToken).join(''))
      if (start === undefined || text[start] !== '"') return locate(offsetOf(path))
      const written = valueAt(value, path)
      if (typeof written !== 'string') return locate(offsetOf(path))
      return locate(scalarOffsets(text, start, text.length, written, 'double')[offset] ?? start)
    },
  }
}

/** Offset of the key of a value, or of the value itself, or of what is around it. */
export function jsonOffset(positions: JsonPositions, path: ValuePath): number {
  for (let length = path.length; length >= 0; length--) {
    const pointer = path.slice(0, length).map(pointerToken).join('')
    const offset = positions.keys.get(pointer) ?? positions.values.get(pointer)
    if (offset !== undefined) return offset
  }
  return 0
}

/** What people who write JSON by hand do wrong at this place, and what to do about it. */
export function jsonHint(text: string, offset: number): string | undefined {
  const found = text[offset]
  const before = text.slice(0, offset).trimEnd().at(-1)
  if (before === ',' && (found === '}' || found === ']')) return 'remove the comma before the closing bracket'
  if (found === "'" && /^'\s*[{[]/.test(text.slice(offset))) return 'remove the quotes around the JSON'
  if (found === "'") return 'write double quotes: JSON knows no others'
  if (found !== undefined && '“”„‘’'.includes(found)) return 'write straight double quotes: "'
  if (before === undefined && /^-?\s*[A-Za-z]+:\s/.test(text.slice(offset))) return 'write JSON, not YAML'
  if (found === '#' || found === '/') return 'remove the comment: JSON has none'
  if (found === '"' && before !== undefined && !'{[,:'.includes(before))
    return 'write a comma between the two'
  return undefined
}

function readYaml({ name, text }: SourceFile): ReturnType<typeof readSource> {
  const { documents: parsed, parsedText, toWritten } = parseYaml(text)
  const positions = positionsOf(text)
  const locate = (offset: number): Position => positions(toWritten(offset))
  const faults: SyntaxFault[] = []
  const documents: SourceDocument[] = []
  for (const [index, document] of parsed.entries()) {
    const number = index + 1
    const refuse = (offset: number, message: string, hint?: string): void =>
      void faults.push({ document: number, position: locate(offset), code: 'yaml-syntax', message, hint })
    if (document.errors.length > 0) {
      for (const error of firstErrors(document.errors)) {
        const start = /^Missing closing/.test(error.message)
          ? openQuote(document, error.pos[0])
          : error.pos[0]
        const offset = toWritten(start)
        refuse(start, `not YAML: ${yamlReason(error, text, offset)}`, yamlHint(error.message, text, offset))
      }
      continue
    }
    let value: unknown
    try {
      value = document.toJS({ maxAliasCount: ALIAS_LIMIT })
      // What contains itself can be built by anchors, but is no manifest.
      if (parsedText.includes('&')) JSON.stringify(value)
    } catch (error) {
      const offset = document.contents?.range?.[0] ?? 0
      refuse(offset, `not YAML: ${yamlReason(error as Error, text, offset)}`)
      continue
    }
    if (value === null || value === undefined) continue
    const find = (path: ValuePath) =>
      findNode(document.contents as Node, path, (node) => node.resolve(document))
    documents.push({
      file: name,
      index: number,
      value,
      duplicates: [],
      position: (path) => locate(find(path).offset),
      positionInText: (path, offset) => {
        const { node, offset: fallback, isExact } = find(path)
        if (!isExact || !isScalar(node) || node.range == null || typeof node.value !== 'string') {
          return locate(fallback)
        }
        const [start, end] = node.range
        return locate(scalarOffsets(parsedText, start, end, node.value, styleOf(node))[offset] ?? start)
      },
    })
  }
  return { documents, faults }
}

interface ParsedYaml {
  readonly documents: readonly Document.Parsed[]
  /** Offsets are in this text. */
  readonly parsedText: string
  toWritten(offset: number): number
}

function parseYaml(text: string): ParsedYaml {
  const parse = (source: string): readonly Document.Parsed[] => {
    const documents = parseAllDocuments(source, {
      prettyErrors: false,
      merge: true,
      stringKeys: true,
      logLevel: 'silent',
    })
    return Array.isArray(documents) ? documents : []
  }
  const isGood = (documents: readonly Document.Parsed[]): boolean =>
    documents.every(({ errors }) => errors.length === 0)
  const asWritten = { documents: parse(text), parsedText: text, toWritten: (offset: number) => offset }
  if (isGood(asWritten.documents)) return asWritten
  const indented = indentQuotedLines(text)
  const documents = parse(indented.text)
  return isGood(documents)
    ? { documents, parsedText: indented.text, toWritten: (offset) => indented.toWritten(offset) }
    : asWritten
}

/** @param offset Of the fault in the text. */
/** One fault makes the parser stumble over what follows; keys that are there twice do not. */
function firstErrors(errors: readonly YAMLParseError[]): YAMLParseError[] {
  return errors.filter(({ code }, index) => index === 0 || code === 'DUPLICATE_KEY')
}

/** Where the quote is opened that is not closed at the offset. */
function openQuote(document: Document, offset: number): number {
  let start = offset
  visit(document, {
    Scalar: (_, { type, range }) => {
      const isQuoted = type === Scalar.QUOTE_SINGLE || type === Scalar.QUOTE_DOUBLE
      if (isQuoted && range != null && range[0] <= offset && offset <= range[2]) start = range[0]
    },
  })
  return start
}

function yamlReason(error: { code?: string; message: string }, text: string, offset: number): string {
  if (error.code === 'NON_STRING_KEY') return 'a key must be a text'
  if (error.code === 'DUPLICATE_KEY') {
    const [key = ''] = /^(?:"[^"\n]*"|'[^'\n]*'|[^\s:]+)/.exec(text.slice(offset, offset + 256)) ?? []
    return `key ${/^["']/.test(key) ? key : `"${key}"`} is there twice`
  }
  if (error.message.startsWith('Missing closing')) return 'the quote is not closed'
  const [message = ''] = error.message.split('\n')
  return message.includes('call stack') ? 'nested too deep' : message
}

function yamlHint(message: string, text: string, offset: number): string | undefined {
  if (text.includes('{{')) return 'render the template first: helm template . | plexus validate -'
  const before = text.slice(text.lastIndexOf('\n---', offset) + 1, offset + 1)
  return /tabs? /i.test(message) || /^ *\t/m.test(before)
    ? 'indent with blanks: YAML takes no tabs'
    : undefined
}

function styleOf({ type }: Scalar): 'plain' | 'block' | 'single' | 'double' {
  if (type === Scalar.BLOCK_FOLDED || type === Scalar.BLOCK_LITERAL) return 'block'
  if (type === Scalar.QUOTE_DOUBLE) return 'double'
  return type === Scalar.QUOTE_SINGLE ? 'single' : 'plain'
}

type Alias = Extract<Parameters<typeof isAlias>[0], { source: string }> & {
  resolve(document: unknown): Node | undefined
}

interface FoundNode {
  /** Of the key, or of the item of a list. */
  readonly offset: number
  readonly node: unknown
  /** Whether the path led to it and not only to something around. */
  readonly isExact: boolean
}

function findNode(root: Node, path: ValuePath, resolve: (alias: Alias) => unknown): FoundNode {
  let node: unknown = root
  let offset = root.range?.[0] ?? 0
  for (const step of path) {
    const next = childOf(node, step, resolve)
    if (next === undefined) return { offset, node, isExact: false }
    node = isAlias(next.node) ? resolve(next.node as Alias) : next.node
    offset = next.offset ?? offset
  }
  return { offset, node, isExact: true }
}

function childOf(
  node: unknown,
  step: string | number,
  resolve: (alias: Alias) => unknown,
): { node: unknown; offset: number | undefined } | undefined {
  if (isSeq(node)) {
    const item = node.items[Number(step)]
    return item === undefined ? undefined : { node: item, offset: rangeStart(item) }
  }
  if (!isMap(node)) return undefined
  for (const pair of node.items) {
    if (isPair(pair) && isScalar(pair.key) && String(pair.key.value) === String(step)) {
      return { node: pair.value, offset: rangeStart(pair.key) }
    }
  }
  for (const pair of node.items) {
    if (!isPair(pair) || !isScalar(pair.key) || pair.key.source !== '<<') continue
    const merged = isAlias(pair.value) ? resolve(pair.value as unknown as Alias) : pair.value
    const found = childOf(merged, step, resolve)
    if (found !== undefined) return found
  }
  return undefined
}

function rangeStart(node: unknown): number | undefined {
  return (node as { range?: [number, number, number] } | null)?.range?.[0]
}

/** The value at a path, or `undefined`. */
export function valueAt(value: unknown, path: ValuePath): unknown {
  return path.reduce<unknown>((around, step) => {
    if (Array.isArray(around)) return around[Number(step)]
    return isJsonObject(around) && Object.hasOwn(around, step) ? around[step] : undefined
  }, value)
}

function positionsOf(text: string): (offset: number) => Position {
  const locate = toLocator(text)
  return (offset) => {
    const [line = '1', column = '1'] = locate(offset).split(':')
    return { line: Number(line), column: Number(column) }
  }
}
