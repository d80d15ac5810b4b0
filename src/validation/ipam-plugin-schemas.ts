import {
  absolutePath,
  cidr,
  flag,
  integer,
  ip,
  ipamSchema,
  list,
  object,
  type PluginSchema,
  routes,
  text,
  type ValueSchema,
} from './plugin-schema.ts'

const range = {
  subnet: text('Subnet with prefix length.'),
  rangeStart: ip('First address to give.'),
  rangeEnd: ip('Last address to give.'),
  gateway: ip('Gateway; absent for the first address of the subnet.'),
} satisfies Record<string, ValueSchema>

const whereaboutsRange = {
  range: text('Subnet, or `first-last/prefix length`.'),
  range_start: ip('First address to give.'),
  range_end: ip('Last address to give.'),
  exclude: list(cidr('A prefix.'), 'Prefixes that are not given.'),
  enable_l3: flag('Whether the first and the last address are given too.'),
} satisfies Record<string, ValueSchema>

const dhcpOption = object(
  {
    option: { description: 'Number or name of the option.' },
    value: text('Its value.'),
    fromArg: text('Key of CNI_ARGS that has its value.'),
    skipDefault: flag('Whether the options that are sent by default are left out.'),
  },
  'A DHCP option.',
)

/** Plugins that choose addresses; the keys are those of `ipam`. */
export const IPAM_PLUGIN_SCHEMAS: Readonly<Record<string, PluginSchema>> = {
  'host-local': ipamSchema('host-local', 'Addresses out of ranges, kept on the node.', {
    ranges: list(
      list(object(range, 'A range.', ['subnet']), 'Ranges of which one address is given.'),
      'Sets of ranges; one address is given of each set.',
    ),
    ...range,
    routes,
    resolvConf: text('File whose DNS settings go into the result.'),
    dataDir: absolutePath('Folder of the addresses that are given.'),
  }),
  static: ipamSchema('static', 'Addresses as they are written.', {
    addresses: list(
      object({ address: cidr('Address with prefix length.'), gateway: ip('Gateway.') }, 'An address.', [
        'address',
      ]),
      'Addresses of the interface.',
    ),
    routes,
    dns: { type: 'object', description: 'DNS settings of the result.' },
  }),
  dhcp: ipamSchema('dhcp', 'Addresses from a DHCP server, through the dhcp daemon.', {
    daemonSocketPath: text("The daemon's socket."),
    request: list(dhcpOption, 'Options to ask for.'),
    provide: list(dhcpOption, 'Options to send.'),
    priority: integer('Metric of the routes.', 0),
    routes,
  }),
  whereabouts: ipamSchema('whereabouts', 'Addresses out of ranges, kept in the cluster.', {
    ...whereaboutsRange,
    ipRanges: list(object(whereaboutsRange, 'A range.', ['range']), 'Ranges; one address is given of each.'),
    gateway: ip('Gateway.'),
    routes,
    addresses: list(
      object({ address: cidr('Address with prefix length.'), gateway: ip('Gateway.') }, 'An address.', [
        'address',
      ]),
      'Further addresses as they are written.',
    ),
    dns: { type: 'object', description: 'DNS settings of the result.' },
    network_name: text('Name under which the addresses are kept.'),
    enable_overlapping_ranges: flag('Whether ranges that overlap are kept apart.'),
    exclude_gateway: flag('Whether the gateway is never given.'),
    optimistic_ipam: flag('Whether addresses are taken without a leader.'),
    node_slice_size: text('Size of the part of each node.'),
    datastore: text('`kubernetes` or `etcd`.'),
    kubernetes: object({ kubeconfig: text('Kubeconfig.'), k8s_api_root: text('API root.') }, 'The cluster.'),
    etcd_host: text('etcd.'),
    etcd_username: text('etcd.'),
    etcd_password: text('etcd.'),
    etcd_key_file: text('etcd.'),
    etcd_cert_file: text('etcd.'),
    etcd_ca_cert_file: text('etcd.'),
    leader_lease_duration: integer('Milliseconds.', 0),
    leader_renew_deadline: integer('Milliseconds.', 0),
    leader_retry_period: integer('Milliseconds.', 0),
    sleep_for_race: integer('Seconds; for tests.', 0),
    log_file: text('File of the log.'),
    log_level: text('Least severity that is logged.'),
    configuration_path: text('File with further keys.'),
    overlapping_ranges: flag('Older name of `enable_overlapping_ranges`.'),
    reconciler_cron_expression: text('When leaks are looked for.'),
  }),
}
