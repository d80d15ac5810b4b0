import { readdirSync, readFileSync } from 'node:fs'

/** Resident memory of a process. */
export function rssMiB(pid: number): number {
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  return Number(kib) / 1024
}

/** @returns What all threads of a process have run so far; `undefined` on a kernel that does not tell. */
export function cpuMs(pid: number): number | undefined {
  try {
    const threads = readdirSync(`/proc/${pid}/task`).map((tid) =>
      Number(readFileSync(`/proc/${pid}/task/${tid}/schedstat`, 'utf8').split(' ')[0]),
    )
    return threads.reduce((sum, nanoseconds) => sum + nanoseconds, 0) / 1e6
  } catch {
    return undefined
  }
}
