import {
  absolutePath,
  choice,
  cidr,
  flag,
  integer,
  interfaceName,
  ip,
  list,
  mac,
  type PluginSchema,
  pluginSchema,
  routes,
  text,
} from './plugin-schema.ts'

const BURST_LIMIT_BITS = (2 ** 32 - 1) * 8 - 1
const rate = (description: string) => integer(description, 0)
const burst = (description: string) => integer(description, 0, BURST_LIMIT_BITS)

/** Plugins that change what others before them in the list have made. */
export const CHAINED_PLUGIN_SCHEMAS: Readonly<Record<string, PluginSchema>> = {
  tuning: pluginSchema('tuning', 'Sysctls and attributes of the interface.', {
    sysctl: {
      type: 'object',
      additionalProperties: text('Its value.'),
      description: 'Sysctls below `net` by name; values are texts.',
    },
    mac: mac('Hardware address.'),
    mtu: integer('MTU; 0 leaves it.', 0, 65536),
    promisc: flag('Whether the interface is promiscuous.'),
    allmulti: flag('Whether it takes all multicast.'),
    txQLen: integer('Length of the transmit queue.', 0),
    dataDir: absolutePath('Where the values from before are kept.'),
  }),
  portmap: pluginSchema('portmap', 'Ports of the host that lead to the pod.', {
    backend: choice(['iptables', 'nftables'], 'How it is done.'),
    snat: flag('Whether traffic from the host itself is masqueraded.'),
    masqAll: flag('Whether all forwarded traffic is masqueraded.'),
    markMasqBit: integer('Bit of the mark.', 0, 31),
    externalSetMarkChain: text('Chain that marks, in place of our own.'),
    conditionsV4: list(text('An argument.'), 'Further iptables arguments.'),
    conditionsV6: list(text('An argument.'), 'Further ip6tables arguments.'),
  }),
  bandwidth: pluginSchema('bandwidth', 'Limits to the rate of the interface.', {
    ingressRate: rate('Bits a second into the pod.'),
    ingressBurst: burst('Bits of a burst into the pod.'),
    egressRate: rate('Bits a second out of the pod.'),
    egressBurst: burst('Bits of a burst out of the pod.'),
    unshapedSubnets: list(cidr('A subnet.'), 'Subnets without a limit.'),
    shapedSubnets: list(cidr('A subnet.'), 'The only subnets with a limit.'),
  }),
  sbr: pluginSchema('sbr', 'Routing by source address.', {
    table: integer('Routing table; absent for a free one from 100.', 1),
    gateways: list(ip('Gateway of its family.'), 'Gateways, in place of those of the addresses.'),
    addSourceHints: flag('Whether the routes name the source address.'),
  }),
  vrf: pluginSchema(
    'vrf',
    'A VRF that the interface belongs to.',
    { vrfname: interfaceName('Name of the VRF.'), table: integer('Routing table; 0 for a free one.', 0) },
    ['vrfname'],
  ),
  firewall: pluginSchema('firewall', "The host's firewall lets the pod's traffic pass.", {
    backend: choice(['', 'iptables', 'firewalld', 'nftables'], 'How it is done.'),
    iptablesAdminChainName: text("Chain for the administrator's rules."),
    firewalldZone: text('Zone of firewalld.'),
    ingressPolicy: choice(['', 'open', 'same-bridge', 'isolated'], 'What may come in.'),
  }),
  'route-override': pluginSchema('route-override', 'Routes of the pod, changed.', {
    flushroutes: flag('Whether all routes are removed.'),
    flushgateway: flag('Whether the default route is removed.'),
    delroutes: routes,
    addroutes: routes,
    skipcheck: flag('Whether CHECK looks at nothing.'),
  }),
}
