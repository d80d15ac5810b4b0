import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { compileFixture } from './compiled-fixture.ts'
import { PLEXUS, type PlexusCall, type PlexusRun } from './plexus.ts'
import { tempDir } from './temp-dir.ts'

/** Where Plexus is killed: at its n-th effect (from 1), `before` it is made or `after`. */
export interface KillPoint {
  readonly effect: number
  readonly when: 'before' | 'after'
}

/** What became of a call that {@link crash} watched. */
export interface Crash {
  readonly run: PlexusRun
  /** Whether the point was reached; else the call ended by itself. */
  readonly isKilled: boolean
  /** The effects that were begun, each with what it was made on: `rename /path`. */
  readonly effects: readonly string[]
}

let folder: string | undefined
let reports = 0

/**
 * Runs a call and kills Plexus with SIGKILL at one effect: a system call that changes a file, writes into
 * a pipe or socket, or starts or signals a process. What Plexus started is not killed.
 *
 * @param point `undefined` only lists the effects.
 * @param program The executable that is run; its compile cache has to be there already.
 * @throws When the machine does not let a process be traced.
 */
export async function crash(
  point: KillPoint | undefined,
  run: (call: PlexusCall) => Promise<PlexusRun>,
  program = PLEXUS,
): Promise<Crash> {
  folder ??= tempDir('crash')
  reports += 1
  const report = join(folder, `report-${reports}`)
  const ended = await run({
    executable: compileFixture('crash/kill-at.c'),
    env: {
      PLEXUS_KILL_RUN: program,
      PLEXUS_KILL_AT: `${point?.effect ?? 0}:${point?.when ?? 'after'}`,
      PLEXUS_KILL_REPORT: report,
    },
  })
  const lines = readFileSync(report, 'utf8').trimEnd().split('\n')
  const end = lines.pop()
  if (end !== 'killed' && end !== 'ended') throw new Error(`Plexus cannot be traced: ${ended.stderr}`)
  return { run: ended, isKilled: end === 'killed', effects: lines.map((line) => line.replace(/^\d+ /, '')) }
}

/**
 * Processes that still work for a container: those with its id in their environment, and those that hold a
 * file of the state directory open, as a guard holds the lock. Each as `pid command line`.
 */
export function processesOf(containerId: string, stateDir: string): string[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .filter((pid) => {
      try {
        const environment = readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0')
        if (environment.includes(`CNI_CONTAINERID=${containerId}`)) return true
        const open = readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`))
        return open.some((path) => path.startsWith(`${stateDir}/`))
      } catch {
        // It ended while we looked.
        return false
      }
    })
    .map((pid) => `${pid} ${commandLine(pid)}`)
}

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()
  } catch {
    return '(ended)'
  }
}
