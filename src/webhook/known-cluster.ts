import type { JsonObject } from '../cni/json.ts'
import type { NetConf } from '../config/net-conf.ts'
import type { NetworkAttachmentDefinition } from '../network/nad.ts'
import type { Namespace } from '../network/namespace.ts'

/** What verdicts rest on. */
export interface KnownCluster {
  /** What decides isolation, allowed plugins and strictness; that of the nodes. */
  readonly conf: NetConf
  /** `undefined` when there is none. @throws {CniError} When it cannot tell. */
  nad(namespace: string, name: string): Promise<NetworkAttachmentDefinition | undefined>
  /** `undefined` when there is none. @throws {CniError} When it cannot tell. */
  namespace(name: string): Promise<Namespace | undefined>
  nadNames(namespace: string): readonly string[]
  /** Pods as `namespace/name` that run, or will, with the NAD. */
  usersOf(nad: string): readonly string[]
}

/** A NAD as the manifest that validation reads. */
export function nadManifest({
  namespace,
  name,
  annotations,
  config,
}: NetworkAttachmentDefinition): JsonObject {
  return {
    apiVersion: 'k8s.cni.cncf.io/v1',
    kind: 'NetworkAttachmentDefinition',
    metadata: { namespace, name, annotations },
    spec: config === undefined ? {} : { config },
  }
}
