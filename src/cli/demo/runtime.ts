import { isJsonObject, type JsonObject, parseJson } from '../../cni/json.ts'
import { runProgram } from './program.ts'
import { type DemoPod, NAMESPACE } from './scenario.ts'

/** What a container runtime knows when it calls a network plugin. */
export interface Runtime {
  /** Path of `bin/plexus`. */
  readonly executable: string
  /** Namespace in which it runs: the node's. */
  readonly node: string
  /** The net-conf of the node. */
  readonly conf: object
  /** CNI_PATH: directories of plugins. */
  readonly binDirs: readonly string[]
  readonly signal: AbortSignal
}

/** A pod's sandbox: what the runtime makes before it asks for networks. */
export interface Sandbox {
  readonly pod: DemoPod
  readonly containerId: string
  /** Path of its network namespace. */
  readonly netns: string
}

/** The answer of one call. */
export interface Answer {
  /** The printed JSON object; `undefined` when nothing was printed (DEL). */
  readonly result: JsonObject | undefined
  readonly durationMs: number
}

/** The name that the runtime gives the interface on the default network. */
export const IF_NAME = 'eth0'

/** The environment of a call; what a newcomer would type before the command. */
export function callEnvironment(
  { binDirs }: Runtime,
  command: 'ADD' | 'DEL',
  { pod, containerId, netns }: Sandbox,
): Record<string, string> {
  return {
    CNI_COMMAND: command,
    CNI_CONTAINERID: containerId,
    CNI_NETNS: netns,
    CNI_IFNAME: IF_NAME,
    CNI_PATH: binDirs.join(':'),
    CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=${NAMESPACE};K8S_POD_NAME=${pod.name};K8S_POD_UID=${pod.uid}`,
  }
}

/**
 * Calls the plugin as a container runtime does: environment, net-conf on stdin, answer on stdout.
 *
 * @throws {Error} With the plugin's own message and details.
 */
export async function callPlugin(
  runtime: Runtime,
  command: 'ADD' | 'DEL',
  sandbox: Sandbox,
): Promise<Answer> {
  const { executable, node, conf, signal } = runtime
  const { portMappings } = sandbox.pod
  const stdin = JSON.stringify({
    ...conf,
    ...(portMappings.length > 0 ? { runtimeConfig: { portMappings } } : {}),
  })
  const env = callEnvironment(runtime, command, sandbox)
  const options = { env, stdin, signal }
  const { status, stdout, stderr, durationMs } = await runProgram(
    'nsenter',
    [`--net=${node}`, '--', executable],
    options,
  )
  const answer = stdout.trim() === '' ? undefined : parseJson(stdout, `the answer to ${command}`)
  const result = isJsonObject(answer) ? answer : undefined
  if (status === 0) return { result, durationMs }
  const words = result === undefined ? `${stdout}${stderr}`.trim() : `${result.msg}\n${result.details ?? ''}`
  throw new Error(`${command} for pod ${sandbox.pod.name} failed: ${words.trim()}`)
}
