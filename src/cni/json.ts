import { CniError } from './cni-error.ts'
import { CniErrorCode } from './codes.ts'
import { locateJson, toLocator } from './json-position.ts'

/** A JSON object whose keys are not known in advance. */
export type JsonObject = { [key: string]: unknown }

declare global {
  interface JSON {
    /** Text that {@link JSON.stringify} copies as it is (ECMAScript "JSON.parse source text access"). */
    rawJSON(text: string): unknown
    isRawJSON(value: unknown): boolean
  }
}

type SourceReviver = (this: unknown, key: string, value: unknown, context: { source?: string }) => unknown

const keepDigits: SourceReviver = (_key, value, context) =>
  typeof value === 'number' && context.source !== undefined && String(value) !== context.source
    ? JSON.rawJSON(context.source)
    : value

/**
 * Where a number may begin that a double does not give back as it was written. A text in which there is none,
 * as nearly all are, needs no reviver, which is ten times slower. What looks so inside a string does no harm.
 */
const PERHAPS_INEXACT = /(?:^|[:,[])\s*-?(?:0(?<=-0)|\d+[.eE]|\d{16})/

/**
 * Parses JSON so that `JSON.stringify` gives every number back to the digit: one that a double cannot
 * hold, or that is written in another way (`1.0`, `1e3`), becomes a raw value. CNI-071.
 *
 * @throws {CniError} Decoding, with line and column of the fault.
 */
export function parseJson(text: string, what: string): unknown {
  try {
    if (!PERHAPS_INEXACT.test(text)) return JSON.parse(text)
    return JSON.parse(text, keepDigits as (key: string, value: unknown) => unknown)
  } catch (error) {
    // The parser's own message quotes what stands around the fault, which may be a secret.
    const { fault } = locateJson(text)
    const where =
      fault === undefined
        ? String((error as Error).name)
        : `${toLocator(text)(fault.offset)}: ${fault.reason}`
    throw new CniError(CniErrorCode.Decoding, `${what} is not JSON: ${where}`)
  }
}

/** The object in a text that only strings are read of; `undefined` when there is none. Nothing of it is quoted. */
export function toJsonObject(text: string): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isJsonObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** Whether the value is a JSON object: not null, no array, no raw number. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !JSON.isRawJSON(value)
}

/** The number behind a value that {@link parseJson} gave, or `undefined` when it is none. */
export function toNumber(value: unknown): number | undefined {
  if (typeof value === 'number') return value
  if (JSON.isRawJSON(value)) return Number((value as { rawJSON: string }).rawJSON)
  return undefined
}
