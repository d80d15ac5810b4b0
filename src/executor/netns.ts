import { statSync } from 'node:fs'

/**
 * Identity of a network namespace: device, inode and, for a bind-mounted path, the time at which it was
 * made. The kernel hands a freed inode number to the next namespace at once, so the number alone would
 * take another pod's namespace under a reused path for ours. Paths below `/proc` have no lasting inode.
 *
 * @returns `undefined` when the path names nothing.
 */
export function readNetnsId(path: string): string | undefined {
  if (path === '') return undefined
  const stat = statSync(path, { bigint: true, throwIfNoEntry: false })
  if (stat === undefined) return undefined
  const identity = `${stat.dev}:${stat.ino}`
  return path.startsWith('/proc/') ? identity : `${identity}:${stat.ctimeNs}`
}

/** Whether the path is the namespace that this process runs in (CNI-012). */
export function isOwnNetns(path: string): boolean {
  const theirs = statSync(path, { throwIfNoEntry: false })
  const ours = statSync('/proc/self/ns/net', { throwIfNoEntry: false })
  return theirs !== undefined && ours !== undefined && theirs.dev === ours.dev && theirs.ino === ours.ino
}
