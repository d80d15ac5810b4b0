import { extname } from 'node:path'
import { type Document, LineCounter, parseAllDocuments } from 'yaml'
import { toCniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import { toShown } from '../cni/faults.ts'
import { isJsonObject, type JsonObject, parseJson } from '../cni/json.ts'
import { locateJson, toLocator } from '../cni/json-position.ts'
import { indentQuotedLines } from '../network/quoted-lines.ts'

/** One object of a manifest file, members of a List one by one. */
interface ManifestObject {
  kind: string
  manifest: JsonObject
  /** `nads.yaml document 2 (line 14), items[3]`. */
  where: string
}

/** The objects of a file, and every fault, each with its place. */
export interface ParsedManifests {
  objects: ManifestObject[]
  faults: string[]
}

/** Lists in lists end here; none nests deeper than one. */
const DEPTH_LIMIT = 8

/** Aliases that one document may resolve to: more is an attack. */
const ALIAS_LIMIT = 1000

/**
 * Splits the text of one manifest file into its objects: YAML documents, or one JSON value when the name
 * ends in `.json`; `kind: List` and typed lists are opened; empty documents are passed over.
 *
 * @param file Name for messages; its ending tells the format.
 */
export function parseManifests(text: string, file: string): ParsedManifests {
  const parsed: ParsedManifests = { objects: [], faults: [] }
  if (extname(file) === '.json') {
    try {
      collect(parseJson(text, file), file, parsed)
    } catch (error) {
      const { fault } = locateJson(text)
      const place = fault === undefined ? '' : `, line ${toLocator(text)(fault.offset)}`
      parsed.faults.push(`${file}${place}: not JSON: ${fault?.reason ?? toCniError(error).message}`)
    }
    return parsed
  }

  const { documents, lineCounter } = parseYaml(text)
  documents.forEach((document, index) => {
    const start = lineCounter.linePos(document.contents?.range?.[0] ?? 0).line
    const place = `${file} document ${index + 1}`
    if (document.errors.length > 0) {
      for (const { message, pos } of document.errors) {
        const { line, col } = lineCounter.linePos(pos[0])
        parsed.faults.push(`${place}, line ${line}:${col}: ${message}`)
      }
      return
    }
    try {
      const value: unknown = document.toJS({ maxAliasCount: ALIAS_LIMIT })
      if (value !== null && value !== undefined) collect(value, `${place} (line ${start})`, parsed)
    } catch (error) {
      parsed.faults.push(`${place} (line ${start}): ${toCniError(error, CniErrorCode.Decoding).message}`)
    }
  })
  return parsed
}

function parseYaml(text: string): { documents: readonly Document.Parsed[]; lineCounter: LineCounter } {
  const parse = (source: string): ReturnType<typeof parseYaml> => {
    const lineCounter = new LineCounter()
    const documents = parseAllDocuments(source, {
      lineCounter,
      // The pretty form quotes the source, in which there may be secrets.
      prettyErrors: false,
      // kubectl reads YAML 1.1, where `<<` merges.
      merge: true,
    })
    return { documents: Array.isArray(documents) ? documents : [], lineCounter }
  }
  const isGood = ({ documents }: ReturnType<typeof parseYaml>): boolean =>
    documents.every(({ errors }) => errors.length === 0)
  const asWritten = parse(text)
  if (isGood(asWritten)) return asWritten
  // The lines stay the same ones.
  const indented = parse(indentQuotedLines(text).text)
  return isGood(indented) ? indented : asWritten
}

function collect(value: unknown, where: string, parsed: ParsedManifests, depth = 0): void {
  if (!isJsonObject(value)) {
    parsed.faults.push(`${where}: must be an object, not ${toShown(value)}`)
    return
  }
  const { kind } = value
  if (typeof kind !== 'string' || kind === '') {
    parsed.faults.push(`${where}: kind is missing, so this is no manifest`)
    return
  }
  if (!kind.endsWith('List') || !('items' in value)) {
    parsed.objects.push({ kind, manifest: value, where })
    return
  }
  const items = value.items ?? []
  if (!Array.isArray(items)) {
    parsed.faults.push(`${where}: items must be a list, not ${toShown(items)}`)
    return
  }
  if (depth === DEPTH_LIMIT) {
    parsed.faults.push(`${where}: lists nested more than ${DEPTH_LIMIT} deep`)
    return
  }
  // The API leaves kind and apiVersion out of the items of a typed list.
  const inherited =
    kind === 'List' ? {} : { apiVersion: value.apiVersion, kind: kind.slice(0, -'List'.length) }
  items.forEach((item: unknown, index) => {
    const typed = isJsonObject(item) ? { ...inherited, ...item } : item
    collect(typed, `${where}, items[${index}]`, parsed, depth + 1)
  })
}
