/** A pod of the demo. */
export interface DemoPod {
  readonly name: string
  readonly uid: string
  /** Ports of the node that are forwarded to it; what a runtime takes from `hostPort` in the pod. */
  readonly portMappings: readonly { hostPort: number; containerPort: number; protocol: string }[]
}

/** Namespace of the demo's pods and NADs in the cluster that the manifests stand for. */
export const NAMESPACE = 'demo'

/** Interface on the node that stands in for a network card. */
export const UPLINK = 'uplink0'

/** Bridges that the bridge plugin makes on the node and keeps, as it does everywhere. */
export const BRIDGES = ['cni0', 'br-data']

/** The network that the ping goes over: its interface has this name in both pods. */
export const PING_IF_NAME = 'data0'

/** Plugin types that the networks below use. */
export const PLUGINS = ['bridge', 'macvlan', 'host-local', 'portmap', 'tuning']

export const WEB: DemoPod = {
  name: 'web',
  uid: '6f2d6a0c-0000-4000-8000-000000000001',
  portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }],
}

export const DATABASE: DemoPod = {
  name: 'database',
  uid: '6f2d6a0c-0000-4000-8000-000000000002',
  portMappings: [],
}

/**
 * The two extra networks as NetworkAttachmentDefinitions (YAML).
 *
 * @param leaseDir Folder in which host-local notes who has which address.
 */
export function networksManifest(leaseDir: string): string {
  return `apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: storage, namespace: ${NAMESPACE}}
spec:
  config: |
    {
      "cniVersion": "1.0.0",
      "type": "macvlan", "master": "${UPLINK}", "capabilities": {"ips": true},
      "ipam": {"type": "host-local", "dataDir": "${leaseDir}", "ranges": [[{"subnet": "192.168.10.0/24"}]]}
    }
---
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: data, namespace: ${NAMESPACE}}
spec:
  config: |
    {
      "cniVersion": "1.0.0",
      "plugins": [
        {"type": "bridge", "bridge": "br-data",
         "ipam": {"type": "host-local", "dataDir": "${leaseDir}", "ranges": [[{"subnet": "10.20.0.0/24"}]]}},
        {"type": "tuning", "mtu": 1400}
      ]
    }
`
}

/** The two pods (YAML): the same networks, asked for in the short form and in the JSON form. */
export function podsManifest(): string {
  return `apiVersion: v1
kind: Pod
metadata:
  name: ${WEB.name}
  namespace: ${NAMESPACE}
  uid: ${WEB.uid}
  annotations:
    k8s.v1.cni.cncf.io/networks: storage, data@${PING_IF_NAME}
---
apiVersion: v1
kind: Pod
metadata:
  name: ${DATABASE.name}
  namespace: ${NAMESPACE}
  uid: ${DATABASE.uid}
  annotations:
    k8s.v1.cni.cncf.io/networks: |
      [{"name": "storage", "ips": ["192.168.10.50/24"]},
       {"name": "data", "interface": "${PING_IF_NAME}"}]
`
}

/** Folders that the net-conf names. */
export interface DemoFolders {
  readonly manifests: string
  readonly stateDir: string
  readonly leaseDir: string
}

/** The net-conf that an administrator gives the runtime: Plexus around the default network. */
export function netConf({ manifests, stateDir, leaseDir }: DemoFolders): object {
  return {
    cniVersion: '1.0.0',
    name: 'plexus',
    type: 'plexus',
    capabilities: { portMappings: true },
    manifests,
    stateDir,
    delegates: [
      {
        cniVersion: '1.0.0',
        name: 'cluster',
        plugins: [
          {
            type: 'bridge',
            bridge: BRIDGES[0],
            isDefaultGateway: true,
            ipMasq: true,
            ipam: { type: 'host-local', dataDir: leaseDir, ranges: [[{ subnet: '10.244.0.0/24' }]] },
          },
          { type: 'portmap', capabilities: { portMappings: true } },
        ],
      },
    ],
  }
}
