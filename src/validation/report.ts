import { locateJson } from '../cni/json-position.ts'
import { FINDING_CODES, type Finding, type FindingCode } from './finding.ts'
import { jsonOffset, type SourceDocument, type ValuePath } from './source-text.ts'

/** Takes findings about one thing: an object, a part of it, a JSON text in it. */
export interface Report {
  /** @param path Of the value from where the report begins; the place of what is around it when there is none. */
  add(code: FindingCode, path: ValuePath, message: string, hint?: string): void
  /** A report about a part. */
  within(path: ValuePath): Report
}

/** A report about a text that has a grammar of its own. */
export interface TextReport extends Report {
  /** @param offset In the text, in UTF-16 units. */
  addAt(code: FindingCode, offset: number, message: string, hint?: string): void
}

/** A report about one object of a document. */
export interface ObjectReport extends Report {
  /** A report about a text in the object, JSON as a rule; its paths are those of the JSON. */
  intoText(path: ValuePath, text: string): TextReport
}

/**
 * Makes the report of one object.
 *
 * @param base Way from the document to the object; not empty for a member of a List.
 * @param object How the object is called: `NAD telco/n6`.
 */
export function objectReport(
  findings: Finding[],
  document: SourceDocument,
  base: ValuePath,
  object: string | null,
): ObjectReport {
  function push(
    code: FindingCode,
    place: { line: number; column: number } | undefined,
    path: string,
    message: string,
    hint: string | undefined,
  ): void {
    findings.push({
      severity: FINDING_CODES[code],
      code,
      message,
      hint: hint ?? null,
      file: document.file,
      document: document.index,
      line: place?.line ?? null,
      column: place?.column ?? null,
      object,
      path: path === '' ? null : path,
    })
  }

  function plain(prefix: ValuePath): Report {
    return {
      add: (code, path, message, hint) => {
        const whole = [...prefix, ...path]
        push(code, document.position([...base, ...whole]), keyText(whole), message, hint)
      },
      within: (path) => plain([...prefix, ...path]),
    }
  }

  function intoText(textPath: ValuePath, text: string): TextReport {
    const place = keyText(textPath)
    const positions = locateJson(text)
    const at = (offset: number) => document.positionInText([...base, ...textPath], offset)
    function json(prefix: ValuePath): Report {
      return {
        add: (code, path, message, hint) => {
          const whole = [...prefix, ...path]
          const pointer = whole.map((step) => `/${step}`).join('')
          const position = whole.length === 0 ? undefined : at(jsonOffset(positions, whole))
          push(code, position ?? at(0), `${place} ${pointer}`.trim(), message, hint)
        },
        within: (path) => json([...prefix, ...path]),
      }
    }
    return {
      ...json([]),
      addAt: (code, offset, message, hint) => push(code, at(offset), place, message, hint),
    }
  }
  return { ...plain([]), intoText }
}

/** A way in words: `ranges[0][0].subnet`; keys that are no word are quoted. */
export function keyText(path: ValuePath): string {
  return path
    .map((step, index) => {
      if (typeof step === 'number') return `[${step}]`
      if (!/^[\w-]+$/.test(step)) return `[${JSON.stringify(step)}]`
      return index === 0 ? step : `.${step}`
    })
    .join('')
}
