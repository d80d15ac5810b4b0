import * as assert from 'uvu/assert'
import { nad } from '../rig/manifests.ts'
import { type TestNode, testNode } from '../rig/test-node.ts'
import { spec } from '../spec.ts'

/** A dual-stack bridge whose pods get default routes of both families. */
function dual(node: TestNode, network: number): Record<string, unknown> {
  return node.bridge(network, {
    isGateway: true,
    ipam: {
      type: 'host-local',
      dataDir: node.leaseDir,
      ranges: [[{ subnet: `10.${network}.0.0/24` }], [{ subnet: `fd00:${network}::/64` }]],
      routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0' }],
    },
  })
}

spec('default route of a pod, written in ways of its own', (it) => {
  for (const [asked, family, gateway] of [
    ['FD00:0091:0::0001', 6, 'fd00:91::1'],
    ['::ffff:10.91.0.1', 4, '10.91.0.1'],
    ['fe80::1', 6, 'fe80::1'],
  ] as const) {
    it(`NPWG-095 gateway ${asked} is ${gateway}`, async () => {
      const node = await testNode()
      const conf = node.conf({ delegates: [dual(node, 90)] })
      node.write(nad({ name: 'data', config: dual(node, 91) }))
      const pod = await node.pod({ networks: [{ name: 'data', 'default-route': [asked] }] })
      const added = await pod.run('ADD', { conf })
      assert.is(added.status, 0, added.stdout)
      const defaults = (await pod.netns.routes(family)).filter(({ dst }) => dst === 'default')
      assert.equal(
        defaults.map(({ dev, gateway: via }) => [dev, via]),
        [['net1', gateway]],
      )
      const checked = await pod.run('CHECK', { conf })
      assert.is(checked.status, 0, checked.stdout)
      assert.is((await pod.run('DEL', { conf })).status, 0)
    })
  }

  it('a prefix of the cluster that is the subnet of the default network itself stays without gateway', async () => {
    const node = await testNode()
    const conf = node.conf({
      delegates: [dual(node, 90)],
      // With host bits, as people write them.
      clusterCIDRs: ['10.90.0.1/24', '10.244.0.1/16'],
    })
    node.write(nad({ name: 'data', config: dual(node, 91) }))
    const pod = await node.pod({ networks: [{ name: 'data', 'default-route': ['10.91.0.1'] }] })
    const added = await pod.run('ADD', { conf })
    assert.is(added.status, 0, added.stdout)
    const routes = await pod.netns.routes(4)
    const via = (prefix: string) => routes.filter(({ dst }) => dst === prefix).map(({ gateway }) => gateway)
    assert.equal(via('10.90.0.0/24'), [undefined])
    assert.equal(via('10.244.0.0/16'), ['10.90.0.1'])
    const checked = await pod.run('CHECK', { conf })
    assert.is(checked.status, 0, checked.stdout)
    assert.is((await pod.run('DEL', { conf })).status, 0)
  })

  it('C-17 asked for by both annotations is refused before anything runs', async () => {
    const node = await testNode()
    node.write(
      nad({ name: 'primary', namespace: 'kube-system', config: dual(node, 90) }),
      nad({ name: 'data', config: dual(node, 91) }),
    )
    const pod = await node.pod({
      defaultNetwork: '[{"name": "primary", "default-route": ["10.90.0.1"]}]',
      networks: [{ name: 'data', 'default-route': ['10.91.0.1'] }],
    })
    const added = await pod.run('ADD')
    assert.is(added.json?.code, 7)
    assert.match(String(added.json?.msg), /IPv4 default route .*"data".*"primary"/)
    assert.equal(
      (await pod.netns.links()).map(({ ifname }) => ifname),
      ['lo'],
    )
  })
})
