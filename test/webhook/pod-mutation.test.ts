import * as assert from 'uvu/assert'
import type { PatchOperation, Verdict } from '../../src/webhook/admission-review.ts'
import { mutatePod } from '../../src/webhook/pod-mutation.ts'
import { type PodOptions, pod } from '../rig/manifests.ts'
import { spec } from '../spec.ts'
import { admissionRequest, type KnownObjects, knownObjects } from './known-objects.ts'

const NETWORKS = 'k8s.v1.cni.cncf.io/networks'
const DEFAULTS = 'plexus-cni.io/default-networks'
const CONFIG = { cniVersion: '1.0.0', type: 'sriov' }
const withResource = (resource: string) => ({ 'k8s.v1.cni.cncf.io/resourceName': resource })
const KNOWN: KnownObjects = {
  nads: [
    { name: 'n6', namespace: 'telco', config: CONFIG, annotations: withResource('example.com/n6') },
    { name: 'n3', namespace: 'telco', config: CONFIG, annotations: withResource('example.com/n3') },
    { name: 'plain', namespace: 'telco', config: CONFIG },
    {
      name: 'primary',
      namespace: 'kube-system',
      config: CONFIG,
      annotations: withResource('example.com/n6'),
    },
  ],
  namespaces: [{ name: 'telco' }],
}

/** A pod as any JSON. */
// biome-ignore lint/suspicious/noExplicitAny: looked at by tests.
type AnyPod = any

const telcoPod = (options: PodOptions = {}, spec: object = {}): AnyPod => {
  const manifest = pod({ namespace: 'telco', ...options })
  return { ...manifest, spec: { ...(manifest.spec as object), ...spec } }
}
const container = (resources?: object): object => ({
  name: 'main',
  image: 'x',
  ...(resources && { resources }),
})
const mutate = (object: object, known: KnownObjects = {}): Promise<Verdict> =>
  mutatePod(admissionRequest(object), knownObjects({ ...KNOWN, ...known }))

/** Applies operations as the API server does; `add` alone is used. */
function patched(object: AnyPod, patch: readonly PatchOperation[] = []): AnyPod {
  const result = structuredClone(object)
  for (const { op, path, value } of patch) {
    assert.is(op, 'add')
    const steps = path
      .split('/')
      .slice(1)
      .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
    const last = steps.pop() ?? ''
    const parent = steps.reduce((at, step) => at[step], result)
    if (parent === undefined) throw new Error(`there is no ${path}`)
    if (last === '-') parent.push(structuredClone(value))
    else parent[last] = structuredClone(value)
  }
  return result
}

async function mutated(object: AnyPod, known: KnownObjects = {}): Promise<AnyPod> {
  const result = patched(object, (await mutate(object, known)).patch)
  assert.equal((await mutate(result, known)).patch ?? [], [], 'a second time nothing is added')
  return result
}

spec('device resources of networks', (it) => {
  it('are asked for by the first container, with the volume of labels and annotations', async () => {
    const { spec: of } = await mutated(
      telcoPod({ networks: 'n6,n3,n6,plain' }, { containers: [container(), container()] }),
    )
    const quantities = { 'example.com/n6': '2', 'example.com/n3': '1' }
    assert.equal(of.containers[0].resources, { requests: quantities, limits: quantities })
    assert.equal(of.containers[0].volumeMounts, [
      { name: 'podnetinfo', mountPath: '/etc/podnetinfo', readOnly: true },
    ])
    assert.is(of.containers[1].resources, undefined)
    assert.equal(of.volumes, [
      {
        name: 'podnetinfo',
        downwardAPI: {
          items: ['labels', 'annotations'].map((path) => ({
            path,
            fieldRef: { fieldPath: `metadata.${path}` },
          })),
        },
      },
    ])
  })

  it('count for the default-network annotation too', async () => {
    const { spec: of } = await mutated(telcoPod({ networks: 'n6', defaultNetwork: 'primary' }))
    assert.is(of.containers[0].resources.limits['example.com/n6'], '2')
  })

  it('keep what else is there', async () => {
    const resources = { requests: { cpu: '100m' }, limits: { memory: '1Gi' } }
    const mounts = [{ name: 'data', mountPath: '/data' }]
    const volumes = [{ name: 'data', emptyDir: {} }]
    const main = { ...container(resources), volumeMounts: mounts }
    const { spec: of } = await mutated(telcoPod({ networks: 'n6' }, { containers: [main], volumes }))
    assert.equal(of.containers[0].resources, {
      requests: { cpu: '100m', 'example.com/n6': '1' },
      limits: { memory: '1Gi', 'example.com/n6': '1' },
    })
    assert.is(of.containers[0].volumeMounts.length, 2)
    assert.is(of.volumes.length, 2)
  })

  const asked = (quantity: unknown): object => ({ limits: { 'example.com/n6': quantity } })
  const cases: readonly (readonly [
    title: string,
    containers: readonly object[],
    string | number | undefined,
  ])[] = [
    ['as much as is needed', [container(asked('2'))], '2'],
    ['more', [container(asked(5))], 5],
    ['more, with a unit', [container(asked('1k'))], '1k'],
    ['less', [container(asked('1'))], '2'],
    ['a part, the rest by another container', [container(asked('1')), container(asked('1'))], '1'],
    ['nothing, all by another container', [container(), container(asked('3'))], undefined],
    ['a part by another container', [container(), container(asked('1'))], '1'],
  ]
  for (const [title, containers, expected] of cases) {
    it(`are never lowered and made up for only: the pod asks for ${title}`, async () => {
      const { spec: of } = await mutated(telcoPod({ networks: 'n6,n6' }, { containers }))
      assert.is(of.containers[0].resources?.limits?.['example.com/n6'], expected)
    })
  }

  it('of a quantity that cannot be read are left alone, with a warning', async () => {
    const object = telcoPod({ networks: 'n6' }, { containers: [container(asked('1.5'))] })
    assert.match(
      (await mutate(object)).warnings?.join() ?? '',
      'the quantity that the pod asks for cannot be read',
    )
    assert.is((await mutated(object)).spec.containers[0].resources.limits['example.com/n6'], '1.5')
  })

  it('a mount that is there is kept', async () => {
    const volumes = [{ name: 'podnetinfo', emptyDir: {} }]
    for (const mount of [
      { name: 'mine', mountPath: '/etc/podnetinfo' },
      { name: 'podnetinfo', mountPath: '/mine' },
    ]) {
      const main = { ...container(), volumeMounts: [mount] }
      const { spec: of } = await mutated(telcoPod({ networks: 'n6' }, { containers: [main], volumes }))
      assert.equal(of.containers[0].volumeMounts, [mount])
      assert.equal(of.volumes, volumes)
    }
  })

  it('nothing is added without networks, without resources, with the network of the host, to what is no pod', async () => {
    for (const object of [
      telcoPod(),
      telcoPod({ networks: 'plain' }),
      telcoPod({ networks: 'no-such' }),
      telcoPod({ networks: '{' }),
      telcoPod({ networks: 'n6' }, { hostNetwork: true }),
      { ...telcoPod({ networks: 'n6' }), kind: 'Deployment' },
    ])
      assert.equal((await mutate(object)).patch ?? [], [])
  })
})

spec('default networks of a namespace', (it) => {
  const withDefault = (value: string): KnownObjects => ({
    namespaces: [{ name: 'telco', annotations: { [DEFAULTS]: value } }],
  })

  it('are given to a pod that names none, with their resources, and it is told', async () => {
    const { metadata, ...bare } = telcoPod()
    const { annotations: _, ...rest } = metadata
    for (const object of [telcoPod(), { ...bare, metadata: rest }]) {
      const result = await mutated(object, withDefault('n6@data0'))
      assert.is(result.metadata.annotations[NETWORKS], 'n6@data0')
      assert.is(result.spec.containers[0].resources.limits['example.com/n6'], '1')
      assert.match(
        (await mutate(object, withDefault('n6'))).warnings?.join() ?? '',
        `${DEFAULTS} of namespace telco`,
      )
    }
  })

  it('are not given to a pod that names its own, or none at all', async () => {
    for (const options of [
      { networks: 'plain' },
      { networks: '' },
      { networks: '[]' },
      { annotations: { [DEFAULTS]: '[]' } },
    ])
      assert.equal((await mutate(telcoPod(options), withDefault('n6'))).patch, [])
    assert.equal((await mutate(telcoPod({}, { hostNetwork: true }), withDefault('n6'))).patch ?? [], [])
    assert.equal((await mutate(telcoPod(), withDefault(''))).patch, [])
    assert.equal((await mutate(telcoPod({ namespace: 'other' }), withDefault('n6'))).patch, [])
  })

  it('that are wrong are given as they are: the pod is refused with the reason, not made without them', async () => {
    const result = await mutated(telcoPod(), withDefault('[{'))
    assert.is(result.metadata.annotations[NETWORKS], '[{')
  })
})
