import { readFileSync } from 'node:fs'

/** What a process has had of resident memory at most, and has now, in MiB. */
export function memoryOf(pid: number): { readonly peakMiB: number; readonly residentMiB: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const mib = (key: string): number =>
    Number(new RegExp(`^${key}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) / 1024
  return { peakMiB: mib('VmHWM'), residentMiB: mib('VmRSS') }
}
