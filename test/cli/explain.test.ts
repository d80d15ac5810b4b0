import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { isJsonObject, type JsonObject } from '../../src/cni/json.ts'
import { nad, pod, writeManifests } from '../rig/manifests.ts'
import { runCli } from '../rig/plexus.ts'
import { tempDir } from '../rig/temp-dir.ts'
import { spec } from '../spec.ts'

const explain = (...args: string[]) => runCli(['explain', ...args])
const dir = tempDir('explain')
let count = 0
/** A new folder of manifests. */
const folder = (...objects: Parameters<typeof writeManifests>[1][]): string => {
  const path = join(dir, `manifests-${count++}`)
  mkdirSync(path)
  writeManifests(path, ...objects)
  return path
}
/** A new file with JSON in it. */
const file = (name: string, content: object | string): string => {
  const path = join(dir, `${count++}-${name}`)
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content))
  return path
}
const objects = (value: unknown): JsonObject[] => {
  assert.ok(Array.isArray(value))
  return value.filter(isJsonObject)
}
const pods = (json: JsonObject | undefined): JsonObject[] => objects(json?.pods)
const firstPod = (json: JsonObject | undefined): JsonObject => {
  const [first] = pods(json)
  assert.ok(first)
  return first
}
const messages = (explained: JsonObject): unknown[] => objects(explained.faults).map(({ message }) => message)

const data = nad({
  name: 'data',
  config: { cniVersion: '1.0.0', name: 'data', type: 'macvlan', master: 'eth1' },
})
const tuned = nad({
  name: 'tuned',
  namespace: 'infra',
  config: {
    cniVersion: '0.4.0',
    name: 'tuned-net',
    plugins: [
      { type: 'bridge', bridge: 'br7', ipam: { type: 'host-local', subnet: '10.7.0.0/24' } },
      { type: 'tuning', capabilities: { mac: true } },
    ],
  },
})
const conf = (overrides: object = {}): string =>
  file('net-conf.json', {
    cniVersion: '1.0.0',
    name: 'plexus-net',
    type: 'plexus',
    delegates: [{ cniVersion: '1.0.0', name: 'cluster', type: 'bridge', bridge: 'cni0' }],
    ...overrides,
  })
const upf = pod({
  name: 'upf-0',
  networks: [
    { name: 'data' },
    {
      name: 'tuned',
      namespace: 'infra',
      interface: 'fast0',
      mac: '02:00:00:00:00:07',
      'default-route': ['10.7.0.1'],
      'cni-args': { vlan: 5 },
    },
  ],
})

spec('plexus explain', (it) => {
  it('looks at whom a NAD is for, by the labels of the namespaces in the manifests', async () => {
    const annotations = { 'plexus-cni.io/allowed-namespaces': 'team=core' }
    const core = nad({ name: 'core', namespace: 'infra', config: { type: 'bridge' }, annotations })
    const labelled = (labels: object): string =>
      file('namespace.json', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'default', labels } })
    const asking = folder(core, pod({ name: 'asking', networks: 'infra/core' }))
    const faultsWith = async (...more: string[]): Promise<unknown[]> =>
      objects(firstPod((await explain(asking, ...more, '--conf', conf(), '-o', 'json')).json).faults)
    assert.equal(
      [
        (await faultsWith()).map((fault) => isJsonObject(fault) && fault.code),
        (await faultsWith(labelled({ team: 'web' }))).map((fault) => isJsonObject(fault) && fault.code),
        await faultsWith(labelled({ team: 'core' })),
      ],
      [[11], [104], []],
    )
  })

  it('prints every interface with its origin, its reasons, what the plugins get and the default route', async () => {
    const { stdout, stderr, status } = await explain(folder(upf, data, tuned), '--conf', conf())
    assert.is(stderr, '')
    assert.is(
      stdout,
      `Pod default/upf-0: 3 interfaces

  INTERFACE  NETWORK    SOURCE                        PLUGINS        VERSION
  eth0       cluster    delegates[0] of the net-conf  bridge         1.0.0
  net1       data       NAD default/data              macvlan        1.0.0
  fast0      tuned-net  NAD infra/tuned               bridge,tuning  0.4.0

  eth0
    - delegates[0] of the net-conf is the default network
    - its configuration is delegates[0] of the net-conf
    - interface eth0 is the one the runtime asked for
  net1
    - item 1 of the pod's annotation k8s.v1.cni.cncf.io/networks
    - its configuration is NAD default/data
    - interface net1: "net" and its place 1 in the pod
  fast0
    - item 2 of the pod's annotation k8s.v1.cni.cncf.io/networks
    - its configuration is NAD infra/tuned
    - interface fast0 is asked for by the annotation
    - plugin "tuning" declares and gets runtimeConfig mac
    - the annotation makes it the owner of the default route through 10.7.0.1
    plugin "bridge" gets args.cni {"vlan":5}
    plugin "tuning" gets runtimeConfig {"mac":"02:00:00:00:00:07"}
    plugin "tuning" gets args.cni {"vlan":5}

  CNI_ARGS of every plugin: IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=upf-0;K8S_POD_INFRA_CONTAINER_ID=CONTAINER-ID;K8S_POD_UID=uid-upf-0
  Default route, IPv4: fast0 through 10.7.0.1; the pod asks for that
  Default route, IPv6: eth0, if its network makes one

  Nothing is wrong with it.

Note: whether the plugins are installed was not looked at (--bin-dir DIR, once for each folder)
`,
    )
    assert.is(status, 0)
  })

  it('the JSON document is stable and has the stdin of each plugin', async () => {
    const confFile = conf()
    const { json, status } = await explain(folder(upf, data, tuned), '--conf', confFile, '-o', 'json')
    assert.is(status, 0)
    assert.equal(Object.keys(json ?? {}), ['conf', 'cluster', 'isGood', 'notes', 'warnings', 'pods'])
    assert.is(json?.conf, confFile)
    assert.is(json?.isGood, true)
    const explained = firstPod(json)
    assert.equal(Object.keys(explained), ['pod', 'uid', 'attachments', 'defaultRoute', 'warnings', 'faults'])
    assert.equal(explained.defaultRoute, {
      ipv4: { ifName: 'fast0', gateways: ['10.7.0.1'], isRequested: true },
      ipv6: { ifName: 'eth0', gateways: [], isRequested: false },
    })
    const [, , fast] = objects(explained.attachments)
    const [, tuning] = objects(fast?.plugins)
    assert.equal(tuning, {
      type: 'tuning',
      runtimeConfig: { mac: '02:00:00:00:00:07' },
      cniArgs: { vlan: 5 },
      extra: {},
      stdin: {
        type: 'tuning',
        capabilities: { mac: true },
        name: 'tuned-net',
        cniVersion: '0.4.0',
        args: { cni: { vlan: 5 } },
        runtimeConfig: { mac: '02:00:00:00:00:07' },
      },
    })
  })

  it('without a net-conf the default network is left open, and that is said', async () => {
    const { stdout, json, status } = await explain(folder(upf, data, tuned), '-o', 'json')
    assert.is(status, 0, stdout)
    assert.equal(
      objects(firstPod(json).attachments).map(({ ifName, isKnown, source }) => [ifName, isKnown, source]),
      [
        ['eth0', false, 'the default network of the node'],
        ['net1', true, 'NAD default/data'],
        ['fast0', true, 'NAD infra/tuned'],
      ],
    )
    assert.equal(firstPod(json).defaultRoute, {
      ipv4: { ifName: 'fast0', gateways: ['10.7.0.1'], isRequested: true },
      ipv6: { ifName: 'eth0', gateways: [], isRequested: false },
    })
    assert.match(String(json?.notes), 'no net-conf was given')
  })

  it("without a net-conf the pod's own default network is planned all the same", async () => {
    const own = nad({ name: 'own', namespace: 'kube-system', config: { cniVersion: '1.0.0', type: 'ptp' } })
    const { json } = await explain(folder(pod({ defaultNetwork: 'own' }), own), '-o', 'json')
    assert.equal(
      objects(firstPod(json).attachments).map(({ ifName, isKnown, source }) => [ifName, isKnown, source]),
      [['eth0', true, 'NAD kube-system/own']],
    )
  })

  it('everything that is wrong is told at once, each with what to do, and ends in 1', async () => {
    const broken = nad({ name: 'broken', config: '{"cniVersion": "1.0.0", "type": ' })
    const slashed = nad({ name: 'slashed', config: { cniVersion: '1.0.0', type: '../sh' } })
    const wrong = pod({ networks: 'data, absent, broken, slashed, data@eth0' })
    const { stdout, json, status } = await explain(folder(wrong, data, broken, slashed), '-o', 'json')
    assert.is(status, 1)
    assert.is(json?.isGood, false)
    const all = messages(firstPod(json)).map(String)
    assert.is(all.length, 4, stdout)
    assert.match(
      all.join('\n'),
      'cannot find a network-attachment-definition (absent) in namespace (default)',
    )
    assert.match(all.join('\n'), 'spec.config of NAD default/broken is not JSON')
    assert.match(all.join('\n'), 'spec.config of NAD default/slashed')
    assert.match(all.join('\n'), 'interface name eth0 is asked for twice')
  })

  it('a pod without a plan does not hide the others', async () => {
    const path = folder(
      pod({ name: 'bad', networks: 'data@a-name-that-is-far-too-long, UPPER' }),
      pod({ name: 'good', networks: 'data' }),
      data,
    )
    const { stdout, status } = await explain(path)
    assert.is(status, 1)
    assert.match(stdout, 'Pod default/bad: no plan\n\n  Wrong: 2 faults, so no plugin would run\n')
    assert.match(stdout, 'What to do: correct the annotation.')
    assert.match(stdout, 'Pod default/good: 2 interfaces\n')
    assert.match(stdout, 'Nothing is wrong with it.')
  })

  it('plugins are looked for in --bin-dir only, IPAM included', async () => {
    const binDir = folder()
    for (const name of ['bridge', 'macvlan']) writeFileSync(join(binDir, name), '')
    const other = folder()
    writeFileSync(join(other, 'tuning'), '')
    const args = [folder(upf, data, tuned), '--bin-dir', binDir, '--bin-dir', other]
    const { json, status } = await explain(...args, '-o', 'json')
    assert.is(status, 1)
    assert.equal(messages(firstPod(json)), [
      `network "tuned-net" (NAD infra/tuned): failed to find plugin "host-local" in path [${binDir} ${other}]`,
    ])
    writeFileSync(join(other, 'host-local'), '')
    assert.is((await explain(...args)).status, 0)
  })

  it('a meta-plugin in a network is a fault, whether installed or not', async () => {
    const loop = nad({ name: 'loop', config: { cniVersion: '1.0.0', type: 'plexus' } })
    const { json, status } = await explain(folder(pod({ networks: 'loop' }), loop), '-o', 'json')
    assert.is(status, 1)
    assert.match(String(messages(firstPod(json))), 'plugin "plexus" is a meta-plugin')
  })

  it('the net-conf may be a member of a conflist, and its rules hold', async () => {
    const list = file('00-plexus.conflist', {
      cniVersion: '1.0.0',
      name: 'k8s',
      plugins: [
        {
          type: 'plexus',
          namespaceIsolation: true,
          binDri: '/x',
          delegates: [{ cniVersion: '1.0.0', name: 'cluster', type: 'ptp' }],
        },
      ],
    })
    const { json, status } = await explain(folder(upf, data, tuned), '--conf', list, '-o', 'json')
    assert.is(status, 1)
    assert.match(String(messages(firstPod(json))), 'namespace isolation enabled')
    assert.match(String(json?.warnings), 'unknown key "binDri"; did you mean "binDir"?')
    const without = file('10-other.conflist', { name: 'x', plugins: [{ type: 'bridge' }] })
    const failed = await explain(folder(upf), '--conf', without)
    assert.is(failed.status, 1)
    assert.match(failed.stderr, 'the conflist has no plugin of type "plexus", only bridge')
  })

  for (const [title, path, message] of [
    ['is not there', join(dir, 'nowhere.json'), 'ENOENT'],
    ['is no JSON', file('bad.json', '{'), 'is not JSON'],
    ['is no object', file('list.json', '[]'), 'is no JSON object'],
    [
      'has wrong values',
      file('wrong.json', { type: 'plexus', delAttempts: 'x' }),
      '/delAttempts must be integer',
    ],
  ] as const) {
    it(`a net-conf that ${title} is named`, async () => {
      const { status, stdout, stderr } = await explain(folder(upf, data, tuned), '--conf', path)
      assert.is(status, 1)
      assert.is(stdout, '')
      assert.match(stderr, message)
      assert.match(stderr, path)
    })
  }

  it('pods of the files only are explained, with networks from --manifests', async () => {
    const manifests = folder(data, tuned, pod({ name: 'other', networks: 'data' }))
    const { json, status } = await explain(file('pod.json', upf), '--manifests', manifests, '-o', 'json')
    assert.is(status, 0)
    assert.equal(
      pods(json).map((explained) => explained.pod),
      ['default/upf-0'],
    )
    const all = await explain('--manifests', manifests, '-o', 'json')
    assert.equal(
      pods(all.json).map((explained) => explained.pod),
      ['default/other'],
    )
  })

  it('a file hides an object of the same name in --manifests: a change is seen before it is applied', async () => {
    const changed = nad({ name: 'data', config: { cniVersion: '1.0.0', name: 'data', type: 'ipvlan' } })
    const manifests = folder(data, pod({ networks: 'data' }))
    const { json } = await explain(file('nad.json', changed), '--manifests', manifests, '-o', 'json')
    const [, net1] = objects(firstPod(json).attachments)
    assert.equal(
      objects(net1?.plugins).map(({ type }) => type),
      ['ipvlan'],
    )
  })

  it('the manifests of the net-conf are looked up when no others are named', async () => {
    const confFile = conf({ manifests: folder(data, tuned, upf) })
    const { json } = await explain('--conf', confFile, '-o', 'json')
    assert.equal(
      pods(json).map((explained) => explained.pod),
      ['default/upf-0'],
    )
  })

  it('--pod picks one, and a wrong name leads to the right one', async () => {
    const path = folder(data, pod({ name: 'a', networks: 'data' }), pod({ name: 'bee', networks: 'data' }))
    const { json } = await explain(path, '--pod', 'default/bee', '-o', 'json')
    assert.equal(
      pods(json).map((explained) => explained.pod),
      ['default/bee'],
    )
    const near = await explain(path, '--pod', 'default/bea')
    assert.is(near.status, 1)
    assert.match(near.stderr, 'pod default/bea is not in the manifests; did you mean default/bee?')
    assert.match((await explain(path, '--pod', 'x/other')).stderr, 'there are default/a, default/bee')
  })

  it('files without a pod are named with what is in them', async () => {
    const { status, stderr } = await explain(
      file('deployment.yaml', 'kind: Deployment\napiVersion: apps/v1\nmetadata: {name: x}\n'),
    )
    assert.is(status, 1)
    assert.match(stderr, 'deployment.yaml; found only: Deployment\n')
    assert.match(stderr, 'What to do: explain reads objects of kind Pod and NetworkAttachmentDefinition.')
  })

  it('faults of manifest files are told one by one with their places', async () => {
    const bad = file('bad.yaml', 'kind: Pod\napiVersion: v1\nmetadata: {}\n---\na: [\n')
    const { status, stdout, stderr } = await explain(bad)
    assert.is(status, 1)
    assert.is(stdout, '')
    assert.match(stderr, /^plexus explain: manifests: \d faults\n {2}- /)
    assert.match(stderr, 'bad.yaml document 1')
    assert.match(stderr, 'bad.yaml document 2')
  })

  it('no secret of a network is shown in any format', async () => {
    const secret = nad({
      name: 'secret',
      config: { cniVersion: '1.0.0', type: 'sriov', token: 'S3CRET-1', args: { password: 'S3CRET-2' } },
    })
    const asking = pod({ networks: [{ name: 'secret', 'cni-args': { apiKey: 'S3CRET-3' } }] })
    for (const format of ['table', 'json', 'yaml']) {
      const { stdout, stderr } = await explain(folder(asking, secret), '-o', format)
      assert.not.match(stdout + stderr, 'S3CRET')
      assert.match(stdout, 'sriov')
    }
  })

  it('a static pod is known to the runtime by its config hash', async () => {
    const annotations = { 'kubernetes.io/config.source': 'file', 'kubernetes.io/config.hash': 'hash-1' }
    const { json } = await explain(folder(pod({ networks: 'data', annotations }), data), '-o', 'json')
    const [, net1] = objects(firstPod(json).attachments)
    assert.match(String(net1?.args), /;K8S_POD_UID=hash-1$/)
  })

  it('a pod without files and without a cluster is a wrong call', async () => {
    const { status, stderr } = await explain('--pod', 'telco/upf-0')
    assert.is(status, 2)
    assert.match(stderr, 'no cluster to look for the pod in: name a kubeconfig by --kubeconfig')
  })

  it('nothing to read is a wrong call', async () => {
    const { status, stderr } = await explain()
    assert.is(status, 2)
    assert.match(
      stderr,
      'nothing to explain: name manifest files, a folder of them by --manifests, or a pod of the cluster by --pod',
    )
  })
})
