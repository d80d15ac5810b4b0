import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { CniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'

const ENTER_TIMEOUT_MS = 10_000
const ADMIN_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/**
 * Runs a program of the node inside a network namespace and gives its stdout. Node has no call for
 * entering a namespace; util-linux's `nsenter` does it.
 *
 * @throws {CniError} InvalidNetns with the program's own words.
 */
export async function execInNetns(
  netns: string,
  program: string,
  args: readonly string[],
  stdin = '',
): Promise<string> {
  try {
    const running = promisify(execFile)('nsenter', [`--net=${netns}`, program, ...args], {
      env: { PATH: ADMIN_PATH, LC_ALL: 'C' },
      timeout: ENTER_TIMEOUT_MS,
      maxBuffer: 64 * 1024 * 1024,
    })
    // The program may fail before it reads; its own words say why.
    running.child.stdin?.on('error', () => undefined)
    running.child.stdin?.end(stdin)
    return (await running).stdout
  } catch (error) {
    const stderr = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : ''
    const reason = stderr || (error instanceof Error ? error.message : String(error))
    throw new CniError(CniErrorCode.InvalidNetns, `${program} in netns ${netns} failed: ${reason}`, {
      cause: error,
    })
  }
}

/**
 * Names of the interfaces in a network namespace.
 *
 * @throws {CniError} InvalidNetns when it cannot be entered.
 */
export async function readLinks(netns: string): Promise<string[]> {
  const table = await execInNetns(netns, 'cat', ['/proc/self/net/dev'])
  return table
    .split('\n')
    .slice(2)
    .map((line) => line.slice(0, line.indexOf(':')).trim())
    .filter((name) => name !== '')
}
