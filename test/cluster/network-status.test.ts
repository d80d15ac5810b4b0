import * as assert from 'uvu/assert'
import { assertDone } from '../plugin/stub-node.ts'
import { eventually, type Installation, type TestDaemon } from '../rig/daemon.ts'
import { spec } from '../spec.ts'
import { type ClusterNode, type ClusterScene, clusterNode, clusterScene } from './scene.ts'

const STATUS = 'k8s.v1.cni.cncf.io/network-status'
const NETNS = '{{netns}}'
const MAC = '02:00:00:00:00:07'

/** A plugin's answer in a version, and what the standard makes of it; each entry also has the network's name. */
interface Shape {
  readonly title: string
  readonly version: string
  readonly result: object
  readonly entries: readonly object[]
}

const SHAPES: readonly Shape[] = [
  {
    title: 'both families on one interface',
    version: '1.0.0',
    result: {
      interfaces: [{ name: 'net1', mac: MAC, sandbox: NETNS }],
      ips: [
        { address: '10.9.0.7/24', interface: 0 },
        { address: 'fd00:9::7/64', interface: 0 },
      ],
    },
    entries: [{ interface: 'net1', ips: ['10.9.0.7', 'fd00:9::7'], mac: MAC, dns: {} }],
  },
  {
    title: 'an MTU, and a bridge and a veth of the node',
    version: '1.1.0',
    result: {
      interfaces: [
        { name: 'br9', mac: '02:00:00:00:00:01' },
        { name: 'veth9', mac: '02:00:00:00:00:02', mtu: 9000 },
        { name: 'net1', mac: MAC, mtu: 1450, sandbox: NETNS },
      ],
      ips: [
        { address: '10.9.0.1/24', interface: 0 },
        { address: '10.9.0.7/24', interface: 2 },
      ],
    },
    entries: [{ interface: 'net1', ips: ['10.9.0.7'], mac: MAC, mtu: 1450, dns: {} }],
  },
  { title: 'nothing', version: '1.0.0', result: {}, entries: [{ dns: {} }] },
  {
    title: 'the shape of 0.2.0',
    version: '0.2.0',
    result: {
      ip4: { ip: '10.9.0.7/24' },
      ip6: { ip: 'fd00:9::7/64' },
      dns: { nameservers: ['10.9.0.53'] },
    },
    entries: [{ interface: 'net1', ips: ['10.9.0.7', 'fd00:9::7'], dns: { nameservers: ['10.9.0.53'] } }],
  },
  {
    title: 'addresses with their version',
    version: '0.3.1',
    result: {
      interfaces: [{ name: 'net1', mac: MAC, sandbox: NETNS }],
      ips: [{ version: '4', address: '10.9.0.7/24', interface: 0 }],
    },
    entries: [{ interface: 'net1', ips: ['10.9.0.7'], mac: MAC, dns: {} }],
  },
  {
    title: 'two interfaces in the pod',
    version: '1.0.0',
    result: {
      interfaces: [
        { name: 'net1', mac: MAC, sandbox: NETNS },
        { name: 'net1.7', sandbox: NETNS },
      ],
      ips: [
        { address: '10.9.0.7/24', interface: 0 },
        { address: '10.9.1.7/24', interface: 1 },
      ],
    },
    entries: [
      { interface: 'net1', ips: ['10.9.0.7'], mac: MAC, dns: {} },
      { interface: 'net1.7', ips: ['10.9.1.7'], dns: {} },
    ],
  },
  {
    title: 'no interface in the pod',
    version: '1.0.0',
    result: {
      interfaces: [{ name: 'veth9', mac: MAC }],
      ips: [{ address: '10.9.0.1/24', interface: 0 }, { address: '10.9.0.7/24' }],
    },
    entries: [{ ips: ['10.9.0.7'], dns: {} }],
  },
  {
    title: 'an interface without hardware address and address, and all of DNS',
    version: '1.0.0',
    result: {
      interfaces: [{ name: 'net1', sandbox: NETNS }],
      dns: { nameservers: ['10.9.0.53'], domain: 'x.test', search: ['a.test'], options: ['ndots:2'] },
    },
    entries: [
      {
        interface: 'net1',
        dns: { nameservers: ['10.9.0.53'], domain: 'x.test', search: ['a.test'], options: ['ndots:2'] },
      },
    ],
  },
  {
    title: 'a default route with its gateway',
    version: '1.0.0',
    result: {
      interfaces: [{ name: 'net1', sandbox: NETNS }],
      ips: [{ address: '10.9.0.7/24', gateway: '10.9.0.1', interface: 0 }],
      routes: [
        { dst: '0.0.0.0/0', gw: '10.9.0.254' },
        { dst: '10.8.0.0/16', gw: '10.9.0.2' },
      ],
    },
    entries: [{ interface: 'net1', ips: ['10.9.0.7'], gateway: ['10.9.0.254'], dns: {} }],
  },
  {
    title: 'a gateway that only its address names',
    version: '1.0.0',
    result: {
      interfaces: [{ name: 'net1', sandbox: NETNS }],
      ips: [{ address: 'fd00:9::7/64', gateway: 'fd00:9::1', interface: 0 }],
      routes: [{ dst: '::/0' }],
    },
    entries: [{ interface: 'net1', ips: ['fd00:9::7'], gateway: ['fd00:9::1'], dns: {} }],
  },
  {
    title: 'an address without index',
    version: '1.0.0',
    result: {
      interfaces: [
        { name: 'other', sandbox: NETNS },
        { name: 'net1', sandbox: NETNS },
      ],
      ips: [{ address: '10.9.0.7/24' }],
    },
    entries: [
      { interface: 'other', dns: {} },
      { interface: 'net1', ips: ['10.9.0.7'], dns: {} },
    ],
  },
  {
    title: 'a network namespace by another name',
    version: '1.0.0',
    result: {
      interfaces: [{ name: 'net1', sandbox: '/proc/7/ns/net' }],
      ips: [{ address: '10.9.0.7/24', interface: 0 }],
    },
    entries: [{ interface: 'net1', ips: ['10.9.0.7'], dns: {} }],
  },
]

spec('network-status in the cluster', (it) => {
  let scene: ClusterScene
  let node: ClusterNode
  let daemon: TestDaemon
  let installation: Installation

  it.before(async () => {
    scene = await clusterScene()
    node = await clusterNode(scene)
    installation = node.install()
    daemon = await node.start(installation)
  })
  it.after(async () => {
    assert.is(await daemon.stop(), 0)
    await scene.close()
  })

  for (const [index, { title, version, result, entries }] of SHAPES.entries()) {
    it(`of a plugin that answers with ${title} is what the standard says`, async () => {
      const name = `shape-${index}`
      await scene.createNad({ name, config: { cniVersion: version, type: 'alpha' } })
      node.behave(node.alpha, { add: { result: { cniVersion: version, ...result } } })
      const pod = await node.podOf(installation, { name, networks: name })
      const added = await pod.run('ADD')
      assert.is(added.status, 0, added.stdout)
      await eventually(async () => {
        const { metadata, status } = await scene.api.ok('GET', scene.podPath(name))
        const [first, ...others] = JSON.parse(metadata.annotations?.[STATUS] ?? '[]')
        assert.equal([first?.name, first?.interface, first?.default], ['cluster-net', 'eth0', true])
        assert.equal(
          others,
          entries.map((entry) => ({ name: `${scene.namespace}/${name}`, default: false, ...entry })),
        )
        const ready = status.conditions.find(
          ({ type }: { type: string }) => type === 'plexus-cni.io/NetworksReady',
        )
        assert.equal([ready?.status, ready?.reason], ['True', 'NetworksAttached'])
      })
      assertDone(await pod.run('DEL'))
    })
  }
})
