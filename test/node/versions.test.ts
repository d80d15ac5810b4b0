import * as assert from 'uvu/assert'
import { nad } from '../rig/manifests.ts'
import { testNode } from '../rig/test-node.ts'
import { spec } from '../spec.ts'

interface Shape {
  readonly interfaces: { name: string; mac?: string; sandbox?: string }[]
  readonly ips: { address: string; interface?: number; version?: string; gateway?: string }[]
  readonly routes: { dst: string; gw?: string }[]
}

const MAC = /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/

spec('the merged result', (it) => {
  for (const cniVersion of ['0.3.1', '0.4.0', '1.0.0', '1.1.0']) {
    it(`NPWG-171 CNI-040 CNI-130 is valid in ${cniVersion}, default network first, indexes right`, async () => {
      const node = await testNode()
      node.write(
        nad({ name: 'one', config: node.bridge(41) }),
        nad({ name: 'two', config: node.bridge(42, { cniVersion: '0.3.1' }) }),
      )
      const pod = await node.pod({ networks: 'one,two@data0' })
      const conf = node.conf({ cniVersion })
      const { status, json, stdout } = await pod.run('ADD', { conf })
      assert.is(status, 0, stdout)
      assert.is(json?.cniVersion, cniVersion)
      const { interfaces, ips, routes } = json as unknown as Shape
      for (const entry of interfaces) {
        assert.match(entry.mac ?? '', MAC)
        assert.ok(entry.sandbox === undefined || entry.sandbox === pod.netns.path)
      }
      const inPod = ips.map((ip) => interfaces[ip.interface ?? -1])
      assert.equal(
        inPod.map((entry) => entry?.name),
        ['eth0', 'net1', 'data0'],
      )
      assert.equal(
        inPod.map((entry) => entry?.sandbox),
        [pod.netns.path, pod.netns.path, pod.netns.path],
      )
      assert.equal(
        ips.map(({ address }) => address),
        ['10.90.0.2/24', '10.41.0.2/24', '10.42.0.2/24'],
      )
      assert.equal(
        ips.map(({ version }) => version),
        cniVersion.startsWith('0.') ? ['4', '4', '4'] : [undefined, undefined, undefined],
      )
      assert.equal(routes, [{ dst: '0.0.0.0/0', gw: '10.90.0.1' }])
      assert.is((await pod.run('DEL', { conf })).status, 0)
    })
  }

  for (const cniVersion of ['0.1.0', '0.2.0', undefined]) {
    it(`CNI-023 CNI-122 in ${cniVersion ?? 'no version'} holds the default network's first address of each family`, async () => {
      const node = await testNode()
      node.write(nad({ name: 'one', config: node.bridge(41) }))
      const pod = await node.pod({ networks: 'one' })
      const conf = node.conf({ cniVersion })
      const { status, json, stdout } = await pod.run('ADD', { conf })
      assert.is(status, 0, stdout)
      assert.is(json?.cniVersion, cniVersion ?? '0.1.0')
      assert.is((json as unknown as { ip4: { ip: string } }).ip4.ip, '10.90.0.2/24')
      assert.is(json?.ips, undefined)
      assert.is((await pod.run('DEL', { conf })).status, 0)
    })
  }

  it('"result": "default-network" lists that alone', async () => {
    const node = await testNode()
    node.write(nad({ name: 'one', config: node.bridge(41) }))
    const pod = await node.pod({ networks: 'one' })
    const conf = node.conf({ result: 'default-network' })
    const { json } = await pod.run('ADD', { conf })
    assert.equal(
      (json as unknown as Shape).ips.map(({ address }) => address),
      ['10.90.0.2/24'],
    )
    assert.is((await pod.netns.links()).length, 3)
    assert.is((await pod.run('DEL', { conf })).status, 0)
  })

  it('CNI-042 holds what a plugin before us in a chain has made', async () => {
    const node = await testNode()
    const pod = await node.pod()
    const prevResult = { cniVersion: '1.0.0', ips: [{ address: '198.51.100.7/24' }] }
    const { json, stdout } = await pod.run('ADD', { conf: node.conf({ prevResult }) })
    assert.equal(
      (json as unknown as Shape).ips.map(({ address }) => address),
      ['198.51.100.7/24', '10.90.0.2/24'],
      stdout,
    )
    assert.is((await pod.run('DEL')).status, 0)
  })
})
