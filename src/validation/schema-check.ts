import { parseCidr, parseIp } from '../cni/address.ts'
import { toShown } from '../cni/faults.ts'
import { ifNameFault } from '../cni/if-name.ts'
import { isJsonObject, type JsonObject, toNumber } from '../cni/json.ts'
import { normalizeHardwareAddress } from '../cni/mac.ts'
import { nearMiss } from '../cni/near-miss.ts'
import type { ValueFormat, ValueSchema, ValueType } from './plugin-schema.ts'
import { keyText, type Report } from './report.ts'
import type { ValuePath } from './source-text.ts'

/** What a schema is checked with. */
export interface SchemaContext {
  /** The plugin, for messages. */
  readonly type: string
  readonly report: Report
  /** Way from the report to the value. */
  readonly path: ValuePath
  /** Keys of the whole that others look at. */
  readonly skip?: readonly string[]
  /** Where an unknown key belongs that is known elsewhere, for example `beside "ipam"`. */
  readonly belongs?: (key: string) => string | undefined
  /** Whether somebody else may read keys that the schema does not know: an IPAM plugin gets all of them. */
  readonly isRead?: () => boolean
}

/**
 * Checks an object against a plugin's schema as a plugin written in Go reads it: `null` is as good as absent,
 * and the case of a key does not matter.
 *
 * @returns The object with the keys as the schema spells them, without what is `null` or wrong, so that rules
 *   can rely on the types.
 */
export function checkObject(value: JsonObject, schema: ValueSchema, context: SchemaContext): JsonObject {
  const { report, path, type, skip = [] } = context
  const properties = schema.properties ?? {}
  const known = Object.keys(properties)
  const checked: JsonObject = {}
  const unknown: string[] = []
  for (const [key, item] of Object.entries(value)) {
    if (item === null) continue
    const name = spellingOf(key, value, known)
    if (name === undefined) {
      if (isRemark(key)) continue
      if (schema.properties !== undefined) unknown.push(key)
      else checked[key] = item
      continue
    }
    if (name !== key) {
      report.add(
        'key-spelling',
        [...path, key],
        `${type}: key "${key}" is read as "${name}"`,
        `write "${name}"`,
      )
    }
    const property = properties[name]
    const inner = { ...context, path: [...path, key], skip: [], isRead: () => false }
    const kept = skip.includes(name) || property === undefined ? item : checkValue(item, property, inner)
    if (kept !== undefined) checked[name] = kept
  }
  for (const key of unknown) {
    const place = context.belongs?.(key)
    const meant = meantKey(
      key,
      known.filter((name) => !Object.hasOwn(value, name)),
    )
    if (place !== undefined) {
      report.add(
        'unknown-key',
        [...path, key],
        `${type}: key "${key}" has no effect here`,
        `move it ${place}`,
      )
    } else if (meant === undefined) {
      if (context.isRead?.() === true) continue
      report.add('unknown-key', [...path, key], `${type}: unknown key "${key}" has no effect`)
    } else {
      report.add('unknown-key', [...path, key], `${type}: unknown key "${key}"; did you mean "${meant}"?`)
    }
  }
  for (const key of schema.required ?? []) {
    if (
      skip.includes(key) ||
      Object.keys(value).some((name) => spellingOf(name, value, known) === key && value[name] !== null)
    ) {
      continue
    }
    const meant = unknown.find((name) => meantKey(name, [key]) !== undefined)
    const suffix = meant === undefined ? '' : `; did you mean it by "${meant}"?`
    report.add('missing-key', path, `${type}: "${keyText([...relative(context), key])}" is missing${suffix}`)
  }
  return checked
}

/** The key as the schema spells it; a key that differs in case only stands for one that is not there itself. */
function spellingOf(key: string, value: JsonObject, known: readonly string[]): string | undefined {
  if (known.includes(key)) return key
  const lower = key.toLowerCase()
  return known.find((name) => name.toLowerCase() === lower && !Object.hasOwn(value, name))
}

/** Other plugins' words for a key, and everyday ones. */
const SYNONYMS: Readonly<Record<string, readonly string[]>> = {
  address: ['subnet', 'range'],
  destination: ['dst'],
  device: ['master'],
  gateway: ['gw'],
  interface: ['master', 'device'],
  ip: ['address'],
  ips: ['addresses'],
  parent: ['master'],
  range: ['subnet'],
  subnet: ['range'],
  trunk: ['vlanTrunk'],
  vlan: ['vlanId'],
  vlanId: ['vlan'],
  vlanTrunk: ['trunk'],
  vrf: ['vrfname'],
}

/** The key that an unknown one most likely stands for. */
function meantKey(key: string, known: readonly string[]): string | undefined {
  const synonyms = Object.hasOwn(SYNONYMS, key) ? SYNONYMS[key] : undefined
  return synonyms?.find((name) => known.includes(name)) ?? nearMiss(key, known)
}

/** Whether a key is a remark and not meant for the plugin. */
export function isRemark(key: string): boolean {
  return /^(?:_|\/\/|#|x-)|\.|^comments?$/.test(key)
}

/** The way to the value without the list's own part. */
function relative({ path }: SchemaContext): ValuePath {
  return path[0] === 'plugins' ? path.slice(2) : path
}

function checkValue(value: unknown, schema: ValueSchema, context: SchemaContext): unknown {
  const { report, path, type } = context
  const key = `${type}: "${keyText(relative(context))}"`
  if (schema.type !== undefined && !hasType(value, schema.type)) {
    const isAddress = typeof value === 'string' && schema.properties?.address !== undefined
    report.add(
      isAddress ? 'addresses-as-strings' : 'value-type',
      path,
      `${key} must be ${TYPE_TEXT[schema.type]}, not ${toShown(value)}`,
      isAddress ? `write {"address": ${toShown(value)}}` : typeHint(value, schema),
    )
    return undefined
  }
  if (schema.enum !== undefined && !schema.enum.includes(value as string)) {
    const choices = schema.enum.filter((choice) => choice !== '')
    const meant = nearMiss(String(value), choices.map(String))
    report.add(
      'value-choice',
      path,
      `${key} must be one of ${choices.join(', ')}, not ${toShown(value)}`,
      meant === undefined ? undefined : `write "${meant}"`,
    )
    return undefined
  }
  const number = toNumber(value)
  if (number !== undefined) {
    const { minimum = number, maximum = number } = schema
    if (number >= minimum && number <= maximum) return number
    const bounds =
      schema.maximum === undefined ? `at least ${minimum}` : `from ${schema.minimum ?? 0} to ${maximum}`
    report.add('value-range', path, `${key} must be ${bounds}, not ${number}`)
    return undefined
  }
  if (typeof value === 'string') {
    const wanted = value === '' ? undefined : formatFault(value, schema)
    if (wanted === undefined) return value
    report.add('value-format', path, `${key} must be ${wanted}, not ${toShown(value)}`)
    return undefined
  }
  if (Array.isArray(value)) return checkItems(value, schema, context)
  if (!isJsonObject(value)) return value
  const { additionalProperties } = schema
  if (additionalProperties === undefined) return checkObject(value, schema, context)
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, item]) => {
      const kept = checkValue(item, additionalProperties, { ...context, path: [...path, name] })
      return kept === undefined ? [] : [[name, kept]]
    }),
  )
}

function checkItems(value: readonly unknown[], schema: ValueSchema, context: SchemaContext): unknown {
  const { report, path, type } = context
  if (value.length < (schema.minItems ?? 0)) {
    const key = `${type}: "${keyText(relative(context))}"`
    report.add('value-range', path, `${key} must have at least ${schema.minItems} items, not ${value.length}`)
    return undefined
  }
  const { items } = schema
  if (items === undefined) return value
  // What is wrong stays as a gap: rules name places by their index.
  return value.map((item, index) => checkValue(item, items, { ...context, path: [...path, index] }))
}

function hasType(value: unknown, type: ValueType): boolean {
  switch (type) {
    case 'array':
      return Array.isArray(value)
    case 'object':
      return isJsonObject(value)
    case 'integer':
      return Number.isInteger(value)
    case 'number':
      return toNumber(value) !== undefined
    default:
      return typeof value === type
  }
}

const TYPE_TEXT: Readonly<Record<ValueType, string>> = {
  string: 'a text',
  integer: 'a whole number',
  number: 'a number',
  boolean: 'true or false',
  object: 'an object',
  array: 'a list',
}

function typeHint(value: unknown, schema: ValueSchema): string | undefined {
  const { type, items } = schema
  if (typeof value === 'string') {
    const isNumber = type === 'integer' && /^-?\d+$/.test(value)
    const isFlag = type === 'boolean' && /^(?:true|false)$/.test(value)
    if (isNumber || isFlag) return `write ${value} without quotes`
    if (type === 'array' && items?.type === 'string') return `write [${toShown(value)}]`
    const written = objectAround(value, type === 'array' ? items : schema)
    if (written !== undefined) return `write ${type === 'array' ? `[${written}]` : written}`
    if (type === 'object' && schema.properties === undefined && /^[a-z-]+$/.test(value)) {
      return `write {"type": "${value}"}`
    }
  }
  if (type === 'string' && (toNumber(value) !== undefined || typeof value === 'boolean')) {
    const word =
      typeof value === 'boolean' && schema.enum?.includes('on') === true
        ? value
          ? 'on'
          : 'off'
        : toShown(value)
    return `write "${word}"${word === toShown(value) ? ' in quotes' : ''}`
  }
  if (type === 'array' && isJsonObject(value)) {
    return `put it in brackets: ${items?.type === 'array' ? '[[{…}]]' : '[{…}]'}`
  }
  return undefined
}

/** A text as the one key that an object must have. */
function objectAround(value: string, schema: ValueSchema | undefined): string | undefined {
  const [key, ...others] = schema?.required ?? []
  return key === undefined || others.length > 0 ? undefined : `{"${key}": ${toShown(value)}}`
}

/** What a text should be, or `undefined` when it is that. */
function formatFault(value: string, { pattern, format, $comment }: ValueSchema): string | undefined {
  if (pattern !== undefined && !new RegExp(pattern, 'u').test(value)) return $comment ?? `like ${pattern}`
  return format === undefined ? undefined : FORMATS[format](value)
}

const FORMATS: Readonly<Record<ValueFormat, (value: string) => string | undefined>> = {
  ip: (value) => (parseIp(value) === undefined ? 'an IP address' : undefined),
  cidr: (value) => (parseCidr(value) === undefined ? 'an address with prefix length' : undefined),
  mac: (value) => (normalizeHardwareAddress(value, 6) === undefined ? 'a hardware address' : undefined),
  'interface-name': (value) =>
    ifNameFault(value) === undefined
      ? undefined
      : 'an interface name (at most 15 bytes, no "/", ":" or white space)',
}
