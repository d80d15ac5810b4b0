import {
  choice,
  flag,
  integer,
  interfaceName,
  list,
  mac,
  mtu,
  object,
  type PluginSchema,
  pluginSchema,
  text,
  type ValueSchema,
  vlan,
} from './plugin-schema.ts'

const master = interfaceName('Interface on the host; absent for the one of the default route.')
const linkInContainer = flag('Whether `master` is an interface of the pod.')
const deviceID = text('PCI address of the device, `0000:03:02.1`; mostly injected from the resource.')
const backend = choice(['iptables', 'nftables'], 'How traffic is masqueraded.')

const trunk: ValueSchema = list(
  object(
    {
      minID: integer('Lowest VLAN.', 1, 4094),
      maxID: integer('Highest VLAN.', 1, 4094),
      id: integer('One VLAN.', 1, 4094),
    },
    'A VLAN, or VLANs from `minID` to `maxID`.',
  ),
  'VLANs that pass tagged.',
)

/** Plugins that make an interface. */
export const MAIN_PLUGIN_SCHEMAS: Readonly<Record<string, PluginSchema>> = {
  bridge: pluginSchema('bridge', 'A veth pair whose host end is a port of a Linux bridge.', {
    bridge: interfaceName('Name of the bridge; `cni0` when absent.'),
    isGateway: flag('Whether the bridge gets the gateway address.'),
    isDefaultGateway: flag("Whether the bridge is the pod's default gateway too."),
    forceAddress: flag('Whether another address of the bridge is replaced.'),
    ipMasqBackend: backend,
    mtu,
    hairpinMode: flag('Whether the port sends back what comes from it.'),
    promiscMode: flag('Whether the bridge is promiscuous.'),
    vlan: vlan('VLAN of the port; 0 for none.'),
    vlanTrunk: trunk,
    preserveDefaultVlan: flag("Whether the port stays in the bridge's default VLAN too."),
    macspoofchk: flag('Whether frames with other source addresses are dropped.'),
    enabledad: flag('Whether duplicate addresses are looked for.'),
    portIsolation: flag('Whether the port reaches no other isolated port.'),
    disableContainerInterface: flag("Whether the pod's interface stays down."),
  }),
  macvlan: pluginSchema('macvlan', 'A macvlan interface over an interface of the host.', {
    master,
    mode: choice(['', 'bridge', 'private', 'vepa', 'passthru'], 'Mode; `bridge` when absent.'),
    mtu,
    linkInContainer,
    bcqueuelen: integer('Length of the queue for broadcasts.', -1),
  }),
  ipvlan: pluginSchema('ipvlan', 'An ipvlan interface over an interface of the host.', {
    master,
    mode: choice(['', 'l2', 'l3', 'l3s'], 'Mode; `l2` when absent.'),
    mtu,
    linkInContainer,
  }),
  vlan: pluginSchema(
    'vlan',
    'A VLAN interface over an interface of the host.',
    { master: interfaceName('Interface on the host.'), vlanId: vlan('VLAN.'), mtu, linkInContainer },
    ['master'],
  ),
  'host-device': pluginSchema('host-device', 'An interface of the host, moved into the pod.', {
    device: interfaceName('Name of the interface.'),
    hwaddr: mac('Its hardware address.'),
    kernelpath: text("Its path in the kernel's object tree."),
    pciBusID: text('Its PCI address.'),
    deviceID,
  }),
  ptp: pluginSchema('ptp', 'A veth pair with a route through the host.', { mtu, ipMasqBackend: backend }),
  dummy: pluginSchema('dummy', 'An interface that leads nowhere.', {}),
  tap: pluginSchema('tap', 'A tap device.', {
    mtu,
    mac: mac('Hardware address.'),
    multiQueue: flag('Whether it has several queues.'),
    owner: integer('User id of the owner.', 0),
    group: integer('Group id of the owner.', 0),
    selinuxContext: text('SELinux label under which it is made.'),
    bridge: interfaceName('Bridge that it becomes a port of.'),
  }),
  sriov: pluginSchema('sriov', 'A virtual function of an SR-IOV network card.', {
    deviceID,
    vlan: vlan('VLAN of the virtual function; 0 for none.'),
    vlanQoS: integer('VLAN priority.', 0, 7),
    vlanProto: {
      type: 'string',
      pattern: '^802\\.1([qQ]|[aA][dD])$',
      $comment: '802.1q or 802.1ad',
      description: 'VLAN protocol.',
    },
    mac: mac('Hardware address.'),
    min_tx_rate: integer('Least rate in Mbit/s; 0 for none.', 0),
    max_tx_rate: integer('Highest rate in Mbit/s; 0 for none.', 0),
    spoofchk: choice(['', 'on', 'off'], 'Spoof check.'),
    trust: choice(['', 'on', 'off'], 'Trust.'),
    link_state: choice(['', 'auto', 'enable', 'disable'], 'State of the link.'),
    vlan_trunk: text('VLANs that pass tagged: `2,4,10-20`.'),
    logLevel: choice(['', 'panic', 'error', 'warning', 'info', 'debug'], 'Least severity that is logged.'),
    logFile: text('File of the log.'),
    resourceName: text('Not read by the plugin: the annotation of the NAD is what counts.'),
  }),
  ovs: pluginSchema('ovs', 'A port of an Open vSwitch bridge.', {
    bridge: text('Name of the bridge; it must be there.'),
    vlan: integer('VLAN of the port.', 0, 4095),
    trunk,
    mtu,
    deviceID,
    ofport_request: integer('OpenFlow port number.', 1, 65279),
    interface_type: text('Open vSwitch interface type.'),
    configuration_path: text('File with further keys.'),
    socket_file: text("Socket of Open vSwitch's database."),
    link_state_check_retries: integer('How often the link is looked at.', 0),
    link_state_check_interval: integer('Milliseconds between two looks.', 0),
  }),
  bond: pluginSchema(
    'bond',
    'A bond over interfaces of the pod or of the host.',
    {
      ifname: interfaceName('Name of the bond; absent for the interface name of the attachment.'),
      mode: choice(
        ['balance-rr', 'active-backup', 'balance-xor', 'broadcast', '802.3ad', 'balance-tlb', 'balance-alb'],
        'Bonding mode.',
      ),
      miimon: {
        type: 'string',
        pattern: '^[0-9]+$',
        $comment: 'a number of milliseconds in quotes',
        description: 'Milliseconds between two looks at the links.',
      },
      mtu,
      failOverMac: integer('Which address the bond has: 0 none, 1 active, 2 follow.', 0, 2),
      linksInContainer: flag('Whether the links are interfaces of the pod.'),
      links: {
        type: 'array',
        minItems: 2,
        items: object({ name: interfaceName('Name of the interface.') }, 'A link.', ['name']),
        description: 'Interfaces of the bond.',
      },
      allSlavesActive: integer('Whether frames on inactive links are taken.', 0, 1),
      tlbDynamicLb: integer('Whether flows are moved between links.', 0, 1),
      xmitHashPolicy: choice(
        ['layer2', 'layer2+3', 'layer3+4', 'encap2+3', 'encap3+4', 'vlan+srcmac'],
        'What decides the link of a flow.',
      ),
    },
    ['mode', 'miimon', 'links'],
  ),
}
