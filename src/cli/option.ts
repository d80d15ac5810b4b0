import type { Argv } from 'yargs'
import { NET_CONF_DEFAULTS } from '../config/net-conf.ts'
import { parseDuration } from '../network/duration.ts'
import { UsageError } from './failure.ts'
import { OUTPUT_FORMATS } from './output.ts'

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

/** Where attachments are recorded, and manifests that stand in for a cluster. */
export function withFolders<T>(
  command: Argv<T>,
  describe = 'Folder of the journal ("stateDir" of the net-conf)',
) {
  return command
    .option('state-dir', {
      ...once('state-dir', { describe }),
      default: NET_CONF_DEFAULTS.stateDir as string,
    })
    .option('manifests', {
      type: 'string',
      array: true,
      requiresArg: true,
      default: [] as string[],
      defaultDescription: 'none',
      describe: 'Folder of YAML or JSON manifests; may be given several times',
    })
}

/** A cluster that is asked. */
export function withCluster<T>(command: Argv<T>) {
  return command
    .option('kubeconfig', {
      ...once('kubeconfig', { describe: 'Cluster to ask for pods and networks' }),
      defaultDescription: 'KUBECONFIG, or the cluster of the pod that this runs in',
    })
    .option(
      'context',
      once('context', { describe: 'Context of the kubeconfig, in place of its current one' }),
    )
}

/** How data is printed. */
export function withOutput<T>(command: Argv<T>) {
  return command.option('output', {
    alias: 'o',
    choices: OUTPUT_FORMATS,
    default: 'table' as const,
    requiresArg: true,
    describe: 'How to print it',
  })
}
