import { K3S, MICROK8S, MINIKUBE, RKE2 } from './distributions.ts'
import { isMarked, type MarkedFile, type NetworkSystem } from './network-system.ts'
import {
  ANTREA,
  CALICO,
  CANAL,
  CILIUM,
  CILIUM_CHAINING,
  CILIUM_EXCLUSIVE,
  FLANNEL,
  KINDNET,
  KUBE_OVN,
  KUBE_ROUTER,
  OVN_KUBERNETES,
  WEAVE,
} from './overlays.ts'
import { ACI, AWS, AZURE, DANM, GKE, HYBRIDNET, NODUS, NSX, TERWAY } from './vendors.ts'

/** Every system that Plexus knows as a default network, in the order of the documentation. */
export const NETWORK_SYSTEMS: readonly NetworkSystem[] = [
  ...[CALICO, FLANNEL, CANAL, CILIUM, CILIUM_CHAINING, CILIUM_EXCLUSIVE, WEAVE, AWS, KUBE_OVN, ANTREA, AZURE],
  ...[NSX, ACI, HYBRIDNET, DANM, NODUS, OVN_KUBERNETES, TERWAY, KINDNET, KUBE_ROUTER],
  ...[K3S, RKE2, MICROK8S, MINIKUBE, GKE],
]

/** The same, what tells more before what it is a variant of. */
const BY_DETAIL: readonly NetworkSystem[] = [
  ...[CILIUM_EXCLUSIVE, GKE, MICROK8S, TERWAY, CILIUM_CHAINING, K3S, RKE2, CANAL],
  ...NETWORK_SYSTEMS,
]

/** The system that a conf file belongs to; `undefined` for a network that is nobody's we know. */
export function recogniseSystem(file: MarkedFile): NetworkSystem | undefined {
  return BY_DETAIL.find((system) => isMarked(system, file))
}
