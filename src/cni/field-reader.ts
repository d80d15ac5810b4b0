import { parseCidr, parseIp } from './address.ts'
import { toShown } from './faults.ts'
import { isJsonObject, type JsonObject, toNumber } from './json.ts'

/**
 * Reads typed fields out of a parsed JSON object and remembers every fault with its JSON pointer instead
 * of stopping at the first. An absent field, one that is null, and an empty text where a text is optional
 * all count as absent.
 */
export class FieldReader {
  readonly faults: string[] = []

  /** A text that is not empty. */
  text(object: JsonObject, key: string, at: string): string | undefined {
    const value = object[key] ?? ''
    if (typeof value !== 'string') this.fault(`${at}/${key}`, 'a string', value)
    else if (value !== '') return value
    return undefined
  }

  integer(object: JsonObject, key: string, at: string): number | undefined {
    const value = object[key] ?? undefined
    const number = toNumber(value)
    if (Number.isSafeInteger(number)) return number
    if (value !== undefined) this.fault(`${at}/${key}`, 'an integer', value)
    return undefined
  }

  /** An IP address without prefix length. */
  ip(object: JsonObject, key: string, at: string): string | undefined {
    const text = this.text(object, key, at)
    if (text === undefined || parseIp(text) !== undefined) return text
    this.fault(`${at}/${key}`, 'an IP address', text)
    return undefined
  }

  /** An address with prefix length; it is required, so '' stands for a fault. */
  cidr(object: JsonObject, key: string, at: string): string {
    const value = object[key]
    if (typeof value === 'string' && parseCidr(value) !== undefined) return value
    this.fault(`${at}/${key}`, 'an address with prefix length', value)
    return ''
  }

  texts(object: JsonObject, key: string, at: string): string[] | undefined {
    const value = object[key] ?? []
    if (Array.isArray(value) && value.every((entry) => typeof entry === 'string')) {
      return value.length === 0 ? undefined : [...value]
    }
    this.fault(`${at}/${key}`, 'a list of strings', value)
    return undefined
  }

  object(object: JsonObject, key: string, at: string): JsonObject | undefined {
    const value = object[key] ?? undefined
    if (value === undefined || isJsonObject(value)) return value
    this.fault(`${at}/${key}`, 'a JSON object', value)
    return undefined
  }

  /** The objects of a list, each with its JSON pointer. */
  objects(object: JsonObject, key: string, at: string): [JsonObject, string][] {
    const list = object[key] ?? []
    if (!Array.isArray(list)) {
      this.fault(`${at}/${key}`, 'a list', list)
      return []
    }
    return list.flatMap((entry: unknown, index): [JsonObject, string][] => {
      const pointer = `${at}/${key}/${index}`
      if (isJsonObject(entry)) return [[entry, pointer]]
      this.fault(pointer, 'a JSON object', entry)
      return []
    })
  }

  private fault(pointer: string, expected: string, value: unknown): void {
    this.faults.push(
      value === undefined ? `${pointer} is missing` : `${pointer} must be ${expected}, not ${toShown(value)}`,
    )
  }
}
