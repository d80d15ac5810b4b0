import * as assert from 'uvu/assert'
import { eventually, installDaemon } from '../rig/daemon.ts'
import { nad } from '../rig/manifests.ts'
import { leases } from '../rig/state-files.ts'
import { testNode } from '../rig/test-node.ts'
import { spec } from '../spec.ts'

const DUAL = (network: number): object => ({
  ipam: {
    type: 'host-local',
    ranges: [[{ subnet: `10.${network}.0.0/24` }], [{ subnet: `fd00:${network}::/64` }]],
    routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0' }],
  },
})

spec('default route of a pod', (it) => {
  it('NPWG-091 moves both families to the interface that the annotation names', async () => {
    const node = await testNode()
    const ipam = (network: number) => ({
      ipam: { ...(DUAL(network) as { ipam: object }).ipam, dataDir: node.leaseDir },
    })
    const conf = node.conf({
      clusterCIDRs: ['10.244.0.0/16', 'fd44::/48'],
      delegates: [node.bridge(90, { isGateway: true, ...ipam(90) })],
    })
    node.write(nad({ name: 'data', config: node.bridge(91, { isGateway: true, ...ipam(91) }) }))
    const pod = await node.pod({ networks: [{ name: 'data', 'default-route': ['10.91.0.1', 'fd00:91::1'] }] })

    const added = await pod.run('ADD', { conf })
    assert.is(added.status, 0, added.stdout)
    for (const [family, gateway, cidr] of [
      [4, '10.91.0.1', '10.244.0.0/16'],
      [6, 'fd00:91::1', 'fd44::/48'],
    ] as const) {
      const routes = await pod.netns.routes(family)
      const defaults = routes.filter(({ dst }) => dst === 'default')
      assert.equal(
        defaults.map(({ dev, gateway: via }) => [dev, via]),
        [['net1', gateway]],
      )
      assert.is(routes.find(({ dst }) => dst === cidr)?.dev, 'eth0')
    }
    const routes = added.json?.routes as { dst: string; gw?: string }[]
    assert.equal(
      routes
        .filter(({ dst }) => dst.endsWith('/0'))
        .map(({ gw }) => gw)
        .sort(),
      ['10.91.0.1', 'fd00:91::1'],
    )

    const checked = await pod.run('CHECK', { conf })
    assert.is(checked.status, 0, checked.stdout)
    assert.is((await pod.run('DEL', { conf })).status, 0)
  })

  it('NPWG-090 stays with the default network when a secondary brings one of its own', async () => {
    const node = await testNode()
    node.write(nad({ name: 'data', config: node.bridge(91, { isDefaultGateway: true }) }))
    const pod = await node.pod({ networks: 'data' })
    const added = await pod.run('ADD')
    assert.is(added.status, 0, added.stdout)
    const defaults = (await pod.netns.routes(4)).filter(({ dst }) => dst === 'default')
    assert.equal(
      defaults.map(({ dev }) => dev),
      ['eth0'],
    )
    assert.is((await pod.run('DEL')).status, 0)
  })

  it('NPWG-092 an empty list keeps the default route that the network makes itself', async () => {
    const node = await testNode()
    node.write(nad({ name: 'data', config: node.bridge(91, { isDefaultGateway: true }) }))
    const pod = await node.pod({ networks: [{ name: 'data', 'default-route': [] }] })
    const added = await pod.run('ADD')
    assert.is(added.status, 0, added.stdout)
    const defaults = (await pod.netns.routes(4)).filter(({ dst }) => dst === 'default')
    assert.equal(
      defaults.map(({ dev, gateway }) => [dev, gateway]),
      [['net1', '10.91.0.1']],
    )
    assert.is((await pod.run('DEL')).status, 0)
  })

  it('a gateway that cannot be reached fails the pod, names the gateway and leaves nothing', async () => {
    const node = await testNode()
    node.write(nad({ name: 'data', config: node.bridge(91) }))
    const pod = await node.pod({ networks: [{ name: 'data', 'default-route': ['192.0.2.1'] }] })
    const added = await pod.run('ADD')
    assert.is(added.status, 1)
    assert.is(added.json?.code, 107)
    assert.equal(
      (await pod.netns.links()).map(({ ifname }) => ifname),
      ['lo'],
    )
  })

  for (const isDaemon of [false, true]) {
    const way = isDaemon ? 'behind a daemon' : 'standalone'
    it(`an optional network whose gateway cannot be reached is left out, and the route stays, ${way}`, async () => {
      const node = await testNode()
      const installation = installDaemon(node)
      const daemon = isDaemon ? await installation.start() : undefined
      const call = isDaemon ? { executable: installation.shim } : {}
      node.write(
        nad({ name: 'data', config: node.bridge(91) }),
        nad({ name: 'more', config: node.bridge(92, { isDefaultGateway: true }) }),
      )
      const optional = { 'io.plexus-cni.optional': true }
      const networks = [{ name: 'data', 'default-route': ['192.0.2.1'], ...optional }, { name: 'more' }]
      const pod = await node.pod({ networks })
      const added = await pod.run('ADD', call)
      assert.is(added.status, 0, added.stdout)
      await eventually(() => {
        const told = daemon === undefined ? added.stderr : daemon.lines().join('\n')
        assert.match(told, /optional .*default\/data.* is left out: /)
      })
      assert.equal((await pod.netns.links()).map(({ ifname }) => ifname).sort(), ['eth0', 'lo', 'net2'])
      const defaults = (await pod.netns.routes(4)).filter(({ dst }) => dst === 'default')
      assert.equal(
        defaults.map(({ dev }) => dev),
        ['eth0'],
      )
      const shown = JSON.stringify(added.json)
      assert.not.match(shown, 'net1')
      assert.not.match(shown, '192.0.2.1')
      assert.is((await pod.run('CHECK', call)).status, 0)
      assert.is((await pod.run('DEL', call)).status, 0)
      assert.equal(leases(node.leaseDir), [])
      assert.is((await daemon?.stop()) ?? 0, 0)
    })
  }
})
