import type {
  MappedInterface,
  MappedNetwork,
  MappedPod,
  NetworkMap,
  PodMap,
} from '../../src/map/network-map.ts'

const NAMESPACES = ['telco', 'shop', 'storage-system', 'default', 'monitoring']

const network = (name: string, plugins: string[], facts: string[], isDefault = false): MappedNetwork => ({
  name,
  isDefault,
  plugins,
  facts,
  problem: null,
})

/** Networks as clusters have them: for everybody, for two namespaces, for one, and for nobody. */
const NETWORKS: readonly MappedNetwork[] = [
  network('cluster', ['bridge', 'portmap'], ['bridge cni0', '10.244.0.0/24'], true),
  network('infra/storage', ['macvlan'], ['on eth1', 'mode bridge', '192.168.10.0/24', '2001:db8:10::/64']),
  network('telco/n3', ['sriov', 'tuning'], ['VLAN 300', 'MTU 9000', '10.3.0.0/16']),
  network('telco/n4', ['ipvlan'], ['on eth2', '10.4.0.0/16']),
  network('telco/n6-with-a-name-that-somebody-thought-about', ['vlan'], ['on eth2', 'VLAN 600']),
  network('shop/payments', ['bridge', 'tuning', 'firewall'], ['bridge br-pay', 'VLAN 12', '10.9.0.0/24']),
  network('monitoring/span-port', ['host-device'], ['device eth7']),
  { ...network('default/broken', [], []), problem: 'spec.config of NAD default/broken: not JSON' },
]

const EXTRA: Readonly<Record<string, readonly string[]>> = {
  telco: ['telco/n3', 'telco/n4', 'telco/n6-with-a-name-that-somebody-thought-about'],
  shop: ['shop/payments', 'infra/storage'],
  'storage-system': ['infra/storage', 'infra/storage'],
  monitoring: ['monitoring/span-port'],
}

/** A map of so many pods in several namespaces; the same for the same number. */
export function sampleMap(size: number, names = NAMESPACES): NetworkMap {
  const pods = Array.from({ length: size }, (_, index) => samplePodRow(index, names))
  return { origin: 'journal', networks: NETWORKS, pods }
}

function samplePodRow(index: number, names: readonly string[]): MappedPod {
  const namespace = names[index % names.length] ?? ''
  const wanted = (EXTRA[namespace] ?? []).filter((_, number) => (index + number) % 4 !== 3)
  return {
    namespace,
    name: index % 7 === 6 ? `${namespace}-controller-7d4b9c6f5-x${index}zq` : `${namespace}-${index}`,
    containerId: `${index}`.padStart(12, 'c0ffee'),
    remark: index % 23 === 11 ? 'undo pending' : null,
    interfaces: ['cluster', ...wanted].map((name, number) => sampleInterface(name, index, number)),
  }
}

function sampleInterface(network: string, index: number, number: number): MappedInterface {
  const host = `${Math.floor(index / 250)}.${(index % 250) + 2}`
  const isSriov = network === 'telco/n3'
  const isMissing = number > 0 && index % 19 === 5
  const isDual = network === 'infra/storage'
  const addresses = network.startsWith('monitoring/')
    ? []
    : [`10.${number}.${host}/24`, ...(isDual ? [`2001:db8:10::${(index + 2).toString(16)}/64`] : [])]
  return {
    network,
    ifName: number === 0 ? 'eth0' : `net${number}`,
    addresses: isMissing ? [] : addresses,
    mac: `0a:58:0a:f4:00:${(index % 256).toString(16).padStart(2, '0')}`,
    device: isSriov ? `pci 0000:3b:02.${index % 8}` : null,
    hasDefaultRoute: number === 0,
    state: isMissing ? 'not attached' : 'attached',
  }
}

/** A pod on three networks, one of them optional and failed. */
export function samplePod(): PodMap {
  const [eth0, net1, net2] = [
    sampleInterface('cluster', 0, 0),
    sampleInterface('telco/n3', 0, 1),
    sampleInterface('infra/storage', 5, 2),
  ].filter((each) => each !== undefined)
  if (eth0 === undefined || net1 === undefined || net2 === undefined) throw new Error('no interface')
  const call = (network: string, ifName: string, plugin: string, startMs: number, durationMs: number) => ({
    ...{ network, ifName, plugin, command: 'ADD', startMs, durationMs, error: null },
  })
  return {
    origin: 'journal',
    namespace: 'telco',
    name: 'upf-0',
    containerId: 'c0ffee0123456789c0ffee0123456789c0ffee0123456789',
    remark: null,
    time: '2026-01-02T03:04:05.678Z',
    durationMs: 148.2,
    attachments: [
      {
        ...eth0,
        plugins: [
          { type: 'bridge', facts: ['bridge cni0', '10.244.0.0/24'] },
          { type: 'portmap', facts: [] },
        ],
      },
      {
        ...net1,
        plugins: [
          { type: 'sriov', facts: ['VLAN 300', '10.3.0.0/16'] },
          { type: 'tuning', facts: ['MTU 9000'] },
        ],
      },
      { ...net2, plugins: [{ type: 'macvlan', facts: ['on eth1', 'mode bridge', '192.168.10.0/24'] }] },
    ],
    calls: [
      call('cluster', 'eth0', 'bridge', 3.2, 38.1),
      call('cluster', 'eth0', 'portmap', 41.6, 9.7),
      call('n3', 'net1', 'sriov', 52.1, 61.4),
      call('n3', 'net1', 'tuning', 113.8, 6.2),
      { ...call('storage', 'net2', 'macvlan', 120.4, 12.9), error: 100 },
      { ...call('storage', 'net2', 'macvlan', 133.9, 8.1), command: 'DEL' },
    ],
  }
}
