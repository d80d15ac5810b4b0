import { readlinkSync } from 'node:fs'

/** The kernel's number for the first process namespace, the same everywhere. */
const FIRST_PID_NAMESPACE = 'pid:[4026531836]'

/**
 * Whether this process sees the node as the runtime does, so that a namespace which is not there is gone, and plugins
 * find what they have written. In a pod it does not, whatever is mounted there; by `nsenter -t 1 -a` it does.
 */
export function isOnHost(env: Readonly<Record<string, string | undefined>>): boolean {
  try {
    if (readlinkSync('/proc/self/ns/mnt') !== readlinkSync('/proc/1/ns/mnt')) return false
    return (
      env.KUBERNETES_SERVICE_HOST === undefined || readlinkSync('/proc/self/ns/pid') === FIRST_PID_NAMESPACE
    )
  } catch {
    // Who may not look at process 1 is not the node's root.
    return false
  }
}
