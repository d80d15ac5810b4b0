import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { isJsonObject, type JsonObject } from '../../src/cni/json.ts'
import { manifestStore } from '../../src/store/manifests.ts'
import { pod, writeManifests } from '../rig/manifests.ts'
import { runCli } from '../rig/plexus.ts'
import { tempDir } from '../rig/temp-dir.ts'
import { spec } from '../spec.ts'
import { recordSandbox } from './recorded-sandbox.ts'

let count = 0
const newStateDir = (): string => join(tempDir('show'), `state-${count++}`)
const show = (podName: string, stateDir: string, ...args: string[]) =>
  runCli(['show', podName, '--state-dir', stateDir, ...args])
const eth0 = { ifName: 'eth0', network: 'cluster', address: '10.0.0.5/24' }
const net1 = { ifName: 'net1', network: 'data', address: '192.168.1.7/24' }
const sandbox = { containerId: 'c1', pod: 'telco/upf-0', networks: [eth0, net1] }

const objects = (value: unknown): JsonObject[] => {
  assert.ok(Array.isArray(value))
  return value.filter(isJsonObject)
}

spec('plexus show', (it) => {
  it('prints interfaces, reasons, calls with their times and network-status', async () => {
    const stateDir = newStateDir()
    recordSandbox(stateDir, sandbox)
    const { stdout, stderr, status } = await show('telco/upf-0', stateDir)
    assert.is(stderr, '')
    assert.is(
      stdout,
      `Pod        telco/upf-0 (uid uid-upf-0)
Container  c1
Namespace  ${stateDir}-netns/c1
Attached   2026-01-02T03:04:05.678Z, ready after 62 ms
State      live

Interfaces
  INTERFACE  NETWORK  SOURCE                                   PLUGINS  ADDRESSES       MAC
  eth0       cluster  file /etc/cni/net.d/10-default.conflist  bridge   10.0.0.5/24     02:00:00:00:00:00
  net1       data     NAD default/data                         bridge   192.168.1.7/24  02:00:00:00:00:01

Why
  eth0
    - reason for cluster
  net1
    - reason for data

Plugin calls
  CALL  PLUGIN  NETWORK  INTERFACE  STARTED AFTER  TOOK
  ADD   bridge  cluster  eth0       0.0 ms         12 ms
  ADD   bridge  data     net1       20 ms          12 ms

Network-status (from the journal)
  NAME     INTERFACE  IPS          MAC                GATEWAY  DEFAULT
  cluster  eth0       10.0.0.5     02:00:00:00:00:00  -        yes
  data     net1       192.168.1.7  02:00:00:00:00:01  -        no
`,
    )
    assert.is(status, 0)
  })

  it('JSON has network-status, container, namespace, attachments and calls', async () => {
    const stateDir = newStateDir()
    recordSandbox(stateDir, sandbox)
    const { json, status } = await show('telco/upf-0', stateDir, '-o', 'json')
    assert.is(status, 0)
    assert.is(json?.pod, 'telco/upf-0')
    assert.is(json?.podUid, 'uid-upf-0')
    assert.is(json?.containerId, 'c1')
    assert.is(json?.netns, `${stateDir}-netns/c1`)
    assert.is(json?.state, 'live')
    assert.is(json?.networkStatusSource, 'journal')
    assert.equal(
      objects(json?.networkStatus).map(({ name, ips, default: isDefault }) => [name, ips, isDefault]),
      [
        ['cluster', ['10.0.0.5'], true],
        ['data', ['192.168.1.7'], false],
      ],
    )
    assert.equal(
      objects(json?.attachments).map((attachment) => [
        attachment.ifName,
        attachment.source,
        attachment.addresses,
        attachment.macs,
        attachment.reasons,
        objects(attachment.plugins).map(({ type }) => type),
      ]),
      [
        [
          'eth0',
          'file /etc/cni/net.d/10-default.conflist',
          ['10.0.0.5/24'],
          ['02:00:00:00:00:00'],
          ['reason for cluster'],
          ['bridge'],
        ],
        [
          'net1',
          'NAD default/data',
          ['192.168.1.7/24'],
          ['02:00:00:00:00:01'],
          ['reason for data'],
          ['bridge'],
        ],
      ],
    )
    assert.equal(
      objects(json?.calls).map(({ plugin, ifName, durationMs }) => [plugin, ifName, durationMs]),
      [
        ['bridge', 'eth0', 12.3],
        ['bridge', 'net1', 12.3],
      ],
    )
    assert.equal(json?.others, [])
  })

  it('no secret of a configuration is shown in any format', async () => {
    const stateDir = newStateDir()
    const plugins = [
      { type: 'sriov', token: 'S3CRET-1', inner: { password: 'S3CRET-2', list: [{ apiKey: 'S3CRET-3' }] } },
      { type: 'tuning', kubeconfig: 'users:\n- S3CRET-4\n', endpoint: 'https://a:S3CRET-5@x/' },
    ]
    recordSandbox(stateDir, { ...sandbox, networks: [{ ...eth0, plugins }] })
    for (const format of ['json', 'yaml', 'table']) {
      const { stdout, stderr } = await show('telco/upf-0', stateDir, '-o', format)
      assert.not.match(stdout + stderr, 'S3CRET')
      assert.match(stdout, 'sriov')
    }
    assert.match((await show('telco/upf-0', stateDir, '-o', 'json')).stdout, '"token": "[redacted]"')
  })

  it('before ADD has ended, network-status is the published one', async () => {
    const stateDir = newStateDir()
    recordSandbox(stateDir, { ...sandbox, progress: 'started' })
    const networkStatus = [{ name: 'old', interface: 'eth0', ips: ['10.0.0.9'], default: true, dns: {} }]
    const store = manifestStore({ manifests: [], stateDir })
    await store.publish({ namespace: 'telco', name: 'upf-0', containerId: 'c0', networkStatus })
    const { json } = await show('telco/upf-0', stateDir, '-o', 'json')
    assert.is(json?.state, 'incomplete')
    assert.equal(json?.networkStatus, networkStatus)
    assert.is(json?.networkStatusSource, 'published file')
    assert.equal(
      objects(json?.pendingUndo).map(({ plugin, ifName }) => [plugin, ifName]),
      [
        ['bridge', 'net1'],
        ['bridge', 'eth0'],
      ],
    )
  })

  it('a pod of which only the published status is left is shown as such', async () => {
    const stateDir = newStateDir()
    const networkStatus = [{ name: 'old', interface: 'eth0', ips: ['10.0.0.9'], default: true, dns: {} }]
    const store = manifestStore({ manifests: [], stateDir })
    await store.publish({ namespace: 'telco', name: 'upf-0', containerId: 'c0', networkStatus })
    const { stdout, status } = await show('telco/upf-0', stateDir)
    assert.is(status, 0)
    assert.is(
      stdout,
      `Pod  telco/upf-0

Nothing is recorded of it any more; only its published network-status is left.

Network-status (from the published file)
  NAME  INTERFACE  IPS       MAC  GATEWAY  DEFAULT
  old   eth0       10.0.0.9  -    -        yes
`,
    )
    const { json } = await show('telco/upf-0', stateDir, '-o', 'json')
    assert.equal(json?.networkStatus, networkStatus)
    assert.equal(json?.attachments, [])
  })

  it('a DEL that failed shows what is still to be undone', async () => {
    const stateDir = newStateDir()
    recordSandbox(stateDir, { ...sandbox, undone: [1], failedDels: 2 })
    const { stdout } = await show('telco/upf-0', stateDir)
    assert.match(stdout, '\nState      undo pending (2 failed DELs)\nTo undo    plugin bridge on eth0\n')
  })

  it('of several sandboxes the living one comes first, the others after it', async () => {
    const stateDir = newStateDir()
    recordSandbox(stateDir, {
      ...sandbox,
      containerId: 'a-old',
      isNetnsGone: true,
      time: '2026-02-01T00:00:00.000Z',
    })
    recordSandbox(stateDir, { ...sandbox, containerId: 'b-live' })
    recordSandbox(stateDir, {
      ...sandbox,
      containerId: 'c-newer',
      isNetnsGone: true,
      time: '2026-03-01T00:00:00.000Z',
    })
    recordSandbox(stateDir, { ...sandbox, containerId: 'other', pod: 'telco/upf-00' })
    const { json } = await show('telco/upf-0', stateDir, '-o', 'json')
    assert.is(json?.containerId, 'b-live')
    assert.equal(
      objects(json?.others).map(({ containerId, state }) => [containerId, state]),
      [
        ['c-newer', 'netns gone'],
        ['a-old', 'netns gone'],
      ],
    )
    const { stdout } = await show('telco/upf-0', stateDir)
    assert.ok(
      stdout.indexOf('Container  b-live') <
        stdout.indexOf('Another sandbox of the pod: c-newer\nContainer  c-newer'),
    )
  })

  it('a pod of which nothing is known is a failure that says where to look', async () => {
    const stateDir = newStateDir()
    const { status, stdout, stderr } = await show('telco/upf-0', stateDir)
    assert.is(status, 1)
    assert.is(stdout, '')
    assert.is(
      stderr,
      `plexus show: pod telco/upf-0 has no attachment on this node: ${stateDir} knows nothing of it\n` +
        '  What to do: plexus list shows the pods that have; with another "stateDir" in the net-conf, name it by --state-dir.\n',
    )
  })

  it('a pod that only the manifests know leads to explain', async () => {
    const stateDir = newStateDir()
    const manifests = tempDir('manifests')
    writeManifests(manifests, pod({ name: 'upf-0', namespace: 'telco' }))
    const { status, stderr } = await show('telco/upf-0', stateDir, '--manifests', manifests)
    assert.is(status, 1)
    assert.match(stderr, 'is in the manifests, but nothing of it is attached on this node')
    assert.match(stderr, `plexus explain --manifests ${manifests} --pod telco/upf-0`)
  })
})
