import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { CniError, toCniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import type { NetConf } from '../config/net-conf.ts'
import { resolveNetworks } from '../engine/resolution.ts'
import { chooseNetworks } from '../plan/requested-network.ts'
import type { ClusterStore } from '../store/cluster-store.ts'

/** What can keep this node from attaching pods, as far as the daemon itself can tell. */
export interface NodeReadiness {
  /** What is wrong with the daemon's own folders; `undefined` when nothing is. */
  folderFault(conf: NetConf): CniError | undefined
  /** The same, and what is wrong with the default network; its plugins are the shim's to look for. */
  fault(conf: NetConf, isNetworkKnown: boolean): Promise<CniError | undefined>
}

/** The disk is written to this often at most, whoever asks. */
const PROBE_INTERVAL_MS = 5000
/** What failed is tried again sooner, so that the node is not away longer than its fault. */
const RETRY_INTERVAL_MS = 1000
/** More than any file system keeps inside the inode, so that a full one is noticed. */
const PROBE_BYTES = 4096

/** @param storeOf The store of a configuration; `undefined` when it names no cluster. */
export function openReadiness(storeOf: (conf: NetConf) => ClusterStore | undefined): NodeReadiness {
  let probed: { stateDir: string; notBefore: number; fault: CniError | undefined } | undefined
  const stateFault = (stateDir: string): CniError | undefined => {
    const now = performance.now()
    if (probed?.stateDir === stateDir && now < probed.notBefore) return probed.fault
    const fault = probeStateDir(stateDir)
    const interval = fault === undefined ? PROBE_INTERVAL_MS : RETRY_INTERVAL_MS
    probed = { stateDir, notBefore: now + interval, fault }
    return fault
  }
  const folderFault = (conf: NetConf): CniError | undefined =>
    stateFault(conf.stateDir) ?? (conf.manifests === undefined ? undefined : manifestsFault(conf.manifests))

  return {
    folderFault,
    async fault(conf, isNetworkKnown) {
      const found = folderFault(conf)
      if (found !== undefined || !isNetworkKnown) return found
      const { readinessIndicatorFile: file } = conf
      if (file !== undefined && !existsSync(file)) {
        return notReady(`readinessindicatorfile ${file} is missing: the default network is not ready`)
      }
      try {
        const [first] = chooseNetworks(conf, undefined).networks
        if (first === undefined) return undefined
        const [resolved] = await resolveNetworks([first], { conf, store: storeOf(conf) })
        if (resolved?.fault !== undefined) throw resolved.fault
        return undefined
      } catch (error) {
        return notReady(`the default network is not available: ${toCniError(error).message}`)
      }
    },
  }
}

function probeStateDir(stateDir: string): CniError | undefined {
  // One name for all daemons of the node: one that was killed here leaves a single file, for the next one.
  const path = join(stateDir, '.writable')
  try {
    mkdirSync(stateDir, { recursive: true, mode: 0o700 })
    const { O_WRONLY, O_CREAT, O_TRUNC, O_NOFOLLOW } = constants
    const fd = openSync(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0o600)
    try {
      if (writeSync(fd, Buffer.alloc(PROBE_BYTES)) < PROBE_BYTES) throw new Error('no space left on device')
    } finally {
      closeSync(fd)
      rmSync(path, { force: true })
    }
    return undefined
  } catch (error) {
    return notReady(`state directory ${stateDir} cannot be written: ${toCniError(error).message}`)
  }
}

function manifestsFault(path: string): CniError | undefined {
  try {
    if (statSync(path).isDirectory()) readdirSync(path)
    else accessSync(path, constants.R_OK)
    return undefined
  } catch (error) {
    return notReady(`manifests ${path} cannot be read: ${toCniError(error).message}`)
  }
}

function notReady(message: string): CniError {
  return new CniError(CniErrorCode.NotAvailable, message, {
    hint: '/readyz of the daemon says when it is over',
  })
}
