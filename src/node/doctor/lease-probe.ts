import { rmSync } from 'node:fs'
import { isIP } from 'node:net'
import { isAbsolute, join, normalize } from 'node:path'
import { isJsonObject } from '../../cni/json.ts'
import { RESULT_FOLDERS } from '../result-folders.ts'
import { entryAt, namesIn, textOf } from './bounded-reading.ts'
import type { ExaminedNode } from './examined-node.ts'
import { evidenceOf, type Found, shellWord } from './finding.ts'

/** Where host-local keeps its leases unless it is told otherwise. */
const LEASE_FOLDER = '/var/lib/cni/networks'
const MOST_NETWORKS = 200
const MOST_LEASES = 20_000
const MOST_LEASE_BYTES = 512
/** A younger one may be of an ADD that runs. */
const STALE_AFTER_MS = 10 * 60_000

interface Lease {
  readonly path: string
  /** The file that it was in. */
  readonly inode: number
  /** Empty if host-local was killed between making the file and writing into it: no DEL ever finds it. */
  readonly containerId: string
  readonly takenAtMs: number
}

/**
 * Addresses that host-local has given to containers of which neither the journal nor the runtime knows. One that
 * was taken before the last boot is free for certain (no container has outlived that), and so is one whose file
 * names no container.
 */
export function leaseProbe(node: ExaminedNode, dataDirs: readonly string[]): Found[] {
  const { stateDir, isPod } = node
  const folders = [...new Set([LEASE_FOLDER, ...dataDirs])].filter((folder) => entryAt(folder) !== undefined)
  if (isPod && folders.length === 0)
    return [{ id: 'partial-view', what: `${LEASE_FOLDER} is not mounted here: leases cannot be seen` }]
  const results = RESULT_FOLDERS.flatMap((folder) => namesIn(folder))
  const isKnown = (id: string): boolean =>
    id !== '' &&
    (entryAt(join(stateDir, 'sandboxes', id)) !== undefined ||
      results.some((name) => name.includes(`-${id}-`)))
  const now = Date.now()
  const stale = folders
    .flatMap(leasesIn)
    .filter(({ containerId, takenAtMs }) => now - takenAtMs > STALE_AFTER_MS && !isKnown(containerId))
  if (stale.length === 0) return []
  const bootedAtMs = bootTimeMs()
  const certain = stale.filter(({ takenAtMs, containerId }) => takenAtMs < bootedAtMs || containerId === '')
  const show = ({ path, containerId, takenAtMs }: Lease): string =>
    `${path}: ${containerId === '' ? 'written by halves, of no container' : `container ${containerId}`}, since ${new Date(takenAtMs).toISOString()}`
  return [
    {
      id: 'lease-stale',
      what: `${stale.length} addresses of host-local are held by containers that nobody knows; ${certain.length} of them are free for certain`,
      evidence: evidenceOf(stale.map(show)),
      fix: `see with "crictl pods" that these containers are gone; then rm ${evidenceOf(stale.map(({ path }) => shellWord(path))).join(' ')}`,
      ...(certain.length === 0
        ? {}
        : {
            repair: () => freeLeases(certain),
          }),
    },
  ]
}

/** What is no lease, whatever its name, is passed over. */
export function leasesIn(folder: string): Lease[] {
  return namesIn(folder, MOST_NETWORKS).flatMap((network) =>
    namesIn(join(folder, network), MOST_LEASES)
      .filter((name) => isIP(name.replaceAll('_', ':')) !== 0)
      .flatMap((name) => {
        const path = join(folder, network, name)
        const entry = entryAt(path)
        if (entry?.isFile() !== true || entry.size > MOST_LEASE_BYTES) return []
        const [containerId = ''] = (textOf(path, MOST_LEASE_BYTES) ?? '').trim().split(/\s/)
        if (!/^[\w.-]*$/.test(containerId)) return []
        return [{ path, inode: entry.ino, containerId, takenAtMs: entry.mtimeMs }]
      }),
  )
}

/** Removes them, but for those that somebody else has removed since, or given to another pod. */
export function freeLeases(leases: readonly Lease[]): string[] {
  return leases.flatMap(({ path, inode, takenAtMs }) => {
    const now = entryAt(path)
    if (now?.ino !== inode || now.mtimeMs !== takenAtMs) return []
    rmSync(path, { force: true })
    return [`removed ${path}`]
  })
}

/** By the clock as it is now. */
function bootTimeMs(): number {
  const seconds = /^btime (\d+)$/m.exec(textOf('/proc/stat') ?? '')?.[1]
  return seconds === undefined ? 0 : Number(seconds) * 1000
}

/** A path that leads where it says: whoever writes a NAD chooses it. */
function isFolder(path: unknown): path is string {
  return typeof path === 'string' && isAbsolute(path) && normalize(path) === path
}

/** Folders that configurations of host-local name. */
export function leaseFolders(confs: readonly unknown[]): string[] {
  return confs.flatMap((conf) => {
    if (Array.isArray(conf)) return leaseFolders(conf)
    if (!isJsonObject(conf)) return []
    const own = conf.type === 'host-local' && isFolder(conf.dataDir) ? [conf.dataDir] : []
    return [...own, ...leaseFolders([conf.ipam, conf.delegate])]
  })
}
