import { execFile } from 'node:child_process'

/** How a program ended. */
export interface ProgramRun {
  /** `undefined` when it could not be started, or was killed. */
  readonly status: number | undefined
  readonly stdout: string
  readonly stderr: string
  /** Why there is no status. */
  readonly fault: string | undefined
}

const MOST_BYTES = 256 * 1024

/** Runs a program with nothing but the environment given, for a bounded time and output. */
export function runProgram(
  path: string,
  args: readonly string[],
  options: {
    readonly env?: Readonly<Record<string, string>>
    readonly stdin?: string
    readonly timeoutMs: number
  },
): Promise<ProgramRun> {
  const { env = {}, stdin = '', timeoutMs } = options
  return new Promise((resolve) => {
    const child = execFile(
      path,
      args,
      {
        env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', ...env },
        timeout: timeoutMs,
        killSignal: 'SIGKILL',
        maxBuffer: MOST_BYTES,
      },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : error.code
        if (typeof code === 'number') resolve({ status: code, stdout, stderr, fault: undefined })
        else
          resolve({
            status: undefined,
            stdout,
            stderr,
            fault: error?.killed === true ? `it did not end within ${timeoutMs / 1000} s` : error?.message,
          })
      },
    )
    // It may end without having read.
    child.stdin?.on('error', () => undefined)
    child.stdin?.end(stdin)
  })
}
