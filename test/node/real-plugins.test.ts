import * as assert from 'uvu/assert'
import { kernelHas, skipped } from '../rig/kernel.ts'
import { nad } from '../rig/manifests.ts'
import { leases } from '../rig/state-files.ts'
import { type TestNode, type TestPod, testNode } from '../rig/test-node.ts'
import { spec } from '../spec.ts'

/** One network, and what is to be seen of it in the pod. */
interface Case {
  readonly title: string
  readonly feature?: Parameters<typeof kernelHas>[0]
  readonly config: (node: TestNode) => object
  readonly element?: object
  readonly prepare?: (node: TestNode) => Promise<void>
  readonly seen: (pod: TestPod, node: TestNode) => Promise<void>
  /** Whether CHECK is run too. */
  readonly isChecked?: boolean
}

const hostLocal = (node: TestNode, subnet: string, more: object = {}): object => ({
  type: 'host-local',
  dataDir: node.leaseDir,
  ranges: [[{ subnet }]],
  ...more,
})

async function link(pod: TestPod, ifName: string) {
  return (await pod.netns.links()).find(({ ifname }) => ifname === ifName)
}

async function addresses(pod: TestPod, ifName: string): Promise<string[]> {
  const found = await link(pod, ifName)
  return (found?.addr_info ?? [])
    .filter(({ scope }) => scope === 'global')
    .map(({ local, prefixlen }) => `${local}/${prefixlen}`)
}

const CASES: readonly Case[] = [
  {
    title: 'bridge with host-local',
    config: (node) => node.bridge(61),
    seen: async (pod) => assert.equal(await addresses(pod, 'net1'), ['10.61.0.2/24']),
  },
  {
    title: 'bridge with two families',
    config: (node) =>
      node.bridge(62, {
        ipam: {
          ...hostLocal(node, '10.62.0.0/24'),
          ranges: [[{ subnet: '10.62.0.0/24' }], [{ subnet: 'fd00:62::/64' }]],
        },
      }),
    seen: async (pod) =>
      assert.equal((await addresses(pod, 'net1')).sort(), ['10.62.0.2/24', 'fd00:62::2/64']),
  },
  {
    title: 'macvlan with a static address and MAC that the annotation asks for',
    config: () => ({
      cniVersion: '1.0.0',
      type: 'macvlan',
      master: 'uplink0',
      capabilities: { ips: true, mac: true },
      ipam: { type: 'static' },
    }),
    element: { ips: ['192.0.2.17/28', '2001:db8::17/64'], mac: '02:00:00:00:17:01' },
    seen: async (pod) => {
      assert.equal((await addresses(pod, 'net1')).sort(), ['192.0.2.17/28', '2001:db8::17/64'])
      assert.is((await link(pod, 'net1'))?.address, '02:00:00:00:17:01')
    },
  },
  {
    title: 'ptp',
    config: (node) => ({ cniVersion: '1.0.0', type: 'ptp', ipam: hostLocal(node, '10.63.0.0/24') }),
    seen: async (pod) => assert.is((await addresses(pod, 'net1')).length, 1),
  },
  {
    title: 'host-device takes a veth of the node into the pod',
    prepare: async (node) => {
      await node.host.exec('ip', ['link', 'add', 'spare0', 'type', 'veth', 'peer', 'name', 'spare0-peer'])
    },
    config: () => ({ cniVersion: '1.0.0', type: 'host-device', device: 'spare0' }),
    seen: async (pod, node) => {
      assert.ok(await link(pod, 'net1'))
      assert.is(
        (await node.host.links()).some(({ ifname }) => ifname === 'spare0'),
        false,
      )
    },
  },
  {
    title: 'tuning in a chain sets a sysctl and the MAC that the annotation asks for',
    config: (node) => ({
      cniVersion: '1.0.0',
      plugins: [
        node.bridge(64),
        {
          type: 'tuning',
          capabilities: { mac: true },
          sysctl: { 'net.ipv4.conf.IFNAME.arp_filter': '1' },
          dataDir: node.leaseDir,
        },
      ],
    }),
    element: { mac: '02-00-00-00-64-0A' },
    // The plugin's own CHECK takes IFNAME in a key for an interface of that name.
    isChecked: false,
    seen: async (pod) => {
      assert.is((await link(pod, 'net1'))?.address, '02:00:00:00:64:0a')
      assert.is((await pod.netns.exec('cat', ['/proc/sys/net/ipv4/conf/net1/arp_filter'])).trim(), '1')
    },
  },
  {
    title: 'bandwidth in a chain shapes what the annotation asks for',
    config: (node) => ({
      cniVersion: '1.0.0',
      plugins: [node.bridge(65), { type: 'bandwidth', capabilities: { bandwidth: true } }],
    }),
    element: {
      bandwidth: {
        ingressRate: 1_000_000,
        ingressBurst: 1_000_000,
        egressRate: 2_000_000,
        egressBurst: 2_000_000,
      },
    },
    seen: async (_pod, node) =>
      assert.match(await node.host.exec('tc', ['qdisc', 'show']), /qdisc tbf .*rate 1Mbit/),
  },
  {
    title: 'sbr in a chain gives the interface a routing table of its own',
    config: (node) => ({
      cniVersion: '1.0.0',
      plugins: [
        node.bridge(66, {
          isGateway: true,
          ipam: hostLocal(node, '10.66.0.0/24', { routes: [{ dst: '0.0.0.0/0' }] }),
        }),
        { type: 'sbr' },
      ],
    }),
    // The bridge plugin's CHECK looks in the main table for the route that sbr has moved.
    isChecked: false,
    seen: async (pod) => assert.match(await pod.netns.exec('ip', ['rule']), /from 10\.66\.0\.\d+ lookup 100/),
  },
  {
    title: 'firewall in a chain',
    feature: 'iptables',
    config: (node) => ({
      cniVersion: '1.0.0',
      plugins: [node.bridge(67), { type: 'firewall', backend: 'iptables' }],
    }),
    seen: async (_pod, node) =>
      assert.match(await node.host.exec('iptables-save', ['-t', 'filter']), /CNI-FORWARD .*10\.67\.0\.2/),
  },
  {
    title: 'host-local gives the address that the annotation asks for',
    config: (node) => node.bridge(68, { capabilities: { ips: true } }),
    element: { ips: ['10.68.0.77'] },
    seen: async (pod) => assert.equal(await addresses(pod, 'net1'), ['10.68.0.77/24']),
  },
  {
    title: 'cni-args reach a plugin of the chain',
    config: (node) => ({
      cniVersion: '1.0.0',
      plugins: [node.bridge(69), { type: 'tuning', dataDir: node.leaseDir }],
    }),
    element: { 'cni-args': { mtu: 1300 } },
    isChecked: false,
    seen: async (pod) => assert.is((await link(pod, 'net1'))?.mtu, 1300),
  },
  {
    title: 'vlan',
    feature: 'vlan',
    config: (node) => ({
      cniVersion: '1.0.0',
      type: 'vlan',
      master: 'uplink0',
      vlanId: 70,
      ipam: hostLocal(node, '10.70.0.0/24'),
    }),
    seen: async (pod) => assert.equal(await addresses(pod, 'net1'), ['10.70.0.2/24']),
  },
  {
    title: 'ipvlan',
    feature: 'ipvlan',
    config: (node) => ({
      cniVersion: '1.0.0',
      type: 'ipvlan',
      master: 'uplink0',
      ipam: hostLocal(node, '10.71.0.0/24'),
    }),
    seen: async (pod) => assert.equal(await addresses(pod, 'net1'), ['10.71.0.2/24']),
  },
  {
    title: 'vrf in a chain',
    feature: 'vrf',
    config: (node) => ({ cniVersion: '1.0.0', plugins: [node.bridge(72), { type: 'vrf', vrfname: 'red' }] }),
    seen: async (pod) => assert.ok(await link(pod, 'red')),
  },
]

const present: Case[] = []
for (const one of CASES) {
  if (one.feature === undefined || (await kernelHas(one.feature))) present.push(one)
  else skipped(one.title, one.feature)
}

spec('an extra network made by a plugin of the distribution', (it) => {
  for (const { title, config, element = {}, prepare, seen, isChecked = true } of present) {
    it(`${title}: attached, checked, deleted without a trace`, async () => {
      const node = await testNode()
      await prepare?.(node)
      node.write(nad({ name: 'extra', config: config(node) }))
      const pod = await node.pod({ networks: [{ name: 'extra', ...element }] })
      const added = await pod.run('ADD')
      assert.is(added.status, 0, added.stdout + added.stderr)
      await seen(pod, node)
      if (isChecked) {
        const checked = await pod.run('CHECK')
        assert.is(checked.status, 0, checked.stdout)
        assert.is(checked.stdout, '')
      }
      const deleted = await pod.run('DEL')
      assert.is(deleted.status, 0, deleted.stdout)
      assert.is(deleted.stdout, '')
      assert.equal(
        (await pod.netns.links()).map(({ ifname }) => ifname),
        ['lo'],
      )
      assert.equal(
        leases(node.leaseDir).filter((file) => !file.endsWith('.json')),
        [],
      )
    })
  }
})
