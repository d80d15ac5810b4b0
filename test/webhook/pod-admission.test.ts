import * as assert from 'uvu/assert'
import type { Verdict } from '../../src/webhook/admission-review.ts'
import { reviewPods } from '../../src/webhook/pod-admission.ts'
import { type PodOptions, pod } from '../rig/manifests.ts'
import { spec } from '../spec.ts'
import { admissionRequest, type KnownObjects, knownObjects } from './known-objects.ts'

const MACVLAN = { cniVersion: '1.0.0', type: 'macvlan', master: 'bond0', ipam: { type: 'dhcp' } }
const KNOWN: KnownObjects = {
  nads: [
    { name: 'n6', namespace: 'telco', config: MACVLAN },
    { name: 'shared', namespace: 'infra', config: MACVLAN },
    {
      name: 'core',
      namespace: 'infra',
      config: MACVLAN,
      annotations: { 'plexus-cni.io/allowed-namespaces': 'team=core' },
    },
  ],
  namespaces: [{ name: 'telco' }, { name: 'core', labels: { team: 'core' } }],
}

const create = (object: object, known: KnownObjects = {}): Promise<Verdict> =>
  reviewPods(admissionRequest(object), knownObjects({ ...KNOWN, ...known }))
const createPod = (options: PodOptions, known: KnownObjects = {}): Promise<Verdict> =>
  create(pod({ namespace: 'telco', ...options }), known)
const deployment = (networks: string): object => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'upf', namespace: 'telco' },
  spec: { template: { metadata: { annotations: { 'k8s.v1.cni.cncf.io/networks': networks } }, spec: {} } },
})
const messageOf = ({ refusal }: Verdict): string => refusal?.message ?? ''

spec('admission of pods', (it) => {
  it('one without networks, and one with good ones, is taken without a word', async () => {
    for (const networks of [undefined, '', '[]', 'n6', 'n6@x0,infra/shared'])
      assert.equal(await createPod(networks === undefined ? {} : { networks }), { warnings: [] }, networks)
  })

  it('an annotation with a fault is refused in the words of ADD', async () => {
    const { refusal } = await createPod({ networks: [{ name: 'n6', ips: ['10.0.0.300'] }] })
    assert.is(refusal?.status, 422)
    assert.match(
      refusal?.message ?? '',
      /element 0 \("n6"\), key "ips\[0\]": "10.0.0.300".*\[selection-fault\]/,
    )
  })

  it('what no plugin of the network can do is refused', async () => {
    const asked = { networks: [{ name: 'n6', mac: '02:00:5e:00:53:01' }] }
    assert.match(messageOf(await createPod(asked)), '[capability-not-declared]')
    assert.is(messageOf(await createPod(asked, { conf: { strictCapabilities: false } })), '')
  })

  it('an annotation that nobody reads is told', async () => {
    const { warnings } = await createPod({ annotations: { 'k8s.v1.cni.cncf.io/network': 'n6' } })
    assert.match(warnings?.join() ?? '', 'did you mean "k8s.v1.cni.cncf.io/networks"?')
  })

  it('a network that does not exist is refused, with the one that was meant', async () => {
    const message = messageOf(await createPod({ networks: 'n66' }))
    assert.match(message, 'there is no NAD telco/n66; did you mean telco/n6? [network-not-found]')
    assert.match(
      messageOf(await createPod({ defaultNetwork: 'nowhere' })),
      'there is no NAD kube-system/nowhere',
    )
    const optional = [{ name: 'n7', 'io.plexus-cni.optional': true }]
    const { refusal, warnings } = await createPod({ networks: optional })
    assert.is(refusal, undefined)
    assert.match(warnings?.join() ?? '', 'there is no NAD telco/n7')
  })

  it('isolation refuses networks of other namespaces, and tells nothing of them', async () => {
    const conf = { namespaceIsolation: true }
    for (const asked of [
      { networks: 'infra/shared' },
      { networks: 'infra/shard' },
      { defaultNetwork: 'infra/shared' },
    ]) {
      const message = messageOf(await createPod(asked, { conf }))
      assert.match(message, 'namespace isolation enabled, annotation violates permission')
      assert.not.match(message, 'did you mean')
    }
    assert.is(
      messageOf(
        await createPod({ networks: 'infra/shared' }, { conf: { ...conf, globalNamespaces: 'infra' } }),
      ),
      '',
    )
  })

  it('a NAD that is only for some namespaces is refused to others, by both annotations', async () => {
    for (const asked of [{ networks: 'infra/core' }, { defaultNetwork: 'infra/core' }]) {
      assert.match(messageOf(await createPod(asked)), 'NAD infra/core may not be used from namespace telco')
      assert.is(messageOf(await createPod({ namespace: 'core', ...asked })), '')
      assert.is(messageOf(await createPod({ namespace: 'infra', ...asked })), '')
    }
  })

  it('a plugin that is not allowed is refused', async () => {
    const conf = { allowedPluginTypes: ['bridge', 'host-local'] }
    assert.match(messageOf(await createPod({ networks: 'n6' }, { conf })), '"macvlan"')
  })

  it('faults of a NAD are not told once more', async () => {
    const nads = [{ name: 'n6', namespace: 'telco', config: { ...MACVLAN, mastr: 'x' } }]
    assert.equal(await createPod({ networks: 'n6' }, { nads }), { warnings: [] })
  })

  it('one that names more networks than anybody has is refused before they are looked up', async () => {
    const cluster = knownObjects(KNOWN)
    let asked = 0
    const counting = {
      ...cluster,
      nad: (...key: [string, string]) => cluster.nad(...key).finally(() => asked++),
    }
    const review = (count: number): Promise<Verdict> => {
      const networks = Array.from({ length: count }, (_, index) => `n6@x${index}`).join()
      return reviewPods(admissionRequest(pod({ namespace: 'telco', networks })), counting)
    }
    assert.is(messageOf(await review(101)), '101 networks are named, more than 100')
    assert.is(asked, 0)
    assert.is(messageOf(await review(100)), '')
  })

  it('a change of a pod changes nothing of its networks', async () => {
    const before = pod({ namespace: 'telco' })
    const now = pod({ namespace: 'telco', networks: '{' })
    assert.equal(await reviewPods(admissionRequest(now, before), knownObjects(KNOWN)), {})
  })
})

spec('admission of workloads', (it) => {
  it('a template is judged as its pods are, but its networks may be made later', async () => {
    assert.equal(await create(deployment('n6')), { warnings: [] })
    assert.match(messageOf(await create(deployment('n6@@'))), '[selection-fault]')
    const { refusal, warnings } = await create(deployment('n66'))
    assert.is(refusal, undefined)
    assert.match(warnings?.join() ?? '', 'there is no NAD telco/n66')
    assert.match(messageOf(await create(deployment('infra/core'))), 'may not be used from namespace telco')
  })

  it('annotations at the workload are refused', async () => {
    const workload = deployment('n6') as { metadata: object }
    const annotations = { 'k8s.v1.cni.cncf.io/networks': 'infra/shared' }
    const message = messageOf(await create({ ...workload, metadata: { ...workload.metadata, annotations } }))
    assert.match(message, '[annotation-on-workload]')
  })

  it('a bad template from before does not keep a workload from being scaled, finalised, deleted', async () => {
    const bad = deployment('{') as { metadata: object; spec: object }
    const review = (now: object): Promise<Verdict> =>
      reviewPods(admissionRequest(now, bad), knownObjects(KNOWN))
    assert.equal(await review({ ...bad, spec: { ...bad.spec, replicas: 3 } }), {})
    assert.equal(await review({ ...bad, metadata: { ...bad.metadata, finalizers: [] } }), {})
    const changed = deployment('[')
    assert.match(messageOf(await review(changed)), '[selection-fault]')
    const going = { ...bad.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' }
    assert.equal(await review({ ...(changed as object), metadata: going }), {})
  })

  it('what controllers and kubectl write at a workload is no change of its template', async () => {
    const bad = (annotations: object, replicas: number): object => {
      const { metadata, spec: of, ...rest } = deployment('{') as { metadata: object; spec: object }
      return {
        ...rest,
        kind: 'ReplicaSet',
        metadata: { ...metadata, annotations },
        spec: { ...of, replicas },
      }
    }
    const review = (now: object, before: object): Promise<Verdict> =>
      reviewPods(admissionRequest(now, before), knownObjects(KNOWN))
    for (const key of [
      'deployment.kubernetes.io/desired-replicas',
      'kubectl.kubernetes.io/last-applied-configuration',
    ])
      assert.equal(await review(bad({ [key]: '3' }, 3), bad({ [key]: '1' }, 1)), {}, key)
    for (const key of ['k8s.v1.cni.cncf.io/networks', 'k8s.v1.cni.cncf.io/network'])
      assert.match(messageOf(await review(bad({ [key]: 'n6' }, 1), bad({}, 1))), '[selection-fault]', key)
  })
})
