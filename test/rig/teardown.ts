import { readdirSync, readFileSync } from 'node:fs'
import process from 'node:process'

const steps: (() => void)[] = []

/**
 * Value of the environment variable `PLEXUS_TEST_RUN` in everything that this test process starts, handed
 * on by Plexus to its delegates (CNI-089): how processes that were left behind are recognised.
 */
export const TEST_RUN = `${process.pid}-${Date.now().toString(36)}`

/**
 * Registers a step for the end of this process, whatever ends it save SIGKILL: normal end, uncaught error,
 * SIGINT, SIGTERM, SIGHUP. Steps are synchronous and run last first; a failing one does not stop the others.
 */
export function atEnd(step: () => void): void {
  steps.push(step)
}

/** The ids of the processes, zombies excepted, whose environment has this run's mark, in ascending order. */
export function markedProcesses(): number[] {
  const mark = `PLEXUS_TEST_RUN=${TEST_RUN}`
  const found: number[] = []
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry) || Number(entry) === process.pid) continue
    try {
      if (readFileSync(`/proc/${entry}/environ`, 'latin1').split('\0').includes(mark))
        found.push(Number(entry))
    } catch {
      // It ended while we looked.
    }
  }
  return found.sort((a, b) => a - b)
}

/** Whether a process with this id exists. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

function killMarked(): void {
  for (const pid of markedProcesses()) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // It ended by itself.
    }
  }
}

process.on('exit', () => {
  killMarked()
  for (const step of steps.reverse()) {
    try {
      step()
    } catch (error) {
      process.stderr.write(`rig: teardown: ${error instanceof Error ? error.message : String(error)}\n`)
      process.exitCode = 1
    }
  }
})
for (const [signal, number] of [
  ['SIGHUP', 1],
  ['SIGINT', 2],
  ['SIGTERM', 15],
] as const) {
  // Whoever listens before lets what is under way come to its end.
  if (process.listenerCount(signal) === 0) process.on(signal, () => process.exit(128 + number))
}
