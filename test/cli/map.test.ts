import { truncateSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { isJsonObject, type JsonObject } from '../../src/cni/json.ts'
import { nad, pod, writeManifests } from '../rig/manifests.ts'
import { runCli } from '../rig/plexus.ts'
import { tempDir } from '../rig/temp-dir.ts'
import { spec } from '../spec.ts'
import { recordSandbox } from './recorded-sandbox.ts'

let count = 0
const newDir = (): string => join(tempDir('map'), `dir-${count++}`)
const map = (...args: string[]) => runCli(['map', ...args])
const eth0 = { ifName: 'eth0', network: 'cluster', address: '10.0.0.5/24' }
const net1 = { ifName: 'net1', network: 'data', address: '192.168.1.7/24' }

const objects = (value: unknown): JsonObject[] => {
  assert.ok(Array.isArray(value))
  return value.filter(isJsonObject)
}

spec('plexus map', (it) => {
  it('draws what the journal has, whatever the condition of a record', async () => {
    const stateDir = newDir()
    recordSandbox(stateDir, { containerId: 'c1', pod: 'telco/upf-0', networks: [eth0, net1] })
    recordSandbox(stateDir, {
      ...{ containerId: 'c2', pod: 'telco/upf-1', failedDels: 1 },
      networks: [eth0, { ...net1, isOptional: true }],
    })
    recordSandbox(stateDir, { containerId: 'c3', networks: [eth0], progress: 'planned' })
    truncateSync(recordSandbox(stateDir, { containerId: 'c4', networks: [eth0] }), 30)
    const { status, stdout, stderr, json } = await map('--state-dir', stateDir, '-o', 'json')
    assert.equal([status, stderr], [0, ''])
    assert.equal(
      objects(json?.pods).map(({ namespace, name, remark }) => [namespace, name, remark]),
      [
        ['telco', 'upf-0', null],
        ['telco', 'upf-1', 'undo pending'],
        [null, 'c3 eth0', 'incomplete'],
        [null, 'c4 eth0', 'damaged'],
      ],
      stdout,
    )
    const picture = await map('--state-dir', stateDir)
    for (const text of ['upf-0', '192.168.1.7/24', 'undo pending', 'Sandboxes of no known pod', 'c4 eth0'])
      assert.ok(picture.stdout.includes(`>${text}</text>`), `no ${text}`)
  })

  it('an optional network that failed is there, and not attached', async () => {
    const stateDir = newDir()
    const networks = [eth0, { ...net1, isOptional: true }]
    recordSandbox(stateDir, { containerId: 'c1', pod: 'telco/upf-0', networks })
    const { stdout } = await map('--state-dir', stateDir)
    assert.ok(stdout.includes('>not attached</text>'))
  })

  it('what a journal holds of names does nothing but stand there', async () => {
    const stateDir = newDir()
    const evil = '</text><script>alert(1)</script>&\u202e'
    recordSandbox(stateDir, {
      containerId: 'c1',
      pod: `telco/${evil}`,
      networks: [{ ...eth0, network: evil }],
    })
    const { status, stdout } = await map('--state-dir', stateDir)
    assert.is(status, 0)
    assert.not.match(stdout, /<script|\u202e/)
    assert.match(stdout, /&lt;script&gt;/)
  })

  it('nothing attached is a picture too, and a pod that is not there is an error', async () => {
    const stateDir = newDir()
    const { status, stdout } = await map('--state-dir', stateDir)
    assert.is(status, 0)
    assert.ok(stdout.includes('>There is no pod.</text>'))
    const none = await map('--state-dir', stateDir, '--pod', 'telco/upf-0')
    assert.equal([none.status, none.stdout], [1, ''])
    assert.match(none.stderr, /pod telco\/upf-0 is not in the journal .*\n {2}What to do: /)
  })

  it('of one pod it draws the calls of the newest sandbox that is in use', async () => {
    const stateDir = newDir()
    const sandbox = { pod: 'telco/upf-0', networks: [eth0] }
    recordSandbox(stateDir, { containerId: 'new', ...sandbox, time: '2026-01-03T00:00:00.000Z' })
    recordSandbox(stateDir, { containerId: 'old', ...sandbox, time: '2026-01-01T00:00:00.000Z' })
    recordSandbox(stateDir, { containerId: 'gone', ...sandbox, isNetnsGone: true })
    const { stdout } = await map('--state-dir', stateDir, '--pod', 'telco/upf-0')
    assert.ok(stdout.includes('container new</text>'), stdout)
    assert.match(stdout, />eth0<\/text>\n<text [^>]*>bridge<\/text>/)
    assert.ok(stdout.includes('>ready after 62 ms</text>'))
  })

  it('draws manifests: what pods ask for, what a network-status in them says, networks of nobody', async () => {
    const folder = newDir()
    const status = [{ name: 'default/data', interface: 'fast0', ips: ['10.7.0.2'], dns: {} }]
    writeManifests(
      folder,
      nad({ name: 'data', config: { type: 'bridge', bridge: 'br7' } }),
      nad({ name: 'spare', config: { type: 'macvlan', master: 'eth3' } }),
      pod({ name: 'asks', networks: 'data, data@net1' }),
      pod({ name: 'has', annotations: { 'k8s.v1.cni.cncf.io/network-status': JSON.stringify(status) } }),
      pod({ name: 'wrong', networks: '[{' }),
    )
    const { status: exit, stdout, stderr, json } = await map('--manifests', folder, '-o', 'json')
    assert.equal([exit, stderr], [0, ''])
    const shown = objects(json?.pods).map(({ name, remark, interfaces }) => [
      name,
      remark,
      objects(interfaces).map((mapped) => `${mapped.ifName} ${mapped.network} ${mapped.state}`),
    ])
    assert.equal(
      shown,
      [
        [
          'asks',
          null,
          ['eth0 default network planned', 'net2 default/data planned', 'net1 default/data planned'],
        ],
        ['has', null, ['fast0 default/data attached']],
        ['wrong', 'networks annotation is wrong', []],
      ],
      stdout,
    )
    const picture = await map('--manifests', folder)
    for (const text of ['Networks without pods', 'default/spare', 'on eth3', 'planned, not running'])
      assert.ok(picture.stdout.includes(`>${text}</text>`), `no ${text}`)
  })

  it('what cannot be is refused: two clusters, a pod that is no name, a folder to write to', async () => {
    const both = await map('--manifests', '/x', '--kubeconfig', '/y')
    assert.is(both.status, 2)
    const name = await map('--pod', 'upf')
    assert.is(name.status, 2)
    const format = await map('-o', 'png')
    assert.is(format.status, 2)
    assert.match(format.stderr, /"svg", "json"/)
    const out = await map('--state-dir', newDir(), '--out', tempDir('map'))
    assert.is(out.status, 1)
    assert.match(out.stderr, /^plexus map: picture .*EISDIR/)
  })
})
