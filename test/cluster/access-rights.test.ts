import { readFileSync, writeFileSync } from 'node:fs'
import { Agent, request } from 'node:https'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { assertAdded, assertDone, assertRefused } from '../plugin/stub-node.ts'
import { eventually, installDaemon, type TestDaemon } from '../rig/daemon.ts'
import { asOfTestServer, type DeployedObject, deployedObject, deployedObjects } from '../rig/deployment.ts'
import { type KubeApiserver, startKubeApiserver } from '../rig/kube-apiserver.ts'
import { writeKubeconfig } from '../rig/kubeconfig.ts'
import { nad, pod as podManifest } from '../rig/manifests.ts'
import { tempDir } from '../rig/temp-dir.ts'
import { type TestNode, testNode } from '../rig/test-node.ts'
import { spec } from '../spec.ts'

const ACCOUNTS = '/api/v1/namespaces/kube-system/serviceaccounts'
const ROLE = '/apis/rbac.authorization.k8s.io/v1/clusterroles/plexus'
const NADS = 'network-attachment-definitions'
const NODE = 'worker-1'
const STATUS = 'k8s.v1.cni.cncf.io/network-status'
/** Verbs that requests have, and those that only rights have. */
const VERBS = [
  ...['get', 'list', 'watch', 'create', 'update', 'patch', 'delete', 'deletecollection'],
  ...['impersonate', 'bind', 'escalate', 'approve', 'sign', 'use'],
]
/** What nobody finds by discovery: kinds of subjects, and names that roles alone know. */
const UNLISTED: readonly (readonly [group: string, resource: string])[] = [
  ['', 'users'],
  ['', 'groups'],
  ['authentication.k8s.io', 'userextras/scopes'],
  ['policy', 'podsecuritypolicies'],
  ['certificates.k8s.io', 'signers'],
]

interface Rule {
  readonly apiGroups: readonly string[]
  readonly resources: readonly string[]
  readonly verbs: readonly string[]
}

/** What may be asked for: a verb, a resource with its sub-resource, its group. */
interface Right {
  readonly verb: string
  readonly group: string
  readonly resource: string
}

spec('the access rights in deploy/', (it) => {
  let api: KubeApiserver
  let node: TestNode
  let token = ''
  let kubeconfig = ''

  const tokenOf = async (account: string): Promise<string> =>
    (await api.ok('POST', `${ACCOUNTS}/${account}/token`, { spec: {} })).status.token
  const apply = async (object: DeployedObject, query = ''): Promise<DeployedObject> =>
    await api.ok(
      'PATCH',
      `${await pathOf(api, object)}?fieldManager=test&fieldValidation=Strict${query}`,
      object,
      { contentType: 'application/apply-patch+yaml' },
    )

  it.before(async () => {
    api = await startKubeApiserver()
    node = await testNode('rights')
    await eventually(async () => void (await api.ok('GET', '/api/v1/namespaces/kube-system')), 20_000)
  })
  it.after(() => api.close())

  it('the API server takes every manifest, on trial first, and a second time without a change', async () => {
    const objects = deployedObjects().map(asOfTestServer)
    assert.is(objects.length > 0, true)
    for (const object of objects) await apply(object, '&force=true&dryRun=All')
    assert.is((await api.call('GET', `${ACCOUNTS}/plexus`)).status, 404)
    for (const object of objects) await apply(object, '&force=true')
    for (const object of objects) {
      const path = await pathOf(api, object)
      const { resourceVersion } = (await api.ok('GET', path)).metadata
      await apply(object)
      assert.is((await api.ok('GET', path)).metadata.resourceVersion, resourceVersion, path)
    }
    token = await tokenOf('plexus')
    const tokenFile = join(tempDir('token'), 'token')
    writeFileSync(tokenFile, token, { mode: 0o600 })
    kubeconfig = writeKubeconfig({ server: api.server, ca: api.authority.ca, tokenFile })
    await eventually(async () => void (await api.ok('GET', '/api/v1/pods', undefined, { token })))
  })

  it('are exactly those of the role beyond what every service account has', async () => {
    await api.ok('POST', ACCOUNTS, { metadata: { name: 'nobody' } })
    const nobody = await tokenOf('nobody')
    for (const namespace of ['default', 'kube-system']) {
      const rules = await rulesOf(api, token, namespace)
      const everybodys = await rulesOf(api, nobody, namespace)
      assert.equal(
        rules.filter((rule) => !everybodys.includes(rule)).sort(),
        deployedObject('ClusterRole').rules.map(toText).sort(),
      )
      assert.equal(
        everybodys.filter((rule) => !rules.includes(rule)),
        [],
      )
    }
  })

  it('allow no other verb on any resource that the API server has', async () => {
    const nobody = await tokenOf('nobody')
    const rights = await allRights(api)
    const has = (verb: string, resource: string, group = ''): boolean =>
      rights.some((right) => right.verb === verb && right.resource === resource && right.group === group)
    // What is refused must have been asked for.
    for (const resource of [
      'secrets',
      'nodes',
      'pods/exec',
      'pods/log',
      'configmaps',
      'serviceaccounts/token',
    ])
      assert.ok(has('create', resource), resource)
    assert.ok(has('delete', NADS, 'k8s.cni.cncf.io'))
    assert.ok(rights.length > 1000)
    const granted = await allowedOf(api, token, rights)
    const everybodys = await allowedOf(api, nobody, rights)
    assert.equal(
      granted.filter((right) => !everybodys.includes(right)).sort(),
      [
        ...['get', 'list', 'watch'].map((verb) => `${verb} pods`),
        ...['get', 'list', 'watch'].map((verb) => `${verb} ${NADS}.k8s.cni.cncf.io`),
        ...['get', 'list', 'watch'].map((verb) => `${verb} namespaces`),
        ...['create events', 'patch pods/status', 'patch nodes/status'],
      ].sort(),
    )
    assert.equal(
      everybodys.filter((right) => !/ self\w+\.authorization\.k8s\.io$/.test(right)),
      [],
    )
  })

  it('do not let the token do what would be worth having', async () => {
    const path = '/api/v1/namespaces/default/pods'
    await api.ok('POST', path, podManifest({ name: 'victim', uid: null }))
    const refused: readonly (readonly [method: string, path: string, body?: object])[] = [
      ['GET', '/api/v1/namespaces/kube-system/secrets'],
      ['GET', '/api/v1/nodes'],
      ['POST', '/api/v1/namespaces', { metadata: { name: 'mine' } }],
      ['PATCH', '/api/v1/namespaces/default', { metadata: { labels: { team: 'core' } } }],
      ['GET', '/api/v1/namespaces/kube-system/configmaps/plexus'],
      ['GET', '/api/v1/namespaces/default/events'],
      ['GET', `${path}/victim/log`],
      ['POST', `${path}/victim/exec?command=sh`],
      ['POST', `${path}/victim/attach`],
      ['POST', `${path}/victim/portforward`],
      ['POST', path, podManifest({ name: 'intruder', uid: null })],
      ['PATCH', `${path}/victim`, { metadata: { annotations: { a: 'b' } } }],
      ['PUT', `${path}/victim/status`, podManifest({ name: 'victim', uid: null })],
      ['DELETE', `${path}/victim`],
      ['DELETE', path],
      ['POST', `/apis/k8s.cni.cncf.io/v1/namespaces/default/${NADS}`, nad({ name: 'mine' })],
      ['POST', `${ACCOUNTS}/plexus/token`, { spec: {} }],
      ['PATCH', ROLE, { rules: [] }],
    ]
    for (const [method, where, body] of refused) {
      const { status } = await api.call(method, where, body, { token })
      assert.is(status, 403, `${method} ${where}`)
    }
  })

  it('let a status patch change neither node nor containers, but annotations and labels', async () => {
    const path = '/api/v1/namespaces/default/pods/victim'
    const before = await api.ok('GET', path)
    const metadata = { annotations: { [STATUS]: '[]' }, labels: { app: 'other' } }
    const spec = { nodeName: NODE, containers: [{ name: 'main', image: 'example.com/evil' }] }
    await api.ok('PATCH', `${path}/status`, { metadata, spec }, { token })
    const after = await api.ok('GET', path)
    assert.equal(after.spec, before.spec)
    assert.equal([after.metadata.annotations[STATUS], after.metadata.labels], ['[]', { app: 'other' }])
  })

  it('let a patch of a node change its status and labels, and neither taints nor anything else', async () => {
    await api.ok('POST', '/api/v1/nodes', { metadata: { name: 'other-node' } })
    const path = '/api/v1/nodes/other-node'
    const spec = { unschedulable: true, taints: [{ key: 'mine', effect: 'NoExecute' }] }
    await api.ok('PATCH', `${path}/status`, { metadata: { labels: { a: 'b' } }, spec }, { token })
    const { metadata, spec: after } = await api.ok('GET', path)
    assert.is(metadata.labels.a, 'b')
    assert.not.ok(after.unschedulable)
    assert.not.match(JSON.stringify(after), 'mine')
    for (const [method, where] of [
      ['GET', path],
      ['PATCH', path],
      ['DELETE', path],
    ] as const)
      assert.is((await api.call(method, where, {}, { token })).status, 403, method)
  })

  it('are enough for events', async () => {
    const events = '/api/v1/namespaces/default/events'
    const involvedObject = { kind: 'Pod', namespace: 'default', name: 'victim' }
    const event = { metadata: { name: 'victim.1' }, involvedObject, reason: 'Test', type: 'Normal' }
    await api.ok('POST', events, event, { token })
    assert.is((await api.call('PATCH', `${events}/victim.1`, { count: 2 }, { token })).status, 403)
  })

  const inCluster = async (name: string, networks: string): Promise<string> => {
    const manifest = podManifest({ name, uid: null, networks })
    const scheduled = { ...manifest, spec: { ...(manifest.spec as object), nodeName: NODE } }
    return (await api.ok('POST', '/api/v1/namespaces/default/pods', scheduled)).metadata.uid
  }
  const conf = (): object => {
    const { manifests: _, ...rest } = node.conf() as Record<string, unknown>
    return rest
  }
  const installed = () => installDaemon(node, { conf: { kubeconfig } })
  const started = (): Promise<TestDaemon> => installed().start({ wrap: ['env', `NODE_NAME=${NODE}`] })

  it('are enough for the daemon: it follows pods and networks, attaches, publishes', async () => {
    const config = node.bridge(81)
    await api.ok('POST', `/apis/k8s.cni.cncf.io/v1/namespaces/default/${NADS}`, nad({ name: 'n6', config }))
    const { shim: executable, start } = installed()
    const daemon = await start({ wrap: ['env', `NODE_NAME=${NODE}`] })
    const uid = await inCluster('upf', 'n6')
    const pod = await node.pod({ name: 'upf', uid, networks: 'n6' })
    assertAdded(await pod.run('ADD', { executable, conf: conf() }))
    await eventually(async () => {
      const { annotations } = (await api.ok('GET', '/api/v1/namespaces/default/pods/upf')).metadata
      assert.equal(
        JSON.parse(annotations[STATUS]).map((entry: { name: string }) => entry.name),
        ['default-net', 'default/n6'],
      )
    })
    await eventually(async () => assert.equal((await daemon.get('/readyz')).body.trim(), 'ready'))
    assertDone(await pod.run('DEL', { executable, conf: conf() }))
    assert.equal(
      daemon.lines().filter((line) => line.includes('forbidden')),
      [],
    )
    assert.is(await daemon.stop(), 0)
  })

  /** Takes verbs on a resource out of the role, until the end of the test. */
  const without = async (resource: string, ...verbs: readonly string[]): Promise<void> => {
    const { rules }: { readonly rules: readonly Rule[] } = await api.ok('GET', ROLE)
    const fewer = rules.map((rule) =>
      rule.resources.includes(resource)
        ? { ...rule, verbs: rule.verbs.filter((verb) => !verbs.includes(verb)) }
        : rule,
    )
    await api.ok('PATCH', ROLE, { rules: fewer.filter((rule) => rule.verbs.length > 0) })
    const group = resource === NADS ? 'k8s.cni.cncf.io' : ''
    const rights = verbs.map((verb) => ({ verb, group, resource }))
    await eventually(async () => assert.equal(await allowedOf(api, token, rights), []))
  }
  it.after.each(async () => {
    if ((await api.call('GET', ROLE)).status === 200)
      await api.ok('PATCH', ROLE, { rules: deployedObject('ClusterRole').rules })
  })

  for (const resource of ['pods', NADS]) {
    for (const verb of ['list', 'watch']) {
      it(`without the right to ${verb} ${resource} log and /readyz name both`, async () => {
        await without(resource, verb)
        const daemon = await started()
        const account = 'system:serviceaccount:kube-system:plexus'
        const named = new RegExp(
          `403: cannot ${verb} resource "${resource}" .* as user "${account}".*; grant .* list and watch on ${resource}`,
        )
        await eventually(async () => {
          const { status, body } = await daemon.get('/readyz')
          assert.is(status, 200)
          assert.match(body, named)
          assert.ok(daemon.log().some(({ msg }) => named.test(String(msg))))
        })
        assert.is(await daemon.stop(), 0)
      })
    }
  }

  it('without the right to watch networks no pod gets an old one, nor when it is given back', async () => {
    const nads = `/apis/k8s.cni.cncf.io/v1/namespaces/default/${NADS}`
    const change = async (network: number): Promise<void> => {
      const config = JSON.stringify(node.bridge(network))
      await api.ok('PATCH', `${nads}/changing`, { spec: { config } })
    }
    await api.ok('POST', nads, nad({ name: 'changing', config: node.bridge(100) }))
    await without(NADS, 'watch')
    const { shim: executable, start } = installed()
    const daemon = await start({ wrap: ['env', `NODE_NAME=${NODE}`] })
    await eventually(async () => assert.match((await daemon.get('/readyz')).body, /403: cannot watch/))
    const attach = async (network: number): Promise<void> => {
      const name = `changing-${network}`
      const pod = await node.pod({ name, uid: await inCluster(name, 'changing'), networks: 'changing' })
      const run = await pod.run('ADD', { executable, conf: conf() })
      assertAdded(run)
      assert.match(JSON.stringify(run.json?.ips), `"10.${network}.0.`)
      assertDone(await pod.run('DEL', { executable, conf: conf() }))
    }
    for (const network of [101, 102]) {
      await change(network)
      await attach(network)
    }
    await change(103)
    await api.ok('PATCH', ROLE, { rules: deployedObject('ClusterRole').rules })
    // The next try comes within 10 s.
    await eventually(async () => assert.is((await daemon.get('/readyz')).body.trim(), 'ready'), 20_000)
    await attach(103)
    assert.is(await daemon.stop(), 0)
  })

  it('without the right to get pods or networks the pod that needs it is told which right is missing', async () => {
    const { shim: executable, start } = installed()
    const missing = [
      ['pods', 'get on pods'],
      [NADS, `get on ${NADS}`],
    ] as const
    for (const [resource, right] of missing) {
      // The daemon follows neither, so it has to ask.
      for (const followed of ['pods', NADS]) await without(followed, 'list', 'watch')
      await without(resource, 'get')
      const daemon = await start({ wrap: ['env', `NODE_NAME=${NODE}`] })
      const uid = await inCluster(`asks-${resource}`, 'n6')
      const pod = await node.pod({ name: `asks-${resource}`, uid, networks: 'n6' })
      const run = await pod.run('ADD', { executable, conf: conf() })
      assertRefused(run, 11, `cannot get resource "${resource}"`)
      assert.ok(run.stdout.includes(right), run.stdout)
      assert.is(await daemon.stop(), 0)
      await api.ok('PATCH', ROLE, { rules: deployedObject('ClusterRole').rules })
    }
  })

  it('without the right to get namespaces a NAD that is only for some of them is for none', async () => {
    await without('namespaces', 'get', 'list', 'watch')
    const selector = { 'plexus-cni.io/allowed-namespaces': 'team=core' }
    const config = node.bridge(82)
    const restricted = nad({ name: 'core', namespace: 'kube-system', config, annotations: selector })
    await api.ok('POST', `/apis/k8s.cni.cncf.io/v1/namespaces/kube-system/${NADS}`, restricted)
    const { shim: executable, start } = installed()
    const daemon = await start({ wrap: ['env', `NODE_NAME=${NODE}`] })
    const uid = await inCluster('foreign', 'kube-system/core')
    const pod = await node.pod({ name: 'foreign', uid, networks: 'kube-system/core' })
    const run = await pod.run('ADD', { executable, conf: conf() })
    assertRefused(run, 11, 'cannot get resource "namespaces"')
    assert.ok(run.stdout.includes('get on namespaces'), run.stdout)
    assert.is(await daemon.stop(), 0)
  })

  it('without the right to patch pods/status the pod gets its networks and the log names the right', async () => {
    await without('pods/status', 'patch')
    const { shim: executable, start } = installed()
    const daemon = await start({ wrap: ['env', `NODE_NAME=${NODE}`] })
    const uid = await inCluster('silent', 'n6')
    const pod = await node.pod({ name: 'silent', uid, networks: 'n6' })
    assertAdded(await pod.run('ADD', { executable, conf: conf() }))
    await eventually(() => {
      const named = /cannot patch resource .{0,4}pods\/status/
      assert.ok(
        daemon.lines().some((line) => named.test(line)),
        daemon.lines().join('\n'),
      )
    })
    assertDone(await pod.run('DEL', { executable, conf: conf() }))
    assert.is(await daemon.stop(), 0)
  })
})

function toText({ apiGroups, resources, verbs }: Rule): string {
  return `${verbs} ${resources} of ${apiGroups.map((group) => group || 'core')}`
}

/** The rules that hold for a token in a namespace, one text each. */
async function rulesOf(api: KubeApiserver, token: string, namespace: string): Promise<string[]> {
  const review = { spec: { namespace } }
  const path = '/apis/authorization.k8s.io/v1/selfsubjectrulesreviews'
  const { status } = await api.ok('POST', path, review, { token })
  assert.is(status.incomplete, false)
  return [
    ...status.resourceRules.map(toText),
    ...status.nonResourceRules.map(
      (rule: { verbs: string[]; nonResourceURLs: string[] }) => `${rule.verbs} ${rule.nonResourceURLs}`,
    ),
  ]
}

/** Every verb on every resource of every group that the API server has. */
async function allRights(api: KubeApiserver): Promise<Right[]> {
  const groups: readonly { readonly name: string; readonly preferredVersion: { groupVersion: string } }[] = (
    await api.ok('GET', '/apis')
  ).groups
  const places = [
    { group: '', path: '/api/v1' },
    ...groups.map(({ name, preferredVersion }) => ({
      group: name,
      path: `/apis/${preferredVersion.groupVersion}`,
    })),
  ]
  const found: (readonly [group: string, resource: string])[] = [...UNLISTED]
  for (const { group, path } of places) {
    for (const { name } of (await api.ok('GET', path)).resources) found.push([group, name])
  }
  return found.flatMap(([group, resource]) => VERBS.map((verb) => ({ verb, group, resource })))
}

/** Those of the rights that a token has in namespace `default`, as the API server says. */
async function allowedOf(api: KubeApiserver, token: string, rights: readonly Right[]): Promise<string[]> {
  // Thousands of questions: on connections that stay.
  const agent = new Agent({ ca: readFileSync(api.authority.ca), keepAlive: true, maxSockets: 8 })
  const isAllowed = ({ verb, group, resource: whole }: Right): Promise<boolean> =>
    new Promise((resolve, reject) => {
      const [resource, subresource] = whole.split('/')
      // What holds in the whole cluster holds here too.
      const resourceAttributes = { namespace: 'default', verb, group, resource, subresource }
      const outgoing = request(
        `${api.server}/apis/authorization.k8s.io/v1/selfsubjectaccessreviews`,
        {
          method: 'POST',
          agent,
          headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
          timeout: 60_000,
        },
        async (response) => {
          try {
            const body = JSON.parse(Buffer.concat(await response.toArray()).toString())
            if (response.statusCode !== 201) throw new Error(`${response.statusCode}: ${body.message}`)
            resolve(body.status.allowed)
          } catch (error) {
            reject(error)
          }
        },
      )
      outgoing.once('timeout', () => outgoing.destroy(new Error('no answer')))
      outgoing.once('error', reject)
      outgoing.end(JSON.stringify({ spec: { resourceAttributes } }))
    })
  const allowed: string[] = []
  try {
    await Promise.all(
      rights.map(async (right) => {
        const { verb, group, resource } = right
        if (await isAllowed(right)) allowed.push(`${verb} ${resource}${group === '' ? '' : `.${group}`}`)
      }),
    )
  } finally {
    agent.destroy()
  }
  return allowed
}

/** Where an object is at the API server. */
async function pathOf(api: KubeApiserver, { apiVersion, kind, metadata }: DeployedObject): Promise<string> {
  const root = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`
  const { resources } = await api.ok('GET', root)
  const found = resources.find(
    (resource: { name: string; kind: string }) => resource.kind === kind && !resource.name.includes('/'),
  )
  const namespace = metadata.namespace === undefined ? '' : `/namespaces/${metadata.namespace}`
  return `${root}${namespace}/${found.name}/${metadata.name}`
}
