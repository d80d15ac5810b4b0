import { readlinkSync, statfsSync } from 'node:fs'

/** The kernel's number for the file system of namespaces. */
const NSFS = 0x6e736673
/** The kernel's number for the first process namespace, the same everywhere. */
const FIRST_PID_NAMESPACE = 'pid:[4026531836]'

/**
 * Whether this process sees the node as the runtime does, so that a namespace which is not there is gone, and plugins
 * find what they have written. In a pod it does not, whatever is mounted there; by `nsenter -t 1 -a` it does.
 */
export function isOnHost(env: Readonly<Record<string, string | undefined>>): boolean {
  const isInPod = env.KUBERNETES_SERVICE_HOST !== undefined
  const first = linkOf('/proc/1/ns/mnt')
  if (first === undefined) return !isInPod
  return first === linkOf('/proc/self/ns/mnt') && (!isInPod || seesNodeProcesses())
}

/** Whether a process has the same number here as on the node, as with `hostPID`; not on a node that is a container. */
export function seesNodeProcesses(): boolean {
  return linkOf('/proc/self/ns/pid') === FIRST_PID_NAMESPACE
}

/**
 * Whether a path leads to a namespace from here. In a container that of a pod is nothing, or a plain file, unless the
 * node's mount comes through.
 */
export function isNetns(path: string): boolean {
  try {
    return statfsSync(path).type === NSFS
  } catch {
    return false
  }
}

function linkOf(path: string): string | undefined {
  try {
    return readlinkSync(path)
  } catch {
    // Not everybody may look at process 1.
    return undefined
  }
}
