import { spawn } from 'node:child_process'
import { performance } from 'node:perf_hooks'

/** The node's programs, whatever PATH the user has; a runtime's plugins get the same. */
export const ADMIN_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** How a program ended. */
export interface ProgramEnd {
  /** Exit status; `undefined` when a signal ended it. */
  readonly status: number | undefined
  readonly stdout: string
  readonly stderr: string
  readonly durationMs: number
}

/** What a program is started with. */
export interface ProgramOptions {
  /** Environment besides PATH. */
  readonly env?: Readonly<Record<string, string>>
  readonly stdin?: string
  /** Aborted: the program is asked to end (SIGTERM) and waited for. */
  readonly signal?: AbortSignal
}

/**
 * Runs a program to its end with a small environment: PATH, LC_ALL and what is given.
 *
 * @throws The signal's reason when it was aborted, else the error of a program that cannot be started.
 */
export function runProgram(
  command: string,
  args: readonly string[],
  { env = {}, stdin = '', signal }: ProgramOptions = {},
): Promise<ProgramEnd> {
  const start = performance.now()
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted()
    const child = spawn(command, args, { env: { PATH: ADMIN_PATH, LC_ALL: 'C', ...env } })
    const stop = (): void => void child.kill('SIGTERM')
    signal?.addEventListener('abort', stop, { once: true })
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text
    })
    // A program may end without reading its input.
    child.stdin.on('error', () => undefined)
    child.stdin.end(stdin)
    child.once('error', reject)
    child.once('close', (status) => {
      signal?.removeEventListener('abort', stop)
      if (signal?.aborted === true) reject(signal.reason)
      else resolve({ status: status ?? undefined, stdout, stderr, durationMs: performance.now() - start })
    })
  })
}

/**
 * Runs a program that has to succeed and gives its stdout.
 *
 * @throws {Error} With the command line and the program's own words.
 */
export async function needProgram(
  command: string,
  args: readonly string[],
  options: ProgramOptions = {},
): Promise<string> {
  const { status, stdout, stderr } = await runProgram(command, args, options)
  if (status === 0) return stdout
  const words = `${stderr}${stdout}`.trim()
  throw new Error(`${[command, ...args].join(' ')}: ${words === '' ? `ended with status ${status}` : words}`)
}
