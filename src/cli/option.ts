import { parseDuration } from '../network/duration.ts'
import { UsageError } from './failure.ts'

/** An option with one value; yargs would make a list of a repeated one. */
export function once(name: string, options: { readonly describe: string }) {
  return {
    ...options,
    type: 'string',
    requiresArg: true,
    coerce: (value: string | readonly string[]): string => {
      if (typeof value === 'string') return value
      throw new UsageError(`--${name} is given more than once`)
    },
  } as const
}

/** A value in whole seconds: `10s` or `10`. */
export function wholeSeconds(name: string, text: string): number {
  const [, digits] = /^(\d{1,4})s?$/.exec(text) ?? []
  if (digits === undefined)
    throw new UsageError(`--${name} must be whole seconds, for example 10s, not ${text}`)
  return Number(digits)
}

/** A span of time up to an hour, in milliseconds. */
export function waitMs(name: string, text: string): number {
  const ms = parseDuration(/^\d+$/.test(text) ? Number(text) : text)
  if (ms === undefined)
    throw new UsageError(`--${name} must be a time up to 1h, for example 90s or 30m, not ${text}`)
  return ms
}
