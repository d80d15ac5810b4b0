import type { JsonObject } from '../../src/cni/json.ts'
import { type NetConf, parseNetConf } from '../../src/config/net-conf.ts'
import { parseNad } from '../../src/network/nad.ts'
import { type Namespace, parseNamespace } from '../../src/network/namespace.ts'
import type { AdmissionRequest } from '../../src/webhook/admission-review.ts'
import type { KnownCluster } from '../../src/webhook/known-cluster.ts'
import { type NadOptions, nad } from '../rig/manifests.ts'

/** What a test's cluster has. */
export interface KnownObjects {
  readonly nads?: readonly NadOptions[]
  readonly namespaces?: readonly { readonly name: string; readonly [key: string]: unknown }[]
  /** Pods by the NAD that they use. */
  readonly users?: Readonly<Record<string, readonly string[]>>
  /** Keys of the net-conf. */
  readonly conf?: JsonObject
}

/** A cluster that has these objects and no others. */
export function knownObjects({
  nads = [],
  namespaces = [],
  users = {},
  conf = {},
}: KnownObjects): KnownCluster {
  const known = nads.map((options) => parseNad(nad(options), ''))
  const netConf: NetConf = parseNetConf({ type: 'plexus', ...conf })
  return {
    conf: netConf,
    nad: async (namespace, name) => known.find((it) => it.namespace === namespace && it.name === name),
    namespace: async (name): Promise<Namespace | undefined> => {
      const metadata = namespaces.find((it) => it.name === name)
      return metadata && parseNamespace({ apiVersion: 'v1', kind: 'Namespace', metadata }, '')
    },
    nadNames: (namespace) => known.filter((it) => it.namespace === namespace).map(({ name }) => name),
    usersOf: (key) => users[key] ?? [],
  }
}

/** A request about an object: made, changed from another, or deleted when there is no new one. */
export function admissionRequest(object: object | undefined, oldObject?: object): AdmissionRequest {
  const { metadata, kind } = (object ?? oldObject) as {
    metadata: { namespace?: string; name?: string }
    kind: string
  }
  return {
    uid: 'u1',
    operation: object === undefined ? 'DELETE' : oldObject === undefined ? 'CREATE' : 'UPDATE',
    kind,
    namespace: metadata.namespace ?? 'default',
    name: metadata.name ?? '',
    object: object as JsonObject | undefined,
    oldObject: oldObject as JsonObject | undefined,
  }
}
