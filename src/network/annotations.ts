/** The pod's wish for additional networks, in either form of the standard. NPWG-020. */
export const NETWORKS_ANNOTATION = 'k8s.v1.cni.cncf.io/networks'

/** One selection element that replaces the cluster's default network for this pod. NPWG-102. */
export const DEFAULT_NETWORK_ANNOTATION = 'v1.multus-cni.io/default-network'

/** On a NAD: the device-plugin resource whose devices the network uses. NPWG-017. */
export const RESOURCE_NAME_ANNOTATION = 'k8s.v1.cni.cncf.io/resourceName'

/** On a pod: where the kubelet has it from; anything but `api` is a static pod. */
export const CONFIG_SOURCE_ANNOTATION = 'kubernetes.io/config.source'

/** On a static pod: the hash that its runtime knows as the pod's UID. */
export const CONFIG_HASH_ANNOTATION = 'kubernetes.io/config.hash'

/** On a pod: the networks that it got, written by whoever attached them. NPWG-140. */
export const NETWORK_STATUS_ANNOTATION = 'k8s.v1.cni.cncf.io/network-status'

/** On a NAD: a selector of the namespaces whose pods may use it, beside its own. */
export const ALLOWED_NAMESPACES_ANNOTATION = 'plexus-cni.io/allowed-namespaces'
