import { netConfSchema } from './net-conf-schema.ts'

const {
  cniVersion: _version,
  name: _name,
  type: _type,
  runtimeConfig: _runtime,
  prevResult: _prev,
  capabilities: _caps,
  calledByRuntime: _called,
  ...shared
} = netConfSchema.properties

/** Versions of lists. */
const CONFLIST_VERSIONS = ['0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'] as const

/**
 * JSON Schema of the daemon's configuration file: the net-conf's keys but those that belong to one request,
 * and the daemon's own. Unknown keys are faults here: nobody else writes this file.
 */
export const daemonConfSchema = {
  $id: 'plexus-daemon-conf',
  type: 'object',
  additionalProperties: false,
  properties: {
    ...shared,
    socket: { type: 'string', pattern: '^/', description: 'Unix socket on which the shims are served.' },
    logLevel: { ...shared.logLevel, description: 'Least severity that the daemon logs.' },
    metricsAddress: {
      type: 'string',
      pattern: '^(|.+:[0-9]+)$',
      description: 'Address and port of /healthz, /readyz and /metrics; empty for none.',
    },
    maxConcurrentAdds: {
      type: 'integer',
      minimum: 1,
      maximum: 1024,
      description: 'ADDs that run at once; the others wait, fair among namespaces.',
    },
    installConflist: {
      type: 'boolean',
      description: 'Whether the daemon keeps `00-plexus.conflist` in `conflistDir`.',
    },
    conflistDir: {
      type: 'string',
      pattern: '^/',
      description: "The runtime's folder of conf files.",
    },
    runtimeCniVersion: {
      enum: CONFLIST_VERSIONS,
      description: "Highest CNI version that the node's runtime speaks; left out, it is found out.",
    },
    drainTimeout: {
      type: 'number',
      exclusiveMinimum: 0,
      maximum: 600,
      description: 'Seconds that a stopping daemon waits for requests under way.',
    },
    errandInterval: {
      type: 'number',
      exclusiveMinimum: 0,
      maximum: 86400,
      description: 'Seconds after which an undo that failed is tried again with the help of another request.',
    },
    publishWait: {
      type: 'number',
      minimum: 0,
      maximum: 60,
      description: 'Seconds that the answer to an ADD waits for the publication of network-status at most.',
    },
    publishEvents: {
      enum: ['all', 'failures', 'none'],
      description: 'Which events of pods are made in the cluster.',
    },
    publishNodeCondition: {
      type: 'boolean',
      description: 'Whether the Node object says if the networks that the node needs can be attached there.',
    },
    pluginDirs: {
      type: 'array',
      maxItems: 16,
      items: { type: 'string', pattern: '^/' },
      description: "Folders of the node's CNI plugins as the daemon sees them.",
    },
  },
} as const
