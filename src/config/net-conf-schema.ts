const text = { type: 'string' } as const
const nonEmpty = { type: 'string', minLength: 1 } as const
const absolutePath = { type: 'string', pattern: '^/' } as const
const flag = { type: 'boolean' } as const
const seconds = { type: 'number', exclusiveMinimum: 0, maximum: 3600 } as const
const names = { type: 'array', items: nonEmpty } as const

/**
 * JSON Schema of the net-conf on stdin: our keys and every Multus key. Keys that it does not know are
 * tolerated (CNI-031); `parseNetConf` warns about them.
 */
export const netConfSchema = {
  $id: 'plexus-net-conf',
  type: 'object',
  required: ['type'],
  properties: {
    cniVersion: { ...text, description: 'CNI version of this conf and of the answer.' },
    name: { ...nonEmpty, description: 'Network name of the conf.' },
    type: { ...nonEmpty, description: 'Plugin type: `plexus`.' },
    capabilities: {
      type: 'object',
      additionalProperties: flag,
      description: 'What the runtime may pass in `runtimeConfig`; it goes to the default network only.',
    },
    runtimeConfig: { type: 'object', description: 'Set by the runtime.' },
    prevResult: { type: ['object', 'null'], description: 'Set by the runtime.' },
    args: { type: 'object', description: 'Reserved by the CNI specification; not read.' },
    ipam: { type: 'object', description: 'Reserved by the CNI specification; not read.' },
    dns: { type: 'object', description: 'Reserved by the CNI specification; not read.' },
    manifests: {
      ...absolutePath,
      description:
        'Folder of YAML or JSON manifests (Pods, NADs) that takes the place of the Kubernetes API.',
    },
    kubeconfig: { ...text, description: 'Kubeconfig of the cluster whose pods and NADs are read.' },
    stateDir: {
      ...absolutePath,
      description: 'Folder of the journal, the locks and the published network-status.',
    },
    cniDir: { ...absolutePath, description: "Multus's name for `stateDir`; used when that is absent." },
    confDir: {
      ...absolutePath,
      description:
        'Folder of conf files: by name for networks without a config, and for the default network.',
    },
    multusAutoconfigDir: {
      ...absolutePath,
      description: 'Folder whose first valid conf file is the default network, when no other key names one.',
    },
    binDir: {
      ...absolutePath,
      description: 'Folders of plugin executables, `:` between them, searched before CNI_PATH.',
    },
    defaultNetwork: {
      ...nonEmpty,
      description:
        'The default network: a NAD (`name` or `namespace/name`), a conf name, a file or a folder.',
    },
    clusterNetwork: { ...nonEmpty, description: "Multus's name for `defaultNetwork`." },
    defaultNetworks: { ...names, description: 'More networks for every pod outside `systemNamespaces`.' },
    delegates: {
      type: 'array',
      items: { type: 'object' },
      description: 'Inline confs or conflists: the first is the default network, the others go to every pod.',
    },
    multusNamespace: {
      ...nonEmpty,
      description:
        'Namespace of NADs that `defaultNetwork`, `defaultNetworks` and the default-network annotation name without one.',
    },
    systemNamespaces: { ...names, description: 'Namespaces whose pods do not get `defaultNetworks`.' },
    namespaceIsolation: {
      ...flag,
      description: 'A pod may only use NADs of its own and of the global namespaces.',
    },
    globalNamespaces: { ...text, description: 'Comma-separated namespaces whose NADs every pod may use.' },
    readinessindicatorfile: {
      ...text,
      description: 'ADD waits for this file, STATUS answers 50 without it.',
    },
    auxiliaryCNIChainName: {
      ...text,
      description: 'Name of a further chain, from `<folder of defaultNetwork>/<name>/*.conf`.',
    },
    calledByRuntime: {
      ...names,
      description:
        'Plugin types that the list of the runtime calls itself: the default network leaves them out.',
    },
    retryDeleteOnError: {
      ...flag,
      description: "Multus's key; a failed DEL is always kept for a retry here.",
    },
    logFile: { ...text, description: 'File that log lines are appended to.' },
    logLevel: {
      enum: ['panic', 'error', 'warn', 'verbose', 'info', 'debug'],
      description: 'Least severity that is logged.',
    },
    logToStderr: { ...flag, description: 'Whether log lines also go to stderr.' },
    logOptions: {
      type: 'object',
      description: "Multus's log rotation; rotation is left to the node's tools.",
    },
    result: {
      enum: ['merged', 'default-network'],
      description: 'Whether the answer lists all networks or only the default network.',
    },
    strictCapabilities: {
      ...flag,
      description: 'Whether a request (`ips`, `mac` …) that no plugin of the network declares fails the pod.',
    },
    parallel: {
      ...flag,
      description: 'Whether secondary networks are attached at once, after the default network.',
    },
    clusterCIDRs: {
      ...names,
      description: 'Prefixes that stay on the default network when its default route is moved.',
    },
    allowedPluginTypes: { ...names, description: 'The only plugin types that may run, IPAM included.' },
    delAttempts: {
      type: 'integer',
      minimum: 1,
      maximum: 1000,
      description: 'Failed DELs after which the runtime gets success and the undo stays recorded.',
    },
    addTimeout: { ...seconds, description: 'Seconds for a whole ADD, a quarter of it kept for the undo.' },
    delegateTimeout: { ...seconds, description: 'Seconds for one call of a delegate.' },
    lockTimeout: { ...seconds, description: 'Seconds to wait for another call on the same container.' },
    readinessTimeout: { ...seconds, description: 'Seconds that ADD waits for `readinessindicatorfile`.' },
    maxOutputBytes: {
      type: 'integer',
      minimum: 1024,
      maximum: 1073741824,
      description: "Bytes of a delegate's stdout after which it is ended.",
    },
    devInfoDir: {
      ...absolutePath,
      description: 'Folder of the device-info files (`cni/` and `dp/` below it).',
    },
    podResourcesSocket: {
      ...absolutePath,
      description: "Socket of the kubelet's pod-resources API, which knows the devices of a pod.",
    },
    podResourcesTimeout: {
      ...seconds,
      description: "Seconds that ADD waits for the kubelet's word on the devices of a pod.",
    },
  },
} as const
