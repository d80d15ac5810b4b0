import { readdirSync, readFileSync } from 'node:fs'

/** A process of this PID namespace. */
export interface Process {
  readonly pid: number
  readonly parent: number
  readonly group: number
  /** Its name as the kernel has it, at most 15 bytes. */
  readonly name: string
}

/** All that run; zombies, which only wait for their parent to notice, are none of them. */
export function runningProcesses(): Process[] {
  const found: Process[] = []
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    try {
      const stat = readFileSync(`/proc/${entry}/stat`, 'utf8')
      // The name may hold blanks and brackets.
      const end = stat.lastIndexOf(')')
      const [state, parent, group] = stat.slice(end + 2).split(' ')
      if (state === 'Z' || state === 'X') continue
      const name = stat.slice(stat.indexOf('(') + 1, end)
      found.push({ pid: Number(entry), parent: Number(parent), group: Number(group), name })
    } catch {
      // It ended while we looked.
    }
  }
  return found
}

/** The delegates that a shim runs now, each with what it has started itself. */
export function delegatesOf(shim: number): Process[][] {
  const all = runningProcesses()
  // Before its exec a delegate has the shim's name, and the guard is none.
  const delegates = all.filter(({ parent, name }) => parent === shim && !name.startsWith('plexus'))
  return delegates.map((delegate) => [
    delegate,
    ...all.filter(({ pid, group }) => group === delegate.group && pid !== delegate.pid),
  ])
}

/** Kills one process at once, if it is still there. */
export function kill(pid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(pid, signal)
    return true
  } catch {
    return false
  }
}
