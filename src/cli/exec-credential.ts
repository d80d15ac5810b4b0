import { spawnSync } from 'node:child_process'
import { dirname, resolve } from 'node:path'
import { CniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import { isJsonObject, type JsonObject, toJsonObject } from '../cni/json.ts'

/** A program may have a person log in by a browser. */
const TIME_LIMIT_MS = 60_000
const API_VERSIONS: readonly unknown[] = [
  'client.authentication.k8s.io/v1',
  'client.authentication.k8s.io/v1beta1',
]

/**
 * Runs the credential program of a kubeconfig's user as kubectl does: with the environment of this process
 * and what the kubeconfig adds, its questions on the terminal.
 *
 * @returns The `status` of the ExecCredential that it printed; nothing of it may be shown.
 * @throws {CniError} InvalidNetworkConfig when it cannot be run, fails or prints something else.
 */
export function runExecCredential(kubeconfig: string, exec: JsonObject): JsonObject {
  const { command, args, env, apiVersion, interactiveMode, installHint } = exec
  const fault = (message: string, hint: string): CniError =>
    new CniError(CniErrorCode.InvalidNetworkConfig, `kubeconfig ${kubeconfig}: ${message}`, { hint })
  if (typeof command !== 'string' || command === '')
    throw fault('user.exec.command is no text', `correct ${kubeconfig}`)
  if (!API_VERSIONS.includes(apiVersion))
    throw fault(`user.exec.apiVersion must be one of ${API_VERSIONS.join(', ')}`, `correct ${kubeconfig}`)
  const isInteractive = process.stdin.isTTY === true && interactiveMode !== 'Never'
  if (interactiveMode === 'Always' && !isInteractive)
    throw fault(`credential program ${command} needs a terminal`, 'run it on a terminal, or use a token')
  // A bare name is looked for in PATH, anything else is relative to the kubeconfig.
  const program = command.includes('/') ? resolve(dirname(kubeconfig), command) : command
  const info = { apiVersion, kind: 'ExecCredential', spec: { interactive: isInteractive } }
  const { status, signal, stdout, error } = spawnSync(program, textsOf(args), {
    env: { ...process.env, ...variablesOf(env), KUBERNETES_EXEC_INFO: JSON.stringify(info) },
    stdio: [isInteractive ? 'inherit' : 'ignore', 'pipe', 'inherit'],
    encoding: 'utf8',
    timeout: TIME_LIMIT_MS,
    killSignal: 'SIGKILL',
    maxBuffer: 1024 * 1024,
  })
  if (error !== undefined) {
    const isMissing = 'code' in error && error.code === 'ENOENT'
    const why = isMissing ? 'is not there' : `could not be run: ${error.message}`
    const hint = isMissing && typeof installHint === 'string' ? installHint.trim() : `install ${command}`
    throw fault(`credential program ${command} ${why}`, hint)
  }
  if (status !== 0) {
    const end = signal === null ? `exit status ${status}` : `signal ${signal}`
    throw fault(`credential program ${command} failed with ${end}`, 'see what it says above')
  }
  const answer = toJsonObject(stdout)
  if (answer !== undefined && answer.apiVersion === apiVersion && isJsonObject(answer.status))
    return answer.status
  throw fault(
    `credential program ${command} printed no ExecCredential of ${String(apiVersion)} with a status`,
    `call ${command} by hand to see what it prints`,
  )
}

function textsOf(list: unknown): string[] {
  return Array.isArray(list) ? list.map(String) : []
}

/** `env: [{name: x, value: y}]` */
function variablesOf(list: unknown): Record<string, string> {
  if (!Array.isArray(list)) return {}
  return Object.fromEntries(
    list.filter(isJsonObject).map(({ name, value }) => [String(name), String(value ?? '')]),
  )
}
