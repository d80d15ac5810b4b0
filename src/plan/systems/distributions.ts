import type { NetworkSystem } from './network-system.ts'
import { CALICO, CANAL, FLANNEL } from './overlays.ts'

/** Distributions that bring a default network in places or a form of their own. */
export const K3S: NetworkSystem = {
  ...FLANNEL,
  id: 'k3s',
  title: 'k3s',
  files: ['10-flannel.conflist'],
  folder: '/var/lib/rancher/k3s/agent/etc/cni/net.d',
  types: [...FLANNEL.types, 'bandwidth'],
  mark: { first: ['flannel'], has: 'bandwidth' },
  cniVersion: '1.0.0',
  bandwidth: 'plugin',
  // The agent runs inside k3s, without an endpoint of its own.
  readiness: [{ kind: 'file', path: '/run/flannel/subnet.env' }],
  quirks: [
    {
      quirk: 'Conf files are in `/var/lib/rancher/k3s/agent/etc/cni/net.d`, and move with `--data-dir`.',
      remedy: 'Set `confDir` to that folder.',
    },
    {
      quirk:
        'Plugins are in `/var/lib/rancher/k3s/data/cni`; before October 2024 in `data/current/bin`, which an upgrade moves.',
      remedy: 'Name the folder in `binDirs` of `plexus.shim`, and upgrade k3s first.',
    },
  ],
}

export const RKE2: NetworkSystem = {
  ...CANAL,
  id: 'rke2',
  title: 'rke2',
  types: [...CANAL.types, 'bandwidth'],
  mark: { first: ['calico'], ipam: 'host-local', has: 'bandwidth' },
  cniVersion: '0.3.1',
  bandwidth: 'plugin',
  quirks: [
    {
      quirk: 'Its own chart of Multus writes `00-multus.conf`, which sorts before our file.',
      remedy: "Take `multus` out of `cni` in rke2's configuration.",
    },
    {
      quirk: "With SELinux a container may not write into the host's folders.",
      remedy: 'Run the init step with the SELinux options of the overlay for rke2.',
    },
  ],
}

export const MICROK8S: NetworkSystem = {
  ...CALICO,
  id: 'microk8s',
  title: 'MicroK8s',
  files: ['10-calico.conflist', '*flannel.conflist'],
  folder: '/var/snap/microk8s/current/args/cni-network',
  mark: { first: ['calico', 'flannel'], folder: true },
  cniVersion: '0.3.1',
  readiness: [{ kind: 'file', path: '/var/snap/microk8s/current/var/lib/calico/nodename' }],
  quirks: [
    {
      quirk:
        'Conf files are in `/var/snap/microk8s/current/args/cni-network`; `current` is a link that a refresh moves.',
      remedy:
        'Set `confDir` to that folder; a moved link is followed within 2 seconds. Not in the DaemonSet, which binds the folder: mount its parent, or restart the pod.',
    },
    {
      quirk:
        'Without high availability the list is `microk8s-flannel-network`, with `subnetFile` and `dataDir` below the snap.',
      remedy: 'Keep both keys when the network is copied.',
    },
  ],
}

export const MINIKUBE: NetworkSystem = {
  id: 'minikube',
  title: 'minikube',
  files: ['1-k8s.conflist'],
  types: ['bridge', 'host-local', 'portmap', 'firewall'],
  mark: { first: ['bridge'], file: true },
  cniVersion: '0.4.0',
  portMappings: 'plugin',
  bandwidth: 'nobody',
  readiness: [{ kind: 'file', path: '/etc/cni/net.d/1-k8s.conflist' }],
  notReady: 'there is no conf file until minikube has written it',
  quirks: [
    {
      quirk: "It renames the distribution's conf files to `*.mk_disabled`.",
      remedy: 'Nothing to do: ours is written later, and put back if it is renamed.',
    },
    {
      quirk: 'With several nodes it runs kindnet.',
      remedy: 'See kindnet.',
    },
  ],
  extra: { works: false, because: "The bridge is the node's own; make one of another name." },
}
