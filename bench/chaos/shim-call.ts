import { spawn } from 'node:child_process'
import type { Program } from '../runner.ts'
import type { Target } from './faults.ts'

/** How a call of the shim ended. */
export interface ShimRun {
  /** Exit status, or the signal that ended it. */
  readonly ended: number | NodeJS.Signals
  /** The code of the CNI error that it printed. */
  readonly code: number | undefined
  readonly output: string
  readonly tookMs: number
  /** Whether it had to be killed at the bound. */
  readonly isStuck: boolean
}

/** Starts the shim as a runtime would. @param limitMs It is killed after that time. */
export function startShim(
  program: Program,
  limitMs: number,
): Target & { readonly finished: Promise<ShimRun> } {
  const begin = performance.now()
  const [executable = '', ...args] = program.argv
  const child = spawn(executable, args, { env: program.env, stdio: ['pipe', 'pipe', 'ignore'] })
  let isOver = false
  let isStuck = false
  const timer = setTimeout(() => {
    isStuck = true
    child.kill('SIGKILL')
  }, limitMs)
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  child.stdin.on('error', () => undefined) // it may end without reading
  child.stdin.end(program.stdin)
  const finished = new Promise<ShimRun>((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', () => {
      isOver = true
    })
    child.once('close', (status, signal) => {
      clearTimeout(timer)
      const ended = status ?? signal ?? -1
      const tookMs = performance.now() - begin
      resolve({ ended, code: ended === 0 ? undefined : codeOf(output), output, tookMs, isStuck })
    })
  })
  return { pid: child.pid ?? -1, isOver: () => isOver, finished }
}

function codeOf(output: string): number | undefined {
  try {
    const { code } = JSON.parse(output) as { code?: unknown }
    return typeof code === 'number' ? code : undefined
  } catch {
    // Killed before or while it printed.
    return undefined
  }
}
