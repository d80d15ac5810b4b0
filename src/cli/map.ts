import { writeFileSync } from 'node:fs'
import { CniError, toCniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import { drawMap } from '../map/map-drawing.ts'
import { type MapObjects, mapObjects, mapPodObject } from '../map/mapped-objects.ts'
import type { NetworkMap, PodMap } from '../map/network-map.ts'
import { drawPod } from '../map/pod-drawing.ts'
import type { Drawing } from '../map/shapes.ts'
import { renderSvg } from '../map/svg.ts'
import { readSandboxRecords, recordsOfPod } from '../node/sandbox-records.ts'
import type { ClusterOptions } from './asked-cluster.ts'
import { ExitCode, UsageError } from './failure.ts'
import { readManifestPods } from './manifest-pods.ts'
import type { MapFormat, MapSource } from './map-source.ts'
import { mapJournal, mapRecordedPod } from './mapped-journal.ts'
import { formatDocument } from './output.ts'
import type { PodName } from './show.ts'

/** What `plexus map` is told. */
export interface MapOptions extends ClusterOptions {
  /** Only this pod, with its plugins and their calls. */
  readonly pod: PodName | undefined
  readonly source: MapSource
  readonly stateDir: string
  readonly manifests: readonly string[]
  readonly format: MapFormat
  /** File to write to, in place of stdout. */
  readonly out: string | undefined
  readonly write: (text: string) => void
  /** Told of what is left out of the picture. */
  readonly warn: (message: string) => void
}

/**
 * `plexus map`: a picture of the networks of this node, of a cluster or of manifests, and of the pods that
 * hang on them; or of one pod.
 *
 * @throws {CniError} When the source cannot be read, does not know the pod, or the file cannot be written.
 */
export async function map(options: MapOptions): Promise<number> {
  const { pod, format, out, write } = options
  const text =
    pod === undefined
      ? toText(await readMap(options), drawMap, format)
      : toText(await readPodMap(options, pod), drawPod, format)
  if (out === undefined) write(text)
  else writeOut(out, text)
  return ExitCode.good
}

function toText<Model extends object>(
  model: Model,
  draw: (model: Model) => Drawing,
  format: MapFormat,
): string {
  return format === 'svg' ? renderSvg(draw(model)) : formatDocument(model, 'json', () => '')
}

async function readMap(options: MapOptions): Promise<NetworkMap> {
  return options.source === 'journal'
    ? mapJournal(readSandboxRecords(options.stateDir))
    : mapObjects(await readObjects(options, options.source))
}

async function readPodMap(options: MapOptions, { namespace, name }: PodName): Promise<PodMap> {
  const { source, stateDir } = options
  if (source === 'journal') {
    const [newest] = recordsOfPod(readSandboxRecords(stateDir), namespace, name)
    if (newest !== undefined) return mapRecordedPod(newest)
  } else {
    const { pods, ...rest } = await readObjects(options, source)
    const found = pods.find((pod) => pod.namespace === namespace && pod.name === name)
    if (found !== undefined) return mapPodObject(found, rest)
  }
  const place = { journal: `journal ${stateDir}`, cluster: 'cluster', manifests: 'manifests' }[source]
  throw new CniError(CniErrorCode.InvalidNetworkConfig, `pod ${namespace}/${name} is not in the ${place}`, {
    hint: 'correct the name; plexus map without --pod draws all pods that are there',
  })
}

async function readObjects(options: MapOptions, origin: MapObjects['origin']): Promise<MapObjects> {
  if (origin === 'manifests')
    return { origin, ...(await readManifestPods(options.manifests, options.stateDir)) }
  const { openAskedCluster } = await import('./asked-cluster.ts')
  const cluster = openAskedCluster(options, process.env)
  if (cluster === undefined)
    throw new UsageError('no cluster to draw: name a kubeconfig by --kubeconfig or the variable KUBECONFIG')
  try {
    const [pods, nads] = await Promise.all([cluster.pods(), cluster.nads()])
    for (const fault of [...pods.faults, ...nads.faults]) options.warn(`left out: ${fault}`)
    return { origin, pods: pods.objects, nads: nads.objects }
  } finally {
    await cluster.close()
  }
}

function writeOut(path: string, text: string): void {
  try {
    writeFileSync(path, text)
  } catch (error) {
    throw toCniError(error, CniErrorCode.Io).at(`picture ${path}`)
  }
}
