import type { NetworkSystem } from './network-system.ts'

/** Systems of clouds, of network vendors and of telecommunication projects. */
export const AWS: NetworkSystem = {
  id: 'aws',
  title: 'AWS VPC CNI',
  files: ['10-aws.conflist'],
  types: ['aws-cni', 'egress-cni', 'portmap', 'bandwidth'],
  mark: { first: ['aws-cni'] },
  cniVersion: '0.4.0',
  portMappings: 'plugin',
  bandwidth: 'plugin',
  readiness: [
    {
      kind: 'any',
      of: [
        { kind: 'socket', path: '/var/run/aws-node/ipamd.sock' },
        { kind: 'tcp', host: '127.0.0.1', port: 50051 },
      ],
    },
  ],
  notReady: 'add cmd: failed to connect to backend server',
  quirks: [
    {
      quirk: 'Its list says `disableCheck`: the plugin has no CHECK at all.',
      remedy: 'Nothing to do: it is not called.',
    },
    {
      quirk: 'Its result has an interface `dummy…` whose fields hold numbers that DEL needs.',
      remedy: 'Nothing to do: DEL gets the result as it was.',
    },
    {
      quirk: '`add cmd: failed to assign an IP address to container`: the subnet or the ENI is full.',
      remedy: "Give the node's subnet or instance more addresses.",
    },
  ],
  extra: {
    works: false,
    because: "Its addresses belong to the pod's one interface; see its multi-NIC mode.",
  },
}

export const AZURE: NetworkSystem = {
  id: 'azure',
  title: 'Azure CNI',
  files: ['10-azure.conflist', '15-azure-swift-overlay.conflist', '*-azure*.conflist'],
  types: ['azure-vnet', 'azure-vnet-ipam', 'azure-ipam', 'portmap'],
  mark: { first: ['azure-vnet'] },
  cniVersion: '0.3.0',
  portMappings: 'plugin',
  bandwidth: 'nobody',
  readiness: [{ kind: 'tcp', host: '127.0.0.1', port: 10090 }],
  notReady: 'Failed to get IP address from CNS',
  quirks: [
    {
      quirk: 'With `ipam.type` `azure-cns` there is no executable of that name.',
      remedy: 'Nothing to do: it is not looked for.',
    },
    {
      quirk: 'A crash can leave the lock of `/var/run/azure-vnet.json`.',
      remedy: 'Remove `azure-vnet.json.lock` below `/var/run` when no azure-vnet runs.',
    },
  ],
  extra: { works: false, because: 'Its state knows one interface for each pod.' },
}

export const NSX: NetworkSystem = {
  id: 'nsx',
  title: 'VMware NSX (NCP)',
  files: ['10-nsx.conflist', '10-nsx.conf*'],
  types: ['nsx'],
  mark: { first: ['nsx'] },
  cniVersion: '0.3.1',
  portMappings: 'unknown',
  bandwidth: 'unknown',
  readiness: [{ kind: 'file', path: '/var/run/nsx-ujo' }],
  notReady: 'Failed to connect k8s apiserver',
  quirks: [
    {
      quirk: 'Its bootstrap container may clear the conf directory.',
      remedy: 'Nothing to do: the daemon puts our file back.',
    },
    {
      quirk: "A pod of the same name, made while NCP is down, gets the old one's network.",
      remedy: 'Wait for NCP before the pod is made again.',
    },
  ],
  extra: { works: false, because: 'The agent serves one interface for each pod.' },
}

export const ACI: NetworkSystem = {
  id: 'aci',
  title: 'Cisco ACI CNI',
  files: ['01-opflex-cni.conf', '10-opflex-cni.conf', '*opflex-cni.conf'],
  types: ['opflex-agent-cni', 'netop-cni'],
  mark: { first: ['opflex-agent-cni'] },
  cniVersion: '0.3.1',
  portMappings: 'nobody',
  bandwidth: 'nobody',
  readiness: [{ kind: 'socket', path: '/var/run/aci-containers-ep-rpc.sock' }],
  notReady: 'Gave up waiting for network',
  quirks: [
    {
      quirk: 'It may wait 210 s for its network, longer than the runtime waits for a pod.',
      remedy: 'Lower `wait-for-network-duration` below 100, or the pod is tried again.',
    },
    {
      quirk: 'Chained, it appends `netop-cni` to the first list, which is ours.',
      remedy: 'Nothing to do: the entry stays when our file is written.',
    },
  ],
  extra: { works: false, because: "The endpoint is the pod's." },
}

export const HYBRIDNET: NetworkSystem = {
  id: 'hybridnet',
  title: 'Hybridnet',
  files: ['06-hybridnet.conflist', '*-hybridnet.conflist'],
  types: ['hybridnet'],
  mark: { first: ['hybridnet'] },
  cniVersion: '0.3.1',
  portMappings: 'nobody',
  bandwidth: 'nobody',
  readiness: [{ kind: 'socket', path: '/run/cni/hybridnet.sock' }],
  notReady: 'dial unix /run/cni/hybridnet.sock',
  quirks: [
    {
      quirk: 'Host ports do not work with the file as it writes it.',
      remedy: 'Add `portmap` to its list.',
    },
  ],
  extra: { works: false, because: 'Its agent makes `eth0` whatever interface is asked for.' },
}

export const DANM: NetworkSystem = {
  id: 'danm',
  title: 'DANM',
  files: ['00-danm.conf'],
  types: ['danm', 'fakeipam'],
  mark: { first: ['danm'] },
  cniVersion: '0.3.1',
  portMappings: 'nobody',
  bandwidth: 'nobody',
  readiness: [{ kind: 'file', path: '/etc/cni/net.d/danm-kubeconfig' }],
  notReady: 'Parsing kubeconfig failed with error',
  quirks: [
    {
      quirk: 'It is a meta-plugin too, and its file sorts before ours: the runtime would call it.',
      remedy:
        'Move `00-danm.conf` away and name the network below it by `defaultNetwork`. To keep DANM for the default network, move the file to another folder and name it there.',
    },
    {
      quirk: 'With `"namingScheme": "legacy"` a pod may have no `eth0`.',
      remedy: 'Leave `namingScheme` empty.',
    },
  ],
  extra: { works: false, because: 'It attaches several networks by itself.' },
  isMetaPlugin: true,
}

export const NODUS: NetworkSystem = {
  id: 'nodus',
  title: 'OVN4NFV (Nodus)',
  files: ['20-network.conf'],
  types: ['ovn4nfvk8s-cni'],
  mark: { first: ['ovn4nfvk8s-cni'] },
  cniVersion: '0.3.1',
  portMappings: 'nobody',
  bandwidth: 'nobody',
  readiness: [
    {
      kind: 'socket',
      path: '/var/run/ovn4nfv-k8s-plugin/cniserver/ovn4nfv-k8s-plugin-cni-server.sock',
    },
  ],
  notReady: 'cnishim req missing K8S_POD_NAME',
  quirks: [
    {
      quirk: 'The interface `*` of its annotation is served on `eth0` only.',
      remedy: 'Name the interface when it is an extra network.',
    },
  ],
  extra: { works: true, because: 'For service function chains, with the interface named in its annotation.' },
}

export const TERWAY: NetworkSystem = {
  id: 'terway',
  title: 'Terway',
  files: ['10-terway.conflist', '10-terway.conf*'],
  types: ['terway', 'portmap', 'cilium-cni'],
  mark: { first: ['terway'] },
  cniVersion: '0.4.0',
  portMappings: 'plugin',
  bandwidth: 'agent',
  readiness: [{ kind: 'socket', path: '/var/run/eni/eni.socket' }],
  notReady: 'dial unix /var/run/eni/eni.socket',
  quirks: [
    {
      quirk: "The `bandwidth` capability is its own plugin's.",
      remedy: 'Do not add the `bandwidth` plugin.',
    },
  ],
  extra: { works: false, because: 'It has a multi-network feature of its own.' },
}

export const GKE: NetworkSystem = {
  id: 'gke',
  title: 'GKE',
  files: ['10-gke-ptp.conflist', '10-gke-*.conflist'],
  types: ['ptp', 'gke', 'host-local', 'cilium-cni', 'portmap', 'bandwidth'],
  mark: { file: true },
  cniVersion: '0.3.1, newer 1.1.0',
  portMappings: 'plugin',
  bandwidth: 'plugin',
  readiness: [{ kind: 'file', path: '/etc/cni/net.d/10-gke-ptp.conflist' }],
  notReady: 'there is no conf file until netd has written it',
  quirks: [
    {
      quirk: 'Plugins are in `/home/kubernetes/bin`; `/opt` is read-only.',
      remedy: 'Install into that folder; `binDirs` of `plexus.shim` names it.',
    },
    {
      quirk: 'Autopilot refuses hostPath volumes that are written to.',
      remedy: 'Use a Standard cluster.',
    },
  ],
  extra: { works: false, because: 'It has a multi-network product of its own.' },
}
