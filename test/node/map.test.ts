import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { isJsonObject, type JsonObject } from '../../src/cni/json.ts'
import { nad } from '../rig/manifests.ts'
import { runCli } from '../rig/plexus.ts'
import { type TestNode, type TestPod, testNode } from '../rig/test-node.ts'
import { spec } from '../spec.ts'

const objects = (value: unknown): JsonObject[] => {
  assert.ok(Array.isArray(value))
  return value.filter(isJsonObject)
}

/** One call begins where the sum of those before it ends. */
const ROUNDING_MS = 0.01

spec('plexus map of what really runs', (it) => {
  let node: TestNode
  let pod: TestPod

  const map = (...args: string[]) => runCli(['map', '--state-dir', node.stateDir, ...args])

  it.before(async () => {
    node = await testNode('map')
    const plugins = [node.bridge(71), { type: 'tuning', mtu: 1400 }]
    node.write(nad({ name: 'data', config: { cniVersion: '1.0.0', name: 'data', plugins } }))
    pod = await node.pod({ name: 'upf-0', networks: 'data@fast0' })
    const { status, stdout } = await pod.run('ADD')
    assert.is(status, 0, stdout)
  })
  it.after(async () => {
    assert.is((await pod.run('DEL')).status, 0)
  })

  it('the picture has the pod, its interfaces and the addresses that they have', async () => {
    const { status, stdout, stderr } = await map()
    assert.is(status, 0, stderr)
    assert.is(stderr, '')
    const links = await pod.netns.links()
    const addresses = links.flatMap(({ addr_info }) =>
      addr_info.filter(({ scope, family }) => scope === 'global' && family === 'inet'),
    )
    assert.is(addresses.length, 2)
    for (const { local, prefixlen } of addresses) assert.ok(stdout.includes(`>${local}/${prefixlen}</text>`))
    for (const text of ['upf-0', 'eth0', 'fast0', 'default/data', 'bridge → tuning', 'MTU 1400'])
      assert.ok(stdout.includes(`>${text}</text>`), `no ${text}`)
    assert.match(stdout, /^<svg [^>]*>[\s\S]*<\/svg>\n$/)
  })

  it('of one pod it tells the chains, and each call began and ended while the pod waited', async () => {
    const name = `${pod.manifest.metadata.namespace}/upf-0`
    const { status, stdout, json } = await map('--pod', name, '-o', 'json')
    assert.is(status, 0, stdout)
    assert.equal(
      objects(json?.attachments).map(({ ifName, plugins }) => [
        ifName,
        objects(plugins).map(({ type }) => type),
      ]),
      [
        ['eth0', ['bridge']],
        ['fast0', ['bridge', 'tuning']],
      ],
    )
    const calls = objects(json?.calls)
    assert.is(calls.length, 3)
    let last = 0
    for (const { startMs, durationMs } of calls) {
      assert.ok(Number(startMs) >= last - ROUNDING_MS, stdout)
      last = Number(startMs) + Number(durationMs)
    }
    assert.ok(Number(json?.durationMs) >= last, `a call ends at ${last}: ${stdout}`)
  })

  it('--out writes the file and nothing else', async () => {
    const file = join(node.stateDir, '..', 'upf.svg')
    const { status, stdout, stderr } = await map('--pod', 'default/upf-0', '--out', file)
    assert.equal([status, stdout, stderr], [0, '', ''])
    assert.match(readFileSync(file, 'utf8'), />fast0<\/text>\n<text [^>]*>tuning<\/text>/)
  })
})
