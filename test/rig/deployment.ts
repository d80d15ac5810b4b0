import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import { parse, parseAllDocuments, stringify } from 'yaml'
import { ROOT } from './plexus.ts'
import { tempDir } from './temp-dir.ts'

/** An object of the manifests in `deploy/`. */
export interface DeployedObject {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: { readonly name: string; readonly namespace?: string }
  // biome-ignore lint/suspicious/noExplicitAny: any kind of object, looked at by tests.
  readonly [key: string]: any
}

/** What a kustomization of ours may say; more than this none does. */
interface Kustomization {
  readonly apiVersion: string
  readonly kind: string
  readonly resources?: readonly string[]
  readonly components?: readonly string[]
  readonly patches?: readonly { readonly target: PatchTarget; readonly patch: string }[]
}

interface PatchTarget {
  readonly kind: string
  readonly name: string
}

/** A step of a JSON patch (RFC 6902). */
interface PatchStep {
  readonly op: string
  readonly path: string
  readonly value: unknown
}

const KINDS = ['kustomize.config.k8s.io/v1beta1 Kustomization', 'kustomize.config.k8s.io/v1alpha1 Component']

/**
 * The objects that `kubectl kustomize` makes of a folder whose kustomizations gather files and folders and
 * apply JSON patches, which is all that ours do; rejects one that does more, or that leaves a file of its
 * folder out.
 */
export function deployedObjects(folder = 'deploy'): DeployedObject[] {
  return gatherObjects(folder, [])
}

/** A component patches what the one that names it has gathered before. */
function gatherObjects(folder: string, gathered: readonly DeployedObject[]): DeployedObject[] {
  const dir = resolve(ROOT, folder)
  const kustomization = parse(read(dir, 'kustomization.yaml')) as Kustomization
  const { apiVersion, kind, resources = [], components = [], patches = [], ...more } = kustomization
  if (!KINDS.includes(`${apiVersion} ${kind}`) || hasKeys(more))
    throw new Error(`${dir}: the kustomization does more than to gather and to patch`)
  const files = readdirSync(dir).filter((name) => name.endsWith('.yaml') && name !== 'kustomization.yaml')
  const forgotten = files.filter((name) => !resources.includes(name))
  if (forgotten.length > 0) throw new Error(`${dir}: the kustomization leaves out ${forgotten.join(', ')}`)
  const own = resources.flatMap((resource) =>
    resource.endsWith('.yaml')
      ? parseAllDocuments(read(dir, resource)).map((document) => document.toJS() as DeployedObject)
      : deployedObjects(join(dir, resource)),
  )
  let objects = [...gathered, ...own]
  for (const component of components) objects = gatherObjects(join(dir, component), objects)
  for (const { target, patch } of patches) {
    const [object, ...others] = objects.filter(
      ({ kind: its, metadata }) => its === target.kind && metadata.name === target.name,
    )
    if (object === undefined || others.length > 0)
      throw new Error(`${dir}: there is not one ${target.kind} ${target.name} to be patched`)
    for (const step of parse(patch) as readonly PatchStep[]) applyStep(object, step, dir)
  }
  return objects
}

/** A folder of one's own: an overlay of ours with a component. */
export function withComponent(overlay: string, component: string): string {
  const folder = tempDir('overlay')
  const at = (path: string): string => relative(folder, join(ROOT, path))
  const text = {
    apiVersion: 'kustomize.config.k8s.io/v1beta1',
    kind: 'Kustomization',
    resources: [at(overlay)],
    components: [at(component)],
  }
  writeFileSync(join(folder, 'kustomization.yaml'), stringify(text))
  return folder
}

/** The folders of `deploy/overlays`. */
export function overlays(): string[] {
  return readdirSync(join(ROOT, 'deploy/overlays'))
    .sort()
    .map((name) => `deploy/overlays/${name}`)
}

/**
 * An object as the API server of the tests can know it, which is of 1.20: `maxSurge` of a DaemonSet came with
 * 1.22, and without it a node cannot be told to keep its old pod; `policy/v1` is of 1.21.
 */
export function asOfTestServer(object: DeployedObject): DeployedObject {
  if (object.kind === 'PodDisruptionBudget') return { ...object, apiVersion: 'policy/v1beta1' }
  if (object.kind !== 'DaemonSet' || object.spec.updateStrategy.rollingUpdate === undefined) return object
  const rollingUpdate = { maxUnavailable: 1 }
  return { ...object, spec: { ...object.spec, updateStrategy: { type: 'RollingUpdate', rollingUpdate } } }
}

function applyStep(object: object, { op, path, value }: PatchStep, dir: string): void {
  const keys = path.slice(1).split('/')
  const last = keys.pop() ?? ''
  const fail = (reason: string): never => {
    throw new Error(`${dir}: ${op} ${path}: ${reason}`)
  }
  // biome-ignore lint/suspicious/noExplicitAny: any kind of object, walked by the keys of a path.
  let place: any = object
  for (const key of keys) place = place?.[key] ?? fail('there is no such place')
  if (op === 'add' && Array.isArray(place) && last === '-') place.push(value)
  else if (op === 'add' && !Array.isArray(place)) place[last] = value
  else if (op === 'replace' && place[last] !== undefined) place[last] = value
  else if (op !== 'test' || place[last] !== value) fail(`it is ${JSON.stringify(place[last])}`)
}

/** The one object of a kind. */
export function deployedObject(kind: string, folder = 'deploy'): DeployedObject {
  const [found, ...more] = deployedObjects(folder).filter((object) => object.kind === kind)
  if (found === undefined || more.length > 0) throw new Error(`there is not one ${kind} in ${folder}/`)
  return found
}

function read(dir: string, name: string): string {
  return readFileSync(join(dir, name), 'utf8')
}

function hasKeys(object: object): boolean {
  return Object.keys(object).length > 0
}
