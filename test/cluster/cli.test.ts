import { execFile } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import * as assert from 'uvu/assert'
import { isJsonObject, type JsonObject } from '../../src/cni/json.ts'
import { recordSandbox } from '../cli/recorded-sandbox.ts'
import { writeKubeconfig } from '../rig/kubeconfig.ts'
import { nad, pod, writeManifests } from '../rig/manifests.ts'
import { PLEXUS, type PlexusRun, runCli, runPlexus } from '../rig/plexus.ts'
import { tempDir } from '../rig/temp-dir.ts'
import { spec } from '../spec.ts'
import { type ClusterScene, clusterScene } from './scene.ts'

const STATUS = 'k8s.v1.cni.cncf.io/network-status'
const macvlan = (master: string): object => ({ cniVersion: '1.0.0', type: 'macvlan', master })
const eth0 = { ifName: 'eth0', network: 'cluster', address: '10.0.0.5/24' }
const net1 = { ifName: 'net1', network: 'data', address: '192.168.1.7/24' }

const objects = (value: unknown): JsonObject[] => {
  assert.ok(Array.isArray(value))
  return value.filter(isJsonObject)
}
const object = (value: unknown): JsonObject => {
  assert.ok(isJsonObject(value))
  return value
}

spec('the command line against a cluster', (it) => {
  let scene: ClusterScene
  let kubeconfig = ''
  let count = 0

  const newDir = (): string => join(tempDir('cli'), `dir-${count++}`)
  const kubeconfigOf = (user: string, server = scene.proxy.server): string =>
    writeKubeconfig({ server, ca: scene.api.authority.ca, token: `${user}-token` })
  /** The same kubeconfig with more in it. */
  const changed = (change: (conf: JsonObject) => void): string => {
    const conf: unknown = JSON.parse(readFileSync(kubeconfig, 'utf8'))
    const path = join(tempDir('kubeconfig'), 'changed')
    change(object(conf))
    writeFileSync(path, JSON.stringify(conf), { mode: 0o600 })
    return path
  }
  const userOf = (conf: JsonObject): JsonObject => object(objects(conf.users)[0]?.user)
  const asked = (from: number): string[] =>
    scene.proxy.requests
      .slice(from)
      .map(({ method, path }) => `${method} ${path.replace(/^.*(?=\/[^/]+\/[^/]+$)/, '')}`)
  const refused = (run: PlexusRun, ...texts: readonly (string | RegExp)[]): void => {
    assert.is(run.status, 1, run.stderr)
    assert.is(run.stdout, '')
    for (const text of texts) assert.match(run.stderr, text)
    assert.not.match(run.stderr, /-token/)
  }
  const explain = (...args: string[]) => runCli(['explain', '--kubeconfig', kubeconfig, ...args])
  const nameOf = (name: string): string => `${scene.namespace}/${name}`

  it.before(async () => {
    scene = await clusterScene()
    kubeconfig = kubeconfigOf('node')
    await scene.createNad({ name: 'data', config: macvlan('eth1') })
    await scene.createNad({ name: 'broken', config: '{' })
    await scene.createPod({ name: 'upf', networks: 'data@fast0' })
  })
  it.after(() => scene.close())
  it.after.each(() => {
    scene.proxy.fault = () => undefined
  })

  it('explain: a pod of the cluster with its networks, by one read for each and without a trace', async () => {
    const stateDir = newDir()
    const conf = join(tempDir('conf'), 'node.conf')
    const delegates = [{ cniVersion: '1.0.0', name: 'cluster', type: 'loopback' }]
    writeFileSync(
      conf,
      JSON.stringify({ cniVersion: '1.0.0', name: 'p', type: 'plexus', stateDir, delegates }),
    )
    const before = scene.proxy.requests.length
    const { stdout, stderr, status } = await explain('--pod', nameOf('upf'), '--conf', conf)
    assert.is(stderr, '')
    assert.is(status, 0)
    assert.match(stdout, `Pod ${nameOf('upf')}: 2 interfaces`)
    assert.match(stdout, new RegExp(`fast0 +data +NAD ${nameOf('data')} +macvlan +1.0.0`))
    assert.match(stdout, 'interface fast0 is asked for by the annotation')
    assert.match(stdout, `Cluster asked: ${scene.proxy.server} (kubeconfig ${kubeconfig})`)
    assert.equal(asked(before), ['GET /pods/upf', 'GET /network-attachment-definitions/data'])
    assert.is(existsSync(stateDir), false)
  })

  it('explain: JSON names the cluster, and the UID that the runtime would give', async () => {
    const uid = (await scene.api.ok('GET', scene.podPath('upf'))).metadata.uid
    const { json } = await explain('--pod', nameOf('upf'), '-o', 'json')
    assert.equal(json?.cluster, { source: `kubeconfig ${kubeconfig}`, server: scene.proxy.server })
    assert.is(objects(json?.pods)[0]?.uid, uid)
  })

  it('explain: every fault of the pod at once', async () => {
    await scene.createPod({ name: 'faulty', networks: 'absent,broken' })
    const { json, status } = await explain('--pod', nameOf('faulty'), '-o', 'json')
    assert.is(status, 1)
    const text = JSON.stringify(objects(json?.pods)[0]?.faults)
    assert.match(
      text,
      `cannot find a network-attachment-definition (absent) in namespace (${scene.namespace})`,
    )
    assert.match(text, `spec.config of NAD ${nameOf('broken')}`)
  })

  it('explain: a pod of a file with networks of the cluster, and a network of a file before that of the cluster', async () => {
    const { namespace } = scene
    const files = newDir()
    writeManifests(files, pod({ name: 'draft', namespace, networks: 'data' }))
    const first = await explain(files, '-o', 'json')
    assert.is(first.status, 0, first.stderr)
    assert.match(first.stdout, '"master": "eth1"')
    writeManifests(files, nad({ name: 'data', namespace, config: macvlan('eth7') }))
    const before = scene.proxy.requests.length
    const second = await explain(files, '-o', 'json')
    assert.match(second.stdout, '"master": "eth7"')
    assert.is(second.json?.cluster, null)
    assert.equal(asked(before), [])
  })

  it('the kubeconfig may be named by KUBECONFIG and by the net-conf, and another context chosen', async () => {
    const args = ['explain', '--pod', nameOf('upf'), '-o', 'json']
    const env = { KUBECONFIG: kubeconfig }
    assert.is((await runCli(args, { env })).status, 0)
    const conf = join(tempDir('conf'), 'net.conf')
    writeFileSync(conf, JSON.stringify({ cniVersion: '1.0.0', type: 'plexus', name: 'p', kubeconfig }))
    assert.is((await runCli([...args, '--conf', conf])).json?.isGood, false)
    const several = changed((whole) => {
      whole['current-context'] = 'gone'
      whole.contexts = [
        ...objects(whole.contexts),
        { name: 'two', context: { cluster: 'test', user: 'test' } },
      ]
    })
    refused(await runCli([...args, '--kubeconfig', several]), 'has no context "gone", only: test, two')
    assert.is((await runCli([...args, '--kubeconfig', several, '--context', 'two'])).status, 0)
    const paths = { KUBECONFIG: `${kubeconfig}:${several}` }
    refused(await runCli(args, { env: paths }), 'KUBECONFIG names several files', 'name one by --kubeconfig')
    const lonely = await runCli([...args, '--context', 'two'])
    assert.is(lonely.status, 2)
    assert.match(lonely.stderr, '--context needs a kubeconfig')
    const both = await runCli(['list', '--manifests', '/tmp', '--kubeconfig', kubeconfig])
    assert.is(both.status, 2)
    assert.match(both.stderr, '--manifests and --kubeconfig are two clusters')
  })

  it('says what is wrong: pod unknown, right missing, token refused, server away, kubeconfig missing', async () => {
    const explainAs = (file: string, name = 'upf') =>
      runCli(['explain', '--kubeconfig', file, '--pod', nameOf(name)])
    refused(
      await explainAs(kubeconfig, 'absent'),
      `pod ${nameOf('absent')} is not in the cluster`,
      scene.proxy.server,
    )
    const forbidden = await explainAs(kubeconfigOf('nobody'))
    refused(forbidden, /cannot get resource "pods" .* as user "nobody"/, 'grant the user of the kubeconfig')
    const wrong = kubeconfigOf('wrong')
    refused(await explainAs(wrong), 'status 401', `renew the credentials of the kubeconfig ${wrong}`)
    refused(await explainAs('/absent'), '/absent')
    const away = await explainAs(kubeconfigOf('node', 'https://127.0.0.1:9'))
    refused(away, 'ECONNREFUSED', 'look whether the API server runs and can be reached from here')
    const other = await explainAs(
      changed((conf) => void delete object(objects(conf.clusters)[0]?.cluster)['certificate-authority']),
    )
    refused(other, /certificate/)
    scene.proxy.fault = () => ({ status: 500, body: 'no' })
    refused(await explainAs(kubeconfig), 'status 500', 'What to do: try again.')
  })

  it('gives up on an API server that does not answer', async () => {
    scene.proxy.fault = () => 'hang'
    const run = await runCli(['explain', '--kubeconfig', kubeconfig, '--pod', nameOf('upf')], {
      timeoutMs: 30_000,
    })
    refused(run, 'no whole answer within 8 s')
    assert.ok(run.durationMs < 20_000, String(run.durationMs))
  })

  /** A sandbox on paper of a pod of the cluster; its UID. */
  const recorded = async (stateDir: string, name: string): Promise<string> => {
    const uid = await scene.createPod({ name })
    recordSandbox(stateDir, {
      containerId: `c-${name}`,
      pod: nameOf(name),
      podUid: uid,
      networks: [eth0, net1],
    })
    return uid
  }
  const publish = async (name: string, entries: unknown): Promise<void> => {
    const annotations = { [STATUS]: JSON.stringify(entries) }
    await scene.api.ok('PATCH', `${scene.podPath(name)}/status`, { metadata: { annotations } })
  }
  const show = (stateDir: string, name: string, ...args: string[]) =>
    runCli(['show', nameOf(name), '--state-dir', stateDir, '--kubeconfig', kubeconfig, ...args])

  it('show: what network-status in the cluster says beside the journal', async () => {
    const stateDir = newDir()
    const uid = await recorded(stateDir, 'shown')
    const missing = await show(stateDir, 'shown')
    assert.is(missing.status, 0)
    assert.match(missing.stdout, 'The pod has no network-status.')
    const local = await runCli(['show', nameOf('shown'), '--state-dir', stateDir, '-o', 'json'])
    assert.is(local.json?.cluster, null)
    const entries = objects(local.json?.networkStatus)
    await publish('shown', entries)
    const same = await show(stateDir, 'shown')
    assert.match(same.stdout, 'Network-status (from the journal)')
    assert.match(same.stdout, 'Its network-status is the one above.')
    const cluster = object((await show(stateDir, 'shown', '-o', 'json')).json?.cluster)
    assert.equal(
      [cluster.isPodKnown, cluster.podUid, cluster.isSamePod, cluster.isAsRecorded, cluster.problem],
      [true, uid, true, true, null],
    )
    await publish('shown', [{ ...entries[0], ips: ['10.9.9.9'] }])
    const edited = await show(stateDir, 'shown')
    assert.match(edited.stdout, 'Its network-status is not what the journal has.')
    assert.match(edited.stdout, 'Network-status (in the cluster)')
    assert.match(edited.stdout, '10.9.9.9')
    assert.match(edited.stdout, '192.168.1.7')
    await scene.deletePod('shown')
    const next = await scene.createPod({ name: 'shown' })
    const remade = await show(stateDir, 'shown')
    assert.match(remade.stdout, `Another pod has this name now: its uid is ${next}, not ${uid}.`)
    await scene.deletePod('shown')
    assert.match((await show(stateDir, 'shown')).stdout, 'It does not know the pod.')
  })

  it('show: a pod of another node has what the cluster says', async () => {
    const stateDir = newDir()
    refused(await show(stateDir, 'upf'), 'is in the cluster, without network-status', 'plexus explain --pod')
    refused(await show(stateDir, 'absent'), 'is not in the cluster of the API server')
    await publish('upf', [{ name: 'far', interface: 'eth0', ips: ['10.4.4.4'], default: true }])
    const { stdout, status } = await show(stateDir, 'upf')
    assert.is(status, 0)
    assert.match(stdout, 'Nothing of it is recorded on this node; this is what the cluster says.')
    assert.match(stdout, '10.4.4.4')
    await publish('upf', [{ name: 7, ips: '10.5.5.5', gateway: {}, mac: '\u001b[2J' }])
    const odd = await show(stateDir, 'upf')
    assert.is(odd.status, 0, odd.stderr)
    assert.match(odd.stdout, /7 +- +10\.5\.5\.5 +\\u001b\[2J +\{\} +no/)
    await publish('upf', 'none')
    refused(await show(stateDir, 'upf'), `network-status of pod ${nameOf('upf')} is no list`)
  })

  it('show and list: what the journal has is told while the API server is away, and the exit code says so', async () => {
    const stateDir = newDir()
    await recorded(stateDir, 'alone')
    scene.proxy.fault = () => 'reset'
    const shown = await show(stateDir, 'alone')
    assert.is(shown.status, 1)
    assert.match(shown.stdout, 'Network-status (from the journal)')
    assert.match(shown.stdout, 'The cluster could not be asked:')
    const listed = await runCli(['list', '--state-dir', stateDir, '--kubeconfig', kubeconfig])
    assert.is(listed.status, 1)
    assert.match(listed.stdout, /net1 .* live\n/)
    assert.match(listed.stdout, 'The cluster could not be asked:')
    refused(await show(stateDir, 'absent'), 'nothing of it is attached on this node', 'cannot be asked')
  })

  it('list: pods that the cluster does not know, or knows by another UID, are marked', async () => {
    const stateDir = newDir()
    for (const name of ['known', 'gone', 'remade']) await recorded(stateDir, name)
    await scene.deletePod('gone')
    await scene.deletePod('remade')
    await scene.createPod({ name: 'remade' })
    const before = scene.proxy.requests.length
    const { stdout, status } = await runCli(['list', '--state-dir', stateDir, '--kubeconfig', kubeconfig])
    assert.is(status, 0)
    // Once for a pod, whatever it has.
    assert.equal(asked(before).sort(), ['GET /pods/gone', 'GET /pods/known', 'GET /pods/remade'])
    assert.match(stdout, new RegExp(`${nameOf('known')} .* live\\n`))
    for (const name of ['gone', 'remade'])
      assert.match(stdout, new RegExp(`${nameOf(name)} .* live, pod not in the cluster\\n`))
    const { json } = await runCli(['list', '--state-dir', stateDir, '-o', 'json'], {
      env: { KUBECONFIG: kubeconfig },
    })
    assert.equal(
      objects(json?.attachments).map(({ isPodKnown }) => isPodKnown),
      [false, false, true, true, false, false],
    )
    assert.equal(object(json?.cluster).source, `kubeconfig ${kubeconfig}`)
  })

  it('in a pod: the service account, without any option', async () => {
    const account = { metadata: { name: 'reader' } }
    const accounts = `/api/v1/namespaces/${scene.namespace}/serviceaccounts`
    await scene.api.ok('POST', accounts, account)
    await scene.api.ok('POST', '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', {
      metadata: { name: 'reader' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'plexus' },
      subjects: [{ kind: 'ServiceAccount', name: 'reader', namespace: scene.namespace }],
    })
    const dir = newDir()
    mkdirSync(dir)
    const { token } = (await scene.api.ok('POST', `${accounts}/reader/token`, { spec: {} })).status
    writeFileSync(join(dir, 'token'), token)
    writeFileSync(join(dir, 'ca.crt'), readFileSync(scene.api.authority.ca))
    const accountDir = '/run/secrets/kubernetes.io/serviceaccount'
    const script = `mount -t tmpfs none /run && mkdir -p ${accountDir} && cp "$0"/* ${accountDir} && exec "$@"`
    const plexus = [PLEXUS, 'explain', '--pod', nameOf('upf'), '-o', 'json']
    const { stdout } = await promisify(execFile)('unshare', ['-m', 'sh', '-c', script, dir, ...plexus], {
      env: {
        PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
        KUBERNETES_SERVICE_HOST: '127.0.0.1',
        KUBERNETES_SERVICE_PORT: new URL(scene.proxy.server).port,
      },
      timeout: 30_000,
    })
    const answer = object(JSON.parse(stdout))
    assert.equal(answer.cluster, { source: 'service account', server: scene.proxy.server })
    assert.is(answer.isGood, true)
  })

  it('runs the credential program of a kubeconfig, which the plugin refuses to', async () => {
    const dir = newDir()
    mkdirSync(dir)
    const program = join(dir, 'login')
    const answer = (status: object): string =>
      JSON.stringify({ apiVersion: 'client.authentication.k8s.io/v1', kind: 'ExecCredential', status })
    const write = (script: string): void => {
      writeFileSync(program, `#!/bin/sh\n${script}\n`)
      chmodSync(program, 0o700)
    }
    write(
      `touch ${dir}/ran\necho "asks $WHO $1 $KUBERNETES_EXEC_INFO" >&2\necho '${answer({ token: 'node-token' })}'`,
    )
    const withProgram = (exec: object): string =>
      changed((conf) => {
        const user = userOf(conf)
        delete user.token
        user.exec = {
          apiVersion: 'client.authentication.k8s.io/v1',
          command: program,
          args: ['--quick'],
          env: [{ name: 'WHO', value: 'me' }],
          interactiveMode: 'IfAvailable',
          ...exec,
        }
      })
    const explainBy = (file: string) => runCli(['explain', '--kubeconfig', file, '--pod', nameOf('upf')])
    const good = await explainBy(withProgram({}))
    assert.is(good.status, 0, good.stderr)
    assert.match(
      good.stderr,
      'asks me --quick {"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential"',
    )
    assert.equal(readdirSync(dir).sort(), ['login', 'ran'])
    refused(
      await explainBy(withProgram({ command: 'absent-login', installHint: 'get it from there' })),
      'absent-login is not there',
      'get it from there',
    )
    refused(await explainBy(withProgram({ apiVersion: 'v1' })), 'user.exec.apiVersion must be one of')
    refused(await explainBy(withProgram({ interactiveMode: 'Always' })), 'needs a terminal')
    write('exit 3')
    refused(await explainBy(withProgram({})), 'failed with exit status 3')
    write('echo secret-token-of-mine')
    refused(await explainBy(withProgram({})), 'printed no ExecCredential')
    // Whoever can write the plugin's kubeconfig cannot make it run a program.
    write(`touch ${dir}/misused`)
    const run = await runPlexus('ADD', {
      conf: {
        cniVersion: '1.0.0',
        name: 'p',
        type: 'plexus',
        kubeconfig: withProgram({}),
        stateDir: newDir(),
        delegates: [{ cniVersion: '1.0.0', name: 'd', type: 'loopback' }],
      },
      containerId: 'c1',
      netns: '/proc/self/ns/net',
      ifName: 'eth0',
      args: `K8S_POD_NAMESPACE=${scene.namespace};K8S_POD_NAME=upf`,
      path: [dir],
      env: { CNI_NETNS_OVERRIDE: 'true' },
    })
    assert.match(run.stdout, 'user.exec is not supported')
    assert.is(existsSync(join(dir, 'misused')), false)
  })
})
