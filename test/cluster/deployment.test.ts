import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import * as assert from 'uvu/assert'
import { parseAllDocuments, stringify } from 'yaml'
import { applyCall, isServedKind } from '../rig/applied-object.ts'
import { eventually } from '../rig/daemon.ts'
import { unpackedPackages } from '../rig/debian-packages.ts'
import {
  asOfTestServer,
  type DeployedObject,
  deployedObject,
  deployedObjects,
  overlays,
} from '../rig/deployment.ts'
import { type KubeApiserver, startKubeApiserver } from '../rig/kube-apiserver.ts'
import { ROOT } from '../rig/plexus.ts'
import { tempDir } from '../rig/temp-dir.ts'
import { spec } from '../spec.ts'

const AGENT = 'deploy/components/agent'
const CERT_MANAGER = 'deploy/webhook/cert-manager'
const FOLDERS = ['deploy/base', AGENT, ...overlays(), CERT_MANAGER]
/** Kinds that only a distribution has, or cert-manager. */
const FOREIGN: Readonly<Record<string, readonly string[]>> = {
  'deploy/overlays/openshift': ['SecurityContextConstraints'],
  [CERT_MANAGER]: ['Issuer', 'Certificate', 'Issuer', 'Certificate'],
}

/** A component is made only as a part of another folder. */
const isWhole = (folder: string): boolean => folder !== AGENT

/** By what an object is compared with another. */
function named(objects: readonly DeployedObject[]): Record<string, DeployedObject> {
  return Object.fromEntries(objects.map((object) => [`${object.kind} ${object.metadata.name}`, object]))
}

spec('deploy/ and its overlays in kubectl', (it) => {
  let kubectl: string
  const kustomize = (folder: string): DeployedObject[] => {
    const text = execFileSync(kubectl, ['kustomize', folder], { encoding: 'utf8', timeout: 60_000 })
    return parseAllDocuments(text).map((document) => document.toJS() as DeployedObject)
  }

  it.before(async () => {
    const packages = ['kubectl'] as const
    const root = await unpackedPackages({ packages, suite: 'sid', has: 'usr/bin/kubectl' })
    kubectl = join(root, 'usr/bin/kubectl')
  })

  it('kustomize makes of each folder what all other tests look at', () => {
    for (const folder of ['deploy', 'crds', 'deploy/policy', 'deploy/webhook', ...FOLDERS.filter(isWhole)])
      assert.equal(named(kustomize(join(ROOT, folder))), named(deployedObjects(folder)), folder)
  })

  it('another image, the agent and what replaces Multus, in an overlay of one’s own', () => {
    const folder = join(tempDir('overlay'), 'mine')
    mkdirSync(folder)
    const at = (path: string): string => relative(folder, join(ROOT, path))
    const kustomization = {
      apiVersion: 'kustomize.config.k8s.io/v1beta1',
      kind: 'Kustomization',
      resources: [at('deploy/overlays/k3s')],
      components: [at(AGENT), at('deploy/components/replace-multus')],
      images: [{ name: 'localhost/plexus', newName: 'registry.example.com/plexus', newTag: '1.2.3' }],
    }
    writeFileSync(join(folder, 'kustomization.yaml'), stringify(kustomization))
    const objects = kustomize(folder)
    const replaced = objects.find(({ kind, metadata }) => kind === 'DaemonSet' && metadata.name === 'plexus')
    assert.ok(replaced?.spec.template.spec.containers[1].args.includes('--replace-multus'))
    const images = objects.flatMap(({ kind, spec: set }) => {
      const { initContainers = [], containers = [] } = kind === 'DaemonSet' ? set.template.spec : {}
      return [...initContainers, ...containers].map(({ image }) => image)
    })
    assert.equal(images, Array(4).fill('registry.example.com/plexus:1.2.3'))
  })
})

spec('deploy/ and its overlays at a real API server', (it) => {
  let api: KubeApiserver

  const apply = (object: DeployedObject, query: string): ReturnType<KubeApiserver['call']> =>
    api.call(...applyCall(object, query))

  it.before(async () => {
    api = await startKubeApiserver()
    await eventually(async () => void (await api.ok('GET', '/api/v1/namespaces/kube-system')), 20_000)
  })
  it.after(() => api.close())

  it('takes each object of each overlay on trial, every field known, but for what only its distribution has', async () => {
    for (const folder of FOLDERS) {
      const refused: string[] = []
      for (const object of deployedObjects(folder)) {
        if (!isServedKind(object.kind)) {
          refused.push(object.kind)
          continue
        }
        const { status, body } = await apply(asOfTestServer(object), '&dryRun=All')
        assert.is(status, 201, `${folder} ${object.kind}: ${body.message}`)
      }
      assert.equal(refused, FOREIGN[folder] ?? [], folder)
    }
  })

  it('the field that this API server is too old for is maxSurge, and a field that none knows is refused', async () => {
    const set = deployedObject('DaemonSet')
    const { status, body } = await apply(set, '&dryRun=All')
    assert.ok(status >= 400)
    assert.match(body.message, 'maxSurge: field not declared in schema')
    const wrong = asOfTestServer({ ...set, spec: { ...set.spec, minReadySecond: 10 } })
    assert.match((await apply(wrong, '&dryRun=All')).body.message, 'minReadySecond')
  })

  it('keeps what the manifest says: defaults come on top, nothing is dropped', async () => {
    const object = asOfTestServer(deployedObject('DaemonSet', 'deploy/overlays/microk8s'))
    const { status, body } = await apply(object, '')
    assert.is(status, 201)
    assertContains(body.spec, object.spec, '/spec')
  })
})

/** Whether all of an object is in another, at the same places. */
function assertContains(whole: unknown, part: unknown, at: string): void {
  if (typeof part !== 'object' || part === null) {
    assert.is(whole, part, at)
    return
  }
  assert.ok(typeof whole === 'object' && whole !== null, at)
  for (const [key, value] of Object.entries(part))
    assertContains((whole as Record<string, unknown>)[key], value, `${at}/${key}`)
}
