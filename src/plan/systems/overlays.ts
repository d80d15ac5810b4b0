import type { NetworkSystem } from './network-system.ts'

const CALICO_NODENAME = { kind: 'file', path: '/var/lib/calico/nodename' } as const
const CALICO_KUBECONFIG = { kind: 'file', path: '/etc/cni/net.d/calico-kubeconfig' } as const
const FLANNEL_ENV = { kind: 'file', path: '/run/flannel/subnet.env' } as const
const CILIUM_SOCKET = { kind: 'socket', path: '/var/run/cilium/cilium.sock' } as const
const CILIUM_HEALTH = { kind: 'http', url: 'http://127.0.0.1:9879/healthz' } as const

/** Systems that any cluster may run, as they install themselves. */
export const CALICO: NetworkSystem = {
  id: 'calico',
  title: 'Calico',
  files: ['10-calico.conflist', '*calico.conflist'],
  types: ['calico', 'calico-ipam', 'portmap', 'bandwidth'],
  mark: { first: ['calico'] },
  cniVersion: '1.0.0, older 0.3.1',
  portMappings: 'plugin',
  bandwidth: 'plugin or agent',
  readiness: [CALICO_NODENAME, CALICO_KUBECONFIG],
  notReady: 'stat /var/lib/calico/nodename: no such file or directory',
  quirks: [
    {
      quirk: 'Its list may say 0.3.1 while ours says 1.1.0.',
      remedy: 'Nothing to do: each plugin is called in its own version and the result is converted.',
    },
    {
      quirk: '`connection is unauthorized: Unauthorized`: the token in `calico-kubeconfig` is stale.',
      remedy: 'Restart calico-node on the node; it writes the file anew.',
    },
    {
      quirk: 'Pods reach everything through 169.254.1.1, which is on no subnet.',
      remedy: 'Leave that route as it is; give only other networks routes of their own.',
    },
  ],
  extra: {
    works: true,
    because: 'Unusual: each interface name is an endpoint of its own. Take another interface than `eth0`.',
  },
}

export const CANAL: NetworkSystem = {
  id: 'canal',
  title: 'Canal',
  files: ['10-canal.conflist', '*canal.conflist'],
  types: ['calico', 'host-local', 'portmap'],
  mark: { first: ['calico'], ipam: 'host-local' },
  cniVersion: '1.0.0',
  portMappings: 'plugin',
  bandwidth: 'nobody',
  readiness: [CALICO_NODENAME, FLANNEL_ENV],
  notReady: 'stat /var/lib/calico/nodename: no such file or directory',
  quirks: [
    {
      quirk: '`"subnet": "usePodCidr"` is understood by the calico plugin only.',
      remedy: 'Do not copy its `ipam` into another network.',
    },
    {
      quirk: "The MTU has to be that of flannel's VXLAN: 1450 on a link of 1500.",
      remedy: "Set `veth_mtu` in Canal's ConfigMap.",
    },
  ],
  extra: { works: true, because: 'As Calico, with an `ipam` that has a subnet of its own.' },
}

export const FLANNEL: NetworkSystem = {
  id: 'flannel',
  title: 'Flannel',
  files: ['10-flannel.conflist', '*flannel.conflist'],
  types: ['flannel', 'bridge', 'host-local', 'portmap'],
  mark: { first: ['flannel'] },
  cniVersion: '0.3.1',
  portMappings: 'plugin',
  bandwidth: 'nobody',
  readiness: [FLANNEL_ENV, { kind: 'http', url: 'http://127.0.0.1:8081/readyz' }],
  notReady: "failed to load flannel 'subnet.env' file",
  quirks: [
    {
      quirk: 'It calls `bridge` and `host-local`, which it does not install.',
      remedy: 'Install the reference CNI plugins in the bin directory.',
    },
    {
      quirk: '`"cni0" already has an IP address different from …`: the node got another subnet.',
      remedy: '`ip link delete cni0` when no pod runs on the node; the next pod makes it anew.',
    },
    {
      quirk: 'What a pod got is kept by its container alone.',
      remedy: 'Give a second flannel network in a pod another `dataDir`.',
    },
  ],
  extra: { works: true, because: 'Only with a `dataDir` of its own; the bridge `cni0` is shared.' },
}

export const CILIUM: NetworkSystem = {
  id: 'cilium',
  title: 'Cilium',
  files: ['05-cilium.conflist', '05-cilium.conf*'],
  types: ['cilium-cni'],
  mark: { first: ['cilium-cni'] },
  cniVersion: '0.3.1',
  portMappings: 'agent',
  bandwidth: 'agent',
  readiness: [CILIUM_SOCKET, CILIUM_HEALTH],
  notReady: 'unable to connect to Cilium agent',
  quirks: [
    {
      quirk: 'Its agent renames every other conf file to `*.cilium_bak` by default, ours too.',
      remedy: "Set `cni.exclusive=false` in Cilium's Helm values; see Cilium, exclusive mode.",
    },
    {
      quirk: 'Host ports and bandwidth are done by the agent.',
      remedy: 'Do not chain `portmap` or `bandwidth` behind it.',
    },
  ],
  extra: {
    works: false,
    because: 'A second attachment in a pod ends in `unable to create veth pair: file exists`.',
  },
}

export const CILIUM_CHAINING: NetworkSystem = {
  id: 'cilium-chaining',
  title: 'Cilium, chained behind another plugin',
  files: ['05-cilium.conflist', '*.conflist'],
  types: ['cilium-cni', 'portmap'],
  mark: { later: 'cilium-cni' },
  cniVersion: '0.3.1',
  portMappings: 'plugin or agent',
  bandwidth: 'agent',
  readiness: [CILIUM_SOCKET],
  notReady: 'unable to connect to Cilium agent',
  quirks: [
    {
      quirk: "With `cni-chaining-target` the agent looks for a conf file by the network's name.",
      remedy: 'Never give our list the name of the target; it is `plexus` unless it was named.',
    },
    {
      quirk: '`CNI PrevResult supplied, but not in chaining mode`: the entry lacks `chaining-mode`.',
      remedy: "Set `cni-chaining-mode`, and keep the network's name as Cilium writes it.",
    },
  ],
  extra: { works: false, because: "Its endpoint is the pod's; there is one for each pod." },
}

export const CILIUM_EXCLUSIVE: NetworkSystem = {
  id: 'cilium-exclusive',
  title: 'Cilium, exclusive mode',
  files: ['05-cilium.conflist', '05-cilium.conf*'],
  types: ['cilium-cni'],
  mark: { has: 'cilium-cni', beside: '.cilium_bak' },
  cniVersion: '0.3.1',
  portMappings: 'agent',
  bandwidth: 'agent',
  readiness: [CILIUM_SOCKET, CILIUM_HEALTH],
  notReady: 'unable to connect to Cilium agent',
  quirks: [
    {
      quirk: 'Pods start with `eth0` alone and no error: our file has become `*.cilium_bak`.',
      remedy:
        "Set `cni.exclusive=false` in Cilium's Helm values and restart its agent; until then the daemon puts our file back.",
    },
    {
      quirk: 'Files that Cilium has renamed stay when the mode is off.',
      remedy: 'Remove the `*.cilium_bak` files that nobody needs.',
    },
  ],
  extra: {
    works: false,
    because: 'A second attachment in a pod ends in `unable to create veth pair: file exists`.',
  },
}

export const WEAVE: NetworkSystem = {
  id: 'weave',
  title: 'Weave Net',
  files: ['10-weave.conflist', '10-weave.conf*'],
  types: ['weave-net', 'weave-ipam', 'portmap'],
  mark: { first: ['weave-net'] },
  cniVersion: '0.3.0',
  portMappings: 'plugin',
  bandwidth: 'nobody',
  readiness: [{ kind: 'http', url: 'http://127.0.0.1:6784/status' }],
  notReady: 'dial tcp 127.0.0.1:6784: connect: connection refused',
  quirks: [
    {
      quirk: 'The project is archived; its plugin knows neither CHECK nor interfaces in the result.',
      remedy: 'Plan a move. CHECK is left out for it, and network-status has its addresses only.',
    },
  ],
  extra: {
    works: true,
    because: 'With an `ipam` of its own; it sets a default route, so let another network own that.',
  },
}

export const KUBE_OVN: NetworkSystem = {
  id: 'kube-ovn',
  title: 'Kube-OVN',
  files: ['01-kube-ovn.conflist', '*kube-ovn.conflist'],
  types: ['kube-ovn', 'portmap'],
  mark: { first: ['kube-ovn'] },
  cniVersion: '0.3.1',
  portMappings: 'plugin',
  bandwidth: 'agent',
  readiness: [{ kind: 'socket', path: '/run/openvswitch/kube-ovn-daemon.sock' }],
  notReady: 'RPC failed',
  quirks: [
    {
      quirk: 'Its file sorts before most others.',
      remedy: 'Keep ours at `00-`; do not rename it.',
    },
    {
      quirk: 'An empty `provider` means the default network only on `eth0`.',
      remedy: 'Give every further network `"provider": "<NAD>.<namespace>.ovn"`.',
    },
    {
      quirk: 'Its controller reads the networks annotation too.',
      remedy: 'Nothing to do: it prepares addresses and attaches nothing by itself.',
    },
  ],
  extra: {
    works: true,
    because: 'With `provider` equal to `<NAD>.<namespace>.ovn`; its `ipam` also serves macvlan and others.',
  },
}

export const ANTREA: NetworkSystem = {
  id: 'antrea',
  title: 'Antrea',
  files: ['10-antrea.conflist', '10-antrea.conf*'],
  types: ['antrea', 'portmap', 'bandwidth'],
  mark: { first: ['antrea'] },
  cniVersion: '0.3.0',
  portMappings: 'plugin',
  bandwidth: 'plugin',
  readiness: [{ kind: 'socket', path: '/var/run/antrea/cni.sock' }],
  notReady: 'dial unix /var/run/antrea/cni.sock',
  quirks: [
    {
      quirk: 'With its SecondaryNetwork feature the agent attaches NADs of `type: antrea` by itself.',
      remedy: 'Use that feature or Plexus for them, not both.',
    },
    {
      quirk: 'Together with NSX an adapter pod runs beside it.',
      remedy: 'Nothing to do: the conf files are those of Antrea alone.',
    },
  ],
  extra: {
    works: false,
    because:
      'Its own agent attaches its secondary networks; `ipam.type: antrea` works for macvlan and others.',
  },
}

export const OVN_KUBERNETES: NetworkSystem = {
  id: 'ovn-kubernetes',
  title: 'OVN-Kubernetes',
  files: ['10-ovn-kubernetes.conf'],
  types: ['ovn-k8s-cni-overlay'],
  mark: { first: ['ovn-k8s-cni-overlay'] },
  cniVersion: '0.4.0',
  portMappings: 'runtime',
  bandwidth: 'agent',
  readiness: [{ kind: 'socket', path: '/var/run/ovn-kubernetes/cni/ovn-cni-server.sock' }],
  notReady: 'failed to get pod annotation',
  quirks: [
    {
      quirk: 'It removes its file when it stops.',
      remedy: 'Nothing to do: Plexus is not ready until the file is back, and takes no other one meanwhile.',
    },
    {
      quirk: 'On OpenShift its file is in `/var/run/multus/cni/net.d`.',
      remedy: 'Set `multusAutoconfigDir` to that folder.',
    },
    {
      quirk: 'It compares K8S_POD_UID with the live pod.',
      remedy: 'Nothing to do: CNI_ARGS are handed on as they came.',
    },
  ],
  extra: {
    works: true,
    because: "With `topology`, and `netAttachDefName` equal to the NAD's own `namespace/name`.",
  },
}

export const KINDNET: NetworkSystem = {
  id: 'kindnet',
  title: 'kindnet',
  files: ['10-kindnet.conflist'],
  types: ['ptp', 'host-local', 'portmap'],
  mark: { first: ['ptp'], file: true },
  cniVersion: '0.3.1',
  portMappings: 'plugin',
  bandwidth: 'nobody',
  readiness: [{ kind: 'file', path: '/etc/cni/net.d/10-kindnet.conflist' }],
  notReady: 'there is no conf file until the Node has a podCIDR',
  quirks: [
    {
      quirk: 'Node images of kind have only `host-local`, `loopback`, `portmap` and `ptp`.',
      remedy: 'Install the reference CNI plugins before a NAD uses `bridge`, `macvlan` and others.',
    },
    {
      quirk: 'Its leases are in `/run`: a reboot forgets them.',
      remedy: 'Nothing to do: no pod outlives the reboot either.',
    },
  ],
  extra: {
    works: true,
    because: "`ptp` with another `dataDir` than kindnet's, and without the default route.",
  },
}

export const KUBE_ROUTER: NetworkSystem = {
  id: 'kube-router',
  title: 'kube-router',
  files: ['10-kuberouter.conflist', '10-kuberouter.conf*'],
  types: ['bridge', 'host-local', 'portmap'],
  mark: { first: ['bridge'], bridge: 'kube-bridge' },
  cniVersion: '0.3.0',
  portMappings: 'plugin',
  bandwidth: 'nobody',
  readiness: [{ kind: 'http', url: 'http://127.0.0.1:20244/healthz' }],
  notReady: 'no IP ranges specified',
  quirks: [
    {
      quirk: 'Its daemon writes the pod CIDR into the file after the start.',
      remedy: 'Nothing to do: a changed file counts within 2 seconds.',
    },
    {
      quirk: 'Its init step removes every `*.conf` when its own file is missing.',
      remedy: 'Nothing to do for ours, a `.conflist`; keep conf files of others as lists too.',
    },
  ],
  extra: { works: false, because: "The bridge `kube-bridge` is the node's own." },
}
