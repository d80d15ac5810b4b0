import { readFileSync } from 'node:fs'

let bootId: string | undefined

/** The kernel's id of this boot; empty where there is none. */
export function readBootId(): string {
  if (bootId !== undefined) return bootId
  try {
    bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  } catch {
    // Without it records of all boots look alike, as they would on a node that never loses power.
    bootId = ''
  }
  return bootId
}
