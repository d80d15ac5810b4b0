import { CniError } from './cni-error.ts'
import { CniErrorCode } from './codes.ts'
import { namespaceFault, objectNameFault } from './object-name.ts'

/** The pairs of `CNI_ARGS` in their order; a key may occur more than once. */
export type CniArgs = readonly (readonly [string, string])[]

/** Which pod the runtime is working for, from `K8S_POD_*`. CNI-019. */
export interface PodIdentity {
  namespace: string
  name: string
  uid?: string
  infraContainerId?: string
}

/**
 * Reads `CNI_ARGS` (`"K=V;K2=V2"`) more tolerantly than the reference parser: a value may contain `=`,
 * empty pieces are ignored, unknown keys are kept. CNI-016, CNI-018.
 *
 * @throws {CniError} InvalidEnvironment naming every piece that has no `=`.
 */
export function parseCniArgs(text: string): CniArgs {
  const args: [string, string][] = []
  const faults: string[] = []
  for (const piece of text.split(';')) {
    if (piece === '') continue
    const equals = piece.indexOf('=')
    if (equals < 0) faults.push(`CNI_ARGS: invalid pair "${piece}"`)
    else args.push([piece.slice(0, equals), piece.slice(equals + 1)])
  }
  if (faults.length > 0) {
    throw new CniError(CniErrorCode.InvalidEnvironment, faults.join('; '), {
      hint: 'write it as KEY=VALUE;KEY=VALUE',
      faults,
    })
  }
  return args
}

/**
 * Writes `CNI_ARGS` so that the reference parser of every delegate takes it: exactly one true
 * `IgnoreUnknown`, the first true one found or else `IgnoreUnknown=1` at the end. CNI-017, CNI-020.
 *
 * @returns '' for no pairs.
 * @throws {CniError} InvalidEnvironment for a key or value with `=` or `;`, which has no strict form.
 */
export function formatCniArgs(args: CniArgs): string {
  const kept: string[] = []
  let ignoresUnknown = false
  for (const [key, value] of args) {
    if (key === 'IgnoreUnknown') {
      if (ignoresUnknown || !/^(1|true)$/i.test(value)) continue
      ignoresUnknown = true
    }
    if (!isSendable([key, value])) {
      throw new CniError(
        CniErrorCode.InvalidEnvironment,
        `CNI_ARGS: the pair "${key}=${value}" cannot be sent to a plugin, which splits at every ";" and "="`,
        { hint: 'pass it by args.cni (cni-args in the annotation) instead' },
      )
    }
    kept.push(`${key}=${value}`)
  }
  if (args.length > 0 && !ignoresUnknown) kept.push('IgnoreUnknown=1')
  return kept.join(';')
}

/** Whether a pair has a strict form: without `=` and `;` in key and value. */
export function isSendable([key, value]: CniArgs[number]): boolean {
  return !/[=;]/.test(key + value)
}

/** The pairs with `key` set once: in the place of its first occurrence, else at the end. */
export function withCniArg(args: CniArgs, key: string, value: string): CniArgs {
  const pair: readonly [string, string] = [key, value]
  const first = args.findIndex(([name]) => name === key)
  if (first < 0) return [...args, pair]
  return args.flatMap((old, index) => (index === first ? [pair] : old[0] === key ? [] : [old]))
}

/** The value of a key, as reference plugins see it: the last one wins. */
function lastValue(args: CniArgs, key: string): string | undefined {
  return args.findLast(([name]) => name === key)?.[1] || undefined
}

/**
 * The pod that the runtime named, or `undefined` unless both its namespace and its name are given.
 * The two become parts of file names and API paths, so nothing but DNS-1123 names passes. CNI-019.
 *
 * @throws {CniError} InvalidEnvironment for a namespace or name that Kubernetes could not have.
 */
export function podIdentity(args: CniArgs): PodIdentity | undefined {
  const namespace = lastValue(args, 'K8S_POD_NAMESPACE')
  const name = lastValue(args, 'K8S_POD_NAME')
  if (namespace === undefined || name === undefined) return undefined
  const faults: string[] = []
  const check = (key: string, value: string, fault: string | undefined): void => {
    if (fault !== undefined) faults.push(`CNI_ARGS: ${key} "${value}" ${fault}`)
  }
  check('K8S_POD_NAMESPACE', namespace, namespaceFault(namespace))
  check('K8S_POD_NAME', name, objectNameFault(name))
  if (faults.length > 0) throw new CniError(CniErrorCode.InvalidEnvironment, faults.join('; '), { faults })
  const uid = lastValue(args, 'K8S_POD_UID')
  const infraContainerId = lastValue(args, 'K8S_POD_INFRA_CONTAINER_ID')
  return {
    namespace,
    name,
    ...(uid === undefined ? {} : { uid }),
    ...(infraContainerId === undefined ? {} : { infraContainerId }),
  }
}
