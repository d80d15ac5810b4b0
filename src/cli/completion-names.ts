import { readFileSync } from 'node:fs'
import { parse } from 'yaml'
import { isJsonObject } from '../cni/json.ts'
import { NET_CONF_DEFAULTS } from '../config/net-conf.ts'
import { readSandboxRecords } from '../node/sandbox-records.ts'

/**
 * Names that are possible here for an option or argument: pods of the journal, contexts of the kubeconfig.
 * `undefined` for what has no names; what cannot be read has none. No server is asked: a shell waits.
 */
export async function completionNames(
  what: string,
  words: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<readonly string[] | undefined> {
  try {
    if (what === 'pod' || what === '--pod')
      return podNames(givenValue(words, '--state-dir') ?? NET_CONF_DEFAULTS.stateDir)
    if (what === '--context') return contextNames(givenValue(words, '--kubeconfig') ?? env.KUBECONFIG)
    return undefined
  } catch {
    return []
  }
}

function podNames(stateDir: string): string[] {
  const pods = readSandboxRecords(stateDir).flatMap(({ meta }) => meta?.pod ?? [])
  return [...new Set(pods.map(({ namespace, name }) => `${namespace}/${name}`))].sort()
}

function contextNames(file: string | undefined): string[] {
  const conf: unknown = file === undefined ? undefined : parse(readFileSync(file, 'utf8'))
  const contexts = isJsonObject(conf) && Array.isArray(conf.contexts) ? conf.contexts : []
  return contexts.flatMap((context) =>
    isJsonObject(context) && typeof context.name === 'string' ? [context.name] : [],
  )
}

function givenValue(words: readonly string[], option: string): string | undefined {
  const index = words.lastIndexOf(option)
  if (index >= 0) return words[index + 1]
  return words.findLast((word) => word.startsWith(`${option}=`))?.slice(option.length + 1)
}
