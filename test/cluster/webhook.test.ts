import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { type ApiProxy, startApiProxy } from '../rig/api-proxy.ts'
import { eventually } from '../rig/daemon.ts'
import { type DeployedObject, deployedObjects } from '../rig/deployment.ts'
import { type KubeApiserver, startKubeApiserver } from '../rig/kube-apiserver.ts'
import { writeKubeconfig } from '../rig/kubeconfig.ts'
import { type NadOptions, nad, type PodOptions, pod } from '../rig/manifests.ts'
import { tempDir } from '../rig/temp-dir.ts'
import {
  startWebhook,
  type TestWebhook,
  type WebhookCertificate,
  webhookCertificate,
} from '../rig/webhook.ts'
import { spec } from '../spec.ts'

const NADS = 'network-attachment-definitions'
const ADMISSION = '/apis/admissionregistration.k8s.io/v1'
const RESOURCE = 'k8s.v1.cni.cncf.io/resourceName'
const NETWORKS = 'k8s.v1.cni.cncf.io/networks'
const MACVLAN = { cniVersion: '1.0.0', type: 'macvlan', master: 'bond0', ipam: { type: 'dhcp' } }
/** What is followed, and what the API server has heard, comes some time. */
const soon = (check: () => void | Promise<void>): Promise<void> => eventually(check, 20_000)

interface Answer {
  readonly status: number
  // biome-ignore lint/suspicious/noExplicitAny: any kind of object, looked at by tests.
  readonly body: any
}

spec('the webhooks behind a real API server', (it) => {
  let api: KubeApiserver
  let proxy: ApiProxy
  let certificate: WebhookCertificate
  let webhook: TestWebhook
  let kubeconfig = ''
  const confFile = join(tempDir('webhook'), 'daemon.yaml')

  /** The deployed configurations, which name a Service, for a webhook on loopback. */
  const configure = async (): Promise<void> => {
    for (const { kind, webhooks, ...rest } of certificate.configurations) {
      // biome-ignore lint/suspicious/noExplicitAny: what a webhook is in the manifest.
      const moved = webhooks.map(({ clientConfig, timeoutSeconds: _, ...entry }: any) => ({
        ...entry,
        // 1.20 has no shorter way to say that it is a test.
        timeoutSeconds: 10,
        clientConfig: {
          caBundle: clientConfig.caBundle,
          url: `https://127.0.0.1:${webhook.port}${clientConfig.service.path}`,
        },
      }))
      const path = `${ADMISSION}/${String(kind).toLowerCase()}s/plexus?fieldManager=test&force=true`
      const object = { ...rest, kind, webhooks: moved }
      await api.ok('PATCH', path, object, { contentType: 'application/apply-patch+yaml' })
    }
  }
  const start = async (): Promise<void> => {
    webhook = await startWebhook(certificate.folder, '--kubeconfig', kubeconfig, '--config', confFile)
    await soon(async () => assert.is((await webhook.ask('GET', '/readyz', certificate)).status, 200))
    await configure()
    // The API server takes a moment to hear of them: until then nothing is refused.
    await soon(async () => {
      assert.is((await createNad({ name: 'probe', config: '{' }, '?dryRun=All')).status, 422)
      assert.is((await createPod({ name: 'probe', networks: '{' }, '?dryRun=All')).status, 422)
      assert.ok(
        (await createPod({ name: 'probe', namespace: 'defaulted' }, '?dryRun=All')).body.metadata.annotations,
      )
    })
  }
  const createNad = (options: NadOptions, query = ''): Promise<Answer> =>
    api.call(
      'POST',
      `/apis/k8s.cni.cncf.io/v1/namespaces/${options.namespace ?? 'default'}/${NADS}${query}`,
      nad(options),
    )
  const patchNad = (name: string, body: object): Promise<Answer> =>
    api.call('PATCH', `/apis/k8s.cni.cncf.io/v1/namespaces/default/${NADS}/${name}`, body)
  const configOf = (config: object): object => ({ spec: { config: JSON.stringify(config) } })
  const deleteNad = (name: string, query = ''): Promise<Answer> =>
    api.call('DELETE', `/apis/k8s.cni.cncf.io/v1/namespaces/default/${NADS}/${name}${query}`)
  const createPod = (options: PodOptions, query = ''): Promise<Answer> =>
    api.call(
      'POST',
      `/api/v1/namespaces/${options.namespace ?? 'default'}/pods${query}`,
      pod({ uid: null, ...options }),
    )
  const created = async (answer: Promise<Answer>): Promise<Answer['body']> => {
    const { status, body } = await answer
    assert.is(status, 201, body.message)
    return body
  }
  const refused = async (answer: Promise<Answer>, status: number, ...phrases: string[]): Promise<void> => {
    const { status: found, body } = await answer
    assert.is(found, status, JSON.stringify(body))
    for (const phrase of phrases) assert.ok(body.message.includes(phrase), body.message)
  }

  it.before(async () => {
    api = await startKubeApiserver()
    proxy = await startApiProxy(api)
    await soon(async () => void (await api.ok('GET', '/api/v1/namespaces/kube-system')))
    const namespaces = [
      { name: 'infra' },
      { name: 'core', labels: { team: 'core' } },
      { name: 'strict', labels: { 'plexus-cni.io/admission': 'required' } },
      { name: 'defaulted', annotations: { 'plexus-cni.io/default-networks': 'default/device@data0' } },
    ]
    for (const metadata of namespaces) await api.ok('POST', '/api/v1/namespaces', { metadata })
    // The rights are those that are deployed, and no others.
    for (const object of deployedObjects('deploy/webhook/base')) await apply(api, object)
    const accounts = '/api/v1/namespaces/kube-system/serviceaccounts'
    const { token } = (await api.ok('POST', `${accounts}/plexus-webhook/token`, { spec: {} })).status
    kubeconfig = writeKubeconfig({ server: proxy.server, ca: api.authority.ca, token })
    await soon(async () => void (await api.ok('GET', '/api/v1/pods', undefined, { token })))
    const resource = { [RESOURCE]: 'example.com/vf' }
    await created(createNad({ name: 'n6', config: MACVLAN }))
    await created(createNad({ name: 'device', config: MACVLAN, annotations: resource }))
    const selector = { 'plexus-cni.io/allowed-namespaces': 'team=core' }
    await created(createNad({ name: 'core', namespace: 'infra', config: MACVLAN, annotations: selector }))
    writeFileSync(confFile, '{}')
    certificate = webhookCertificate()
    await start()
  })
  it.after(async () => {
    await proxy.close()
    await api.close()
  })

  it('a NAD with a fault is refused, a good one is made; the same for a change', async () => {
    await refused(
      createNad({ name: 'bad', config: '{"type": "bridge",}' }),
      422,
      'spec.config',
      '[config-syntax]',
    )
    await created(createNad({ name: 'good', config: MACVLAN }))
    await refused(patchNad('good', { spec: { config: '{' } }), 422, '[config-syntax]')
    assert.is((await patchNad('good', { metadata: { labels: { a: 'b' } } })).status, 200)
    assert.is((await deleteNad('good')).status, 200)
  })

  it('a dry run is judged as well, and nothing is made', async () => {
    await refused(createNad({ name: 'dry', config: '{' }, '?dryRun=All'), 422, '[config-syntax]')
    await created(createNad({ name: 'dry', config: MACVLAN }, '?dryRun=All'))
    await created(createPod({ name: 'dry', networks: 'device' }, '?dryRun=All'))
    assert.is((await deleteNad('dry')).status, 404)
  })

  it('a pod is refused for its annotation, a network that is not there, and is made with good ones', async () => {
    await refused(
      createPod({ name: 'a', networks: '[{"name": "n6", "ips": ["x"]}]' }),
      422,
      '[selection-fault]',
    )
    await refused(
      createPod({ name: 'a', networks: 'n66' }),
      422,
      'no NAD default/n66; did you mean default/n6?',
    )
    await created(createPod({ name: 'a', networks: 'n6' }))
    // It was made before the informer can have heard of it.
    await created(createNad({ name: 'fresh', config: MACVLAN }))
    await created(createPod({ name: 'fresh', networks: 'fresh' }))
  })

  it('a template is judged as its pods are', async () => {
    const deployment = (networks: string): object => ({
      metadata: { name: 'upf' },
      spec: {
        selector: { matchLabels: { app: 'upf' } },
        template: {
          metadata: { labels: { app: 'upf' }, annotations: { [NETWORKS]: networks } },
          spec: { containers: [{ name: 'main', image: 'example.com/none' }] },
        },
      },
    })
    const path = '/apis/apps/v1/namespaces/default/deployments'
    await refused(api.call('POST', path, deployment('n6@')), 422, '[selection-fault]')
    await created(api.call('POST', path, deployment('n6')))
    const annotations = { [NETWORKS]: '{' }
    const change = { spec: { template: { metadata: { annotations } } } }
    await refused(api.call('PATCH', `${path}/upf`, change), 422, '[selection-fault]')
    assert.is((await api.call('PATCH', `${path}/upf`, { spec: { replicas: 2 } })).status, 200)
  })

  it('a virtual machine is judged by its annotation and by the networks in its own spec', async () => {
    const names = { plural: 'virtualmachines', singular: 'virtualmachine', kind: 'VirtualMachine' }
    const openAPIV3Schema = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true }
    await api.ok('POST', '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', {
      apiVersion: 'apiextensions.k8s.io/v1',
      kind: 'CustomResourceDefinition',
      metadata: { name: 'virtualmachines.kubevirt.io' },
      spec: {
        group: 'kubevirt.io',
        scope: 'Namespaced',
        names,
        versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema } }],
      },
    })
    const path = '/apis/kubevirt.io/v1/namespaces/core/virtualmachines'
    await soon(async () => void (await api.ok('GET', path)))
    const machine = (networkName: string, networks?: string, metadata?: object): object => ({
      apiVersion: 'kubevirt.io/v1',
      kind: 'VirtualMachine',
      metadata: { name: 'vm', ...metadata },
      spec: {
        template: {
          metadata: networks === undefined ? {} : { annotations: { [NETWORKS]: networks } },
          spec: {
            domain: { devices: { interfaces: [{ name: 'lan', bridge: {} }] } },
            networks: [{ name: 'lan', multus: { networkName } }],
          },
        },
      },
    })
    const make = (...args: Parameters<typeof machine>): Promise<Answer> =>
      api.call('POST', path, machine(...args))
    await soon(() => refused(make('a/b/c'), 422, '[selection-fault]'))
    await refused(make('infra/core', 'lan@'), 422, '[selection-fault]')
    await refused(
      make('infra/core', undefined, { annotations: { [NETWORKS]: 'n6' } }),
      422,
      'move it to spec.template',
    )
    await api.ok('PATCH', '/api/v1/namespaces/core', { metadata: { labels: { team: 'other' } } })
    await soon(() => refused(make('infra/core'), 422, 'may not be used from namespace core'))
    await api.ok('PATCH', '/api/v1/namespaces/core', { metadata: { labels: { team: 'core' } } })
    await soon(async () => void (await created(make('infra/core'))))
    const change = (template: object): Promise<Answer> =>
      api.call('PATCH', `${path}/vm`, { spec: { template } })
    await refused(change({ metadata: { annotations: { [NETWORKS]: '[{}]' } } }), 422, '[selection-fault]')
    assert.is((await api.call('PATCH', `${path}/vm`, { spec: { running: true } })).status, 200)
  })

  it('a pod that names more networks than can be looked at is refused', async () => {
    const names = (count: number): string => Array.from({ length: count }, () => 'n6').join(',')
    await refused(createPod({ name: 'many', networks: names(101) }), 422, '101 networks are named')
    await created(createPod({ name: 'many', networks: names(100) }))
  })

  it('a NAD that is only for some namespaces is refused to others, and a label that comes is seen', async () => {
    await refused(
      createPod({ name: 'b', networks: 'infra/core' }),
      422,
      'may not be used from namespace default',
    )
    await refused(createPod({ name: 'b', defaultNetwork: 'infra/core' }), 422, 'may not be used from')
    await created(createPod({ name: 'b', namespace: 'core', networks: 'infra/core' }))
    await api.ok('PATCH', '/api/v1/namespaces/strict', { metadata: { labels: { team: 'core' } } })
    await soon(() => created(createPod({ name: 'b', namespace: 'strict', networks: 'infra/core' })))
  })

  it("isolation is that of the daemons' configuration, from its next change on", async () => {
    await created(createPod({ name: 'c', namespace: 'core', networks: 'default/n6' }))
    writeFileSync(confFile, '{"namespaceIsolation": true, "globalNamespaces": "none"}')
    const other = (): Promise<Answer> =>
      createPod({ name: 'd', namespace: 'core', networks: 'default/n6' }, '?dryRun=All')
    await soon(() => refused(other(), 422, 'namespace isolation enabled'))
    await created(createPod({ name: 'e', networks: 'n6' }))
    writeFileSync(confFile, '{}')
    await soon(async () => void (await created(other())))
  })

  it("plugins that the daemons' configuration does not allow are refused to pods, from its next change on", async () => {
    const dry = (): Promise<Answer> => createPod({ name: 'k', networks: 'n6' }, '?dryRun=All')
    writeFileSync(confFile, '{"allowedPluginTypes": ["bridge"]}')
    await soon(() => refused(dry(), 422, 'plugin "macvlan" is not in allowedPluginTypes'))
    writeFileSync(confFile, '{"allowedPluginTypes": ["bridge", "macvlan", "dhcp"]}')
    await soon(async () => void (await created(dry())))
    writeFileSync(confFile, '{}')
  })

  it('who uses a default network that is named without namespace follows the configuration', async () => {
    await created(createNad({ name: 'alt', config: MACVLAN }))
    await created(createNad({ name: 'alt', namespace: 'kube-system', config: MACVLAN }))
    await created(createPod({ name: 'alt', defaultNetwork: 'alt' }))
    const other = `/apis/k8s.cni.cncf.io/v1/namespaces/kube-system/${NADS}/alt?dryRun=All`
    await soon(() => refused(api.call('DELETE', other), 409, 'in use by pod default/alt'))
    assert.is((await deleteNad('alt', '?dryRun=All')).status, 200)
    writeFileSync(confFile, '{"multusNamespace": "default"}')
    await soon(() => refused(deleteNad('alt', '?dryRun=All'), 409, 'in use by pod default/alt'))
    assert.is((await api.call('DELETE', other)).status, 200)
    writeFileSync(confFile, '{}')
    await soon(async () => assert.is((await deleteNad('alt', '?dryRun=All')).status, 200))
  })

  it('a NAD that pods use is neither deleted nor moved, unless it says so; when they are gone it is', async () => {
    await created(createNad({ name: 'used', config: MACVLAN }))
    await created(createPod({ name: 'user', networks: 'used' }))
    await soon(() =>
      refused(deleteNad('used', '?dryRun=All'), 409, 'NAD default/used is in use by pod default/user'),
    )
    const moved: readonly (readonly [aspect: string, object])[] = [
      ['type', configOf({ ...MACVLAN, type: 'ipvlan' })],
      ['master', configOf({ ...MACVLAN, master: 'bond1' })],
      ['VLAN', configOf({ ...MACVLAN, vlan: 7 })],
      ['IPAM range', configOf({ ...MACVLAN, ipam: { type: 'whereabouts', range: '10.6.0.0/24' } })],
      ['resourceName', { metadata: { annotations: { [RESOURCE]: 'example.com/other' } } }],
    ]
    for (const [aspect, change] of moved)
      await refused(patchNad('used', change), 409, `so its ${aspect} cannot be changed`)
    assert.is((await patchNad('used', configOf({ ...MACVLAN, mtu: 9000 }))).status, 200)
    const override = { metadata: { annotations: { 'plexus-cni.io/allow-in-use-change': 'true' } } }
    assert.is(
      (await patchNad('used', { ...override, ...configOf({ ...MACVLAN, master: 'bond1' }) })).status,
      200,
    )
    assert.is((await patchNad('used', { metadata: { annotations: null } })).status, 200)
    await refused(deleteNad('used'), 409, 'in use')
    await api.ok('DELETE', '/api/v1/namespaces/default/pods/user?gracePeriodSeconds=0')
    await soon(async () => assert.is((await deleteNad('used')).status, 200))
  })

  it('what a pod got otherwise than by its annotation counts, and what has ended does not', async () => {
    await created(createNad({ name: 'hot', config: MACVLAN }))
    await created(createPod({ name: 'hot' }))
    const status = JSON.stringify([{ name: 'default-net' }, { name: 'default/hot', interface: 'net1' }])
    const annotations = { 'k8s.v1.cni.cncf.io/network-status': status }
    const path = '/api/v1/namespaces/default/pods/hot'
    await api.ok('PATCH', path, { metadata: { annotations } })
    await soon(() => refused(deleteNad('hot', '?dryRun=All'), 409, 'pod default/hot'))
    await api.ok('PATCH', `${path}/status`, { status: { phase: 'Succeeded' } })
    await soon(async () => assert.is((await deleteNad('hot')).status, 200))
  })

  it('a pod asks for the devices of its networks, and gets those of its namespace', async () => {
    const { spec: of } = await created(createPod({ name: 'f', networks: 'device,device' }))
    const quantities = { 'example.com/vf': '2' }
    assert.equal(of.containers[0].resources, { limits: quantities, requests: quantities })
    assert.is(of.containers[0].volumeMounts[0].mountPath, '/etc/podnetinfo')
    assert.is(of.volumes[0].downwardAPI.items.length, 2)
    const given = await created(createPod({ name: 'g', namespace: 'defaulted' }))
    assert.is(given.metadata.annotations[NETWORKS], 'default/device@data0')
    assert.is(given.spec.containers[0].resources.limits['example.com/vf'], '1')
    const out = await created(createPod({ name: 'h', namespace: 'defaulted', networks: '[]' }))
    assert.is(out.metadata.annotations[NETWORKS], '[]')
    assert.is(out.spec.containers[0].resources.limits, undefined)
  })

  it('no request lists anything, and none reads what is followed', async () => {
    await created(createPod({ name: 'known', networks: 'n6,device', namespace: 'default' }))
    const before = proxy.requests.length
    for (let round = 0; round < 5; round++) {
      await created(createPod({ name: `quiet-${round}`, networks: 'n6,device' }))
      await refused(createPod({ name: 'loud', networks: 'infra/core' }), 422)
      await refused(createNad({ name: 'loud', config: '{' }), 422)
    }
    const asked = proxy.requests.slice(before).filter(({ isWatch }) => !isWatch)
    assert.equal(asked, [])
  })

  it('measures its answers', async () => {
    const { status, body } = await webhook.ask('GET', '/metrics', certificate)
    assert.is(status, 200)
    for (const [hook, outcome] of [
      ['validate', 'allowed'],
      ['validate', 'refused'],
      ['mutate', 'allowed'],
    ])
      assert.match(
        body,
        new RegExp(`plexus_webhook_reviews_total\\{webhook="${hook}",outcome="${outcome}"\\} [1-9]`),
      )
    assert.match(body, /plexus_webhook_review_duration_seconds_bucket\{le="\+Inf",webhook="validate"\} [1-9]/)
  })

  it('goes on with what it knows while it cannot follow, and is not ready before it knows anything', async () => {
    proxy.fault = () => 'reset'
    proxy.reset()
    await soon(async () => {
      assert.match((await webhook.ask('GET', '/readyz', certificate)).body, /^ready; ./)
    })
    await refused(createNad({ name: 'bad', config: '{' }), 422)
    await created(createPod({ name: 'unseen', networks: 'n6,device' }))
    const blind = await startWebhook(certificate.folder, '--kubeconfig', kubeconfig)
    assert.is((await blind.ask('GET', '/healthz', certificate)).status, 200)
    assert.is((await blind.ask('GET', '/readyz', certificate)).status, 503)
    const request = { uid: 'u1', operation: 'CREATE', namespace: 'default', object: pod({ name: 'x' }) }
    const body = JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request })
    for (const path of ['/validate', '/mutate']) {
      const { ca } = certificate
      assert.is((await blind.ask('POST', path, { ca, body })).status, 500)
      assert.is((await blind.ask('POST', path, { ca, body: '{}' })).status, 400)
    }
    proxy.fault = () => undefined
    await soon(async () => assert.is((await blind.ask('GET', '/readyz', certificate)).status, 200))
    const answer = JSON.parse((await blind.ask('POST', '/validate', { ca: certificate.ca, body })).body)
    assert.equal(answer.response, { uid: 'u1', allowed: true })
    blind.kill('SIGKILL')
    await blind.ended
    await soon(async () => {
      assert.is((await webhook.ask('GET', '/readyz', certificate)).body.trim(), 'ready')
    })
  })

  it('a new certificate is taken over without a restart, a bad one is not', async () => {
    const before = certificate
    writeFileSync(join(before.folder, 'tls.crt'), 'no certificate')
    await soon(() => assert.ok(webhook.lines().some((line) => line.includes('the old one stays in force'))))
    const { body } = await webhook.ask('GET', '/readyz', before)
    assert.match(body, 'ready; the serving certificate is unusable')
    await refused(createNad({ name: 'bad', config: '{' }), 422)
    certificate = webhookCertificate(before.folder)
    await soon(async () => {
      assert.is((await webhook.ask('GET', '/readyz', certificate)).body.trim(), 'ready')
    })
    await configure()
    await soon(() => refused(createNad({ name: 'bad', config: '{' }, '?dryRun=All'), 422, '[config-syntax]'))
  })

  it('while it is down pods are made, NADs and strict namespaces wait; then all is as before', async () => {
    webhook.kill('SIGKILL')
    await webhook.ended
    await created(createPod({ name: 'plain' }))
    await created(createPod({ name: 'annotated', networks: 'no-such-network' }))
    await refused(createPod({ name: 'plain', namespace: 'strict' }), 500, 'required.pods.plexus-cni.io')
    await refused(createNad({ name: 'later', config: MACVLAN }), 500, 'networks.plexus-cni.io')
    await start()
    await created(createNad({ name: 'later', config: MACVLAN }))
    await created(createPod({ name: 'plain', namespace: 'strict' }))
    await refused(createPod({ name: 'annotated-2', networks: 'no-such-network' }), 422, '[network-not-found]')
  })

  it('leaves in order: it says so first, answers who has not heard it, and ends', async () => {
    const stopped = webhook.stop()
    await soon(async () => assert.is((await webhook.ask('GET', '/readyz', certificate)).status, 503))
    await refused(createNad({ name: 'bad', config: '{' }), 422)
    assert.is(await stopped, 0)
  })
})

async function apply(api: KubeApiserver, object: DeployedObject): Promise<void> {
  const { apiVersion, kind, metadata } = object
  // Of 1.21; the API server of the tests is older.
  if (kind === 'PodDisruptionBudget') return
  const group = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`
  const place = metadata.namespace === undefined ? '' : `/namespaces/${metadata.namespace}`
  const path = `${group}${place}/${kind.toLowerCase()}s/${metadata.name}?fieldManager=test`
  await api.ok('PATCH', path, object, { contentType: 'application/apply-patch+yaml' })
}
