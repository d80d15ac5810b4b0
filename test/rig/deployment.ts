import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parse, parseAllDocuments } from 'yaml'
import { ROOT } from './plexus.ts'

/** An object of the manifests in `deploy/`. */
export interface DeployedObject {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: { readonly name: string; readonly namespace?: string }
  // biome-ignore lint/suspicious/noExplicitAny: any kind of object, looked at by tests.
  readonly [key: string]: any
}

/**
 * The objects of a folder with a kustomization that only gathers files and folders, which is all that ours
 * do; rejects one that does more, or that leaves a file of its folder out.
 */
export function deployedObjects(folder = 'deploy'): DeployedObject[] {
  const dir = resolve(ROOT, folder)
  const { apiVersion, kind, resources, ...more } = parse(read(dir, 'kustomization.yaml')) as {
    readonly apiVersion: string
    readonly kind: string
    readonly resources: readonly string[]
  }
  if (`${apiVersion} ${kind}` !== 'kustomize.config.k8s.io/v1beta1 Kustomization' || hasKeys(more))
    throw new Error(`${dir}: the kustomization does more than to name its resources`)
  const files = readdirSync(dir).filter((name) => name.endsWith('.yaml') && name !== 'kustomization.yaml')
  const forgotten = files.filter((name) => !resources.includes(name))
  if (forgotten.length > 0) throw new Error(`${dir}: the kustomization leaves out ${forgotten.join(', ')}`)
  return resources.flatMap((resource) =>
    resource.endsWith('.yaml')
      ? parseAllDocuments(read(dir, resource)).map((document) => document.toJS() as DeployedObject)
      : deployedObjects(join(dir, resource)),
  )
}

/** The one object of a kind. */
export function deployedObject(kind: string): DeployedObject {
  const [found, ...more] = deployedObjects().filter((object) => object.kind === kind)
  if (found === undefined || more.length > 0) throw new Error(`there is not one ${kind} in deploy/`)
  return found
}

function read(dir: string, name: string): string {
  return readFileSync(join(dir, name), 'utf8')
}

function hasKeys(object: object): boolean {
  return Object.keys(object).length > 0
}
