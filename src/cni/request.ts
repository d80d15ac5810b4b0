import { type CniArgs, parseCniArgs } from './cni-args.ts'
import { CniError, toCniError } from './cni-error.ts'
import { CniErrorCode } from './codes.ts'
import { toFaultsError, toShown } from './faults.ts'
import { CONTAINER_ID_LIMIT_BYTES, identifierFault } from './identifier.ts'
import { ifNameFault } from './if-name.ts'
import { isJsonObject, type JsonObject, parseJson } from './json.ts'
import {
  CNI_VERSIONS,
  type CniVersion,
  HIGHEST_VERSION,
  isAtLeast,
  isCniVersion,
  SUPPORTED_TEXT,
} from './version.ts'

/** What a runtime may ask for; case matters. */
type CniCommand = 'ADD' | 'DEL' | 'CHECK' | 'GC' | 'STATUS' | 'VERSION'

/** A validated request of the runtime. A variable that was not given is ''. CNI-001. */
export interface CniRequest {
  command: CniCommand
  containerId: string
  netns: string
  ifName: string
  args: CniArgs
  /** `CNI_ARGS` as it came. */
  argsText: string
  /** `CNI_PATH` without its empty elements. CNI-013. */
  path: string[]
  /** The whole environment, which delegates inherit. CNI-015. */
  env: Readonly<Record<string, string>>
  /** The net-conf, to the digit. */
  stdin: JsonObject
  cniVersion: CniVersion
  /** Network name of the net-conf. */
  name: string
}

/** What {@link parseRequest} has to be told. */
export interface ParseRequestOptions {
  /** Whether the net-conf names where plugins are, so that `CNI_PATH` may be missing. CNI-004. */
  readonly hasBinDir?: (conf: JsonObject) => boolean
}

/** The answer to VERSION. */
export interface VersionReply {
  cniVersion: CniVersion
  supportedVersions: CniVersion[]
}

type Verb = Exclude<CniCommand, 'VERSION'>

/** Per verb: the variables that must be there, and the version that brought it. CNI-002, CNI-035. */
const VERBS: Record<Verb, { required: readonly string[]; since: CniVersion }> = {
  ADD: { required: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME', 'CNI_PATH'], since: '0.1.0' },
  DEL: { required: ['CNI_CONTAINERID', 'CNI_IFNAME', 'CNI_PATH'], since: '0.1.0' },
  CHECK: { required: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME', 'CNI_PATH'], since: '0.4.0' },
  GC: { required: ['CNI_PATH'], since: '1.1.0' },
  STATUS: { required: ['CNI_PATH'], since: '1.1.0' },
}

function isVerb(command: string): command is Verb {
  return Object.hasOwn(VERBS, command)
}

/**
 * Reads and validates a request of any verb but VERSION, in the order environment, net-conf, verb,
 * version; all faults of the environment come in one error. CNI-001 to CNI-009, CNI-013, CNI-022,
 * CNI-023, CNI-033, CNI-035.
 *
 * @param env The process environment.
 * @param stdin All of stdin.
 * @throws {CniError} InvalidEnvironment; Decoding when stdin is no JSON object; InvalidNetworkConfig for
 *   a missing or wrong name; IncompatibleCniVersion for a version that we do not know or that is too old
 *   for the verb.
 */
export function parseRequest(
  env: Readonly<Record<string, string | undefined>>,
  stdin: string,
  options: ParseRequestOptions = {},
): CniRequest {
  const command = env.CNI_COMMAND ?? ''
  const path = (env.CNI_PATH ?? '').split(':').filter((element) => element !== '')
  const identity = {
    containerId: env.CNI_CONTAINERID ?? '',
    netns: env.CNI_NETNS ?? '',
    ifName: env.CNI_IFNAME ?? '',
  }
  const conf = attempt(() => parseConf(stdin))
  const needsPath =
    path.length === 0 && !(conf.value !== undefined && options.hasBinDir?.(conf.value) === true)
  const missing = command === '' ? ['CNI_COMMAND'] : isVerb(command) ? [...VERBS[command].required] : []
  const faults = missingFaults(
    missing.filter((name) => (name === 'CNI_PATH' ? needsPath : (env[name] ?? '') === '')),
  )
  // GC and STATUS have no attachment: what their variables hold does not matter. CNI-007.
  const hasAttachment = command === 'ADD' || command === 'DEL' || command === 'CHECK'
  const args = attempt(() => parseCniArgs(env.CNI_ARGS ?? ''))
  if (hasAttachment) {
    faults.push(...malformedFaults(identity.containerId, identity.ifName))
    if (args.error !== undefined) faults.push(args.error.message)
  }
  if (faults.length > 0) throw toEnvironmentError(faults, identity.containerId)
  if (conf.value === undefined) throw conf.error
  const name = parseName(conf.value)
  if (!isVerb(command)) {
    throw new CniError(CniErrorCode.InvalidEnvironment, `unknown CNI_COMMAND: ${command}`, {
      hint: `known are ${Object.keys(VERBS).join(', ')} and VERSION, in capitals`,
    })
  }
  return {
    command,
    ...identity,
    args: args.value ?? [],
    argsText: env.CNI_ARGS ?? '',
    path,
    env: Object.fromEntries(
      Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined),
    ),
    stdin: conf.value,
    cniVersion: parseRequestVersion(conf.value, name, command),
    name,
  }
}

/**
 * The answer to VERSION: the version that the net-conf names if we know it, else our highest. Never
 * throws, whatever stdin is. CNI-032.
 */
export function parseVersionRequest(stdin: string): VersionReply {
  const asked = attempt(() => parseConf(stdin)).value?.cniVersion
  return { cniVersion: isCniVersion(asked) ? asked : HIGHEST_VERSION, supportedVersions: [...CNI_VERSIONS] }
}

type Attempt<T> = { value: T; error?: undefined } | { value?: undefined; error: CniError }

/** Runs a parser whose fault must not come before the environment's. CNI-009. */
function attempt<T>(parse: () => T): Attempt<T> {
  try {
    return { value: parse() }
  } catch (error) {
    return { error: toCniError(error) }
  }
}

function missingFaults(missing: readonly string[]): string[] {
  return missing.length === 0 ? [] : [`required env variables [${missing.join(',')}] missing`]
}

function malformedFaults(containerId: string, ifName: string): string[] {
  const faults: string[] = []
  const bytes = new TextEncoder().encode(containerId).length
  if (containerId !== '' && identifierFault(containerId) !== undefined) {
    faults.push('invalid characters in CNI_CONTAINERID')
  } else if (bytes > CONTAINER_ID_LIMIT_BYTES) {
    faults.push(`CNI_CONTAINERID has ${bytes} bytes, at most ${CONTAINER_ID_LIMIT_BYTES} are allowed`)
  }
  const fault = ifName === '' ? undefined : ifNameFault(ifName)
  if (fault !== undefined) faults.push(`CNI_IFNAME ${toShown(ifName)} ${fault}`)
  return faults
}

function toEnvironmentError(faults: readonly string[], containerId: string): CniError {
  const rejectsId = faults.some((fault) => fault.includes('CNI_CONTAINERID') && !fault.startsWith('required'))
  // The id itself belongs into `details`: it may be long and hold anything. CNI-005.
  const idDetail = rejectsId ? [`CNI_CONTAINERID is ${JSON.stringify(containerId)}`] : []
  return new CniError(CniErrorCode.InvalidEnvironment, faults.join('; '), {
    faults: [...(faults.length > 1 ? faults : []), ...idDetail],
  })
}

function parseConf(stdin: string): JsonObject {
  if (stdin.trim() === '') {
    throw new CniError(CniErrorCode.Decoding, 'stdin is empty: no net-conf', {
      hint: 'pass the network configuration as one JSON object on stdin',
    })
  }
  const conf = parseJson(stdin, 'the net-conf on stdin')
  // The reference front end reads `null` as an object without keys. CNI-022.
  if (conf === null) return {}
  if (isJsonObject(conf)) return conf
  throw new CniError(CniErrorCode.Decoding, 'the net-conf on stdin is no JSON object')
}

function parseName(conf: JsonObject): string {
  const name = conf.name ?? ''
  if (name === '') {
    throw new CniError(CniErrorCode.InvalidNetworkConfig, 'the net-conf on stdin: missing network name', {
      hint: 'give it a "name"',
    })
  }
  const fault = typeof name === 'string' ? identifierFault(name) : 'must be a string'
  if (typeof name === 'string' && fault === undefined) return name
  throw toFaultsError(CniErrorCode.InvalidNetworkConfig, 'the net-conf on stdin', [
    `network name ${toShown(name)} ${fault}`,
  ])
}

function parseRequestVersion(conf: JsonObject, name: string, verb: Verb): CniVersion {
  const asked = conf.cniVersion ?? ''
  if (typeof asked !== 'string') {
    throw new CniError(
      CniErrorCode.Decoding,
      `the net-conf on stdin: cniVersion ${toShown(asked)} must be a string`,
    )
  }
  const version = asked === '' ? '0.1.0' : asked
  if (!isCniVersion(version)) {
    throw new CniError(
      CniErrorCode.IncompatibleCniVersion,
      `network "${name}": cniVersion "${version}" is not supported by plexus; supported are ${SUPPORTED_TEXT}`,
      { faults: [`config is "${version}", plugin supports ${JSON.stringify(CNI_VERSIONS)}`] },
    )
  }
  const { since } = VERBS[verb]
  if (isAtLeast(version, since)) return version
  throw new CniError(
    CniErrorCode.IncompatibleCniVersion,
    `network "${name}": config version "${version}" does not allow ${verb}, which needs ${since} or later`,
  )
}

/** The caller's version for an error object, when stdin says one that is known. CNI-027. */
export function askedVersion(stdin: string): CniVersion | undefined {
  try {
    const conf = parseJson(stdin, 'stdin')
    return isJsonObject(conf) && isCniVersion(conf.cniVersion) ? conf.cniVersion : undefined
  } catch {
    // What is wrong with stdin is what the error says.
    return undefined
  }
}
