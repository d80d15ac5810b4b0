import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { JsonObject } from '../cni/json.ts'
import type { DaemonConf } from '../config/daemon-conf.ts'
import type { NetConf } from '../config/net-conf.ts'
import { keepDefaultNetwork } from '../node/default-network-keeper.ts'
import { UNINSTALLING_FILE } from '../node/uninstall-mark.ts'
import { runtimeCniVersion } from '../plan/runtime-version.ts'
import type { ConfFile } from '../store/conf-files.ts'

/** The node's default network as the daemon keeps it. */
export interface KeptDefaultNetwork {
  /** Keys that win over those of a request. */
  keys(): JsonObject
  /** What a path holds that is watched. */
  knownFile(path: string): ConfFile | undefined
  /** Why the runtime's list is not as it should be. */
  readonly fault: string | undefined
  close(): void
}

/** What {@link openDefaultNetwork} needs. */
export interface DefaultNetworkOptions {
  readonly conf: DaemonConf
  /** The same for a request without keys of its own. */
  readonly nodeConf: NetConf
  /** The node's runtime in the words of its Node object; `undefined` while that is not known. */
  readonly runtime: () => string | undefined
  /** Whether requests would be served now. */
  readonly isServing: () => boolean
  /** The default network is another one, or its configuration is. */
  readonly changed: () => void
  readonly report: (level: 'info' | 'warn' | 'error', message: string) => void
}

/** Keys of which one says what the default network is. */
export const DEFAULT_NETWORK_KEYS: readonly string[] = ['defaultNetwork', 'clusterNetwork', 'delegates']

/** Where which network was chosen is remembered, below the state directory. */
const PIN_FILE = 'default-network.json'

/** Keeps default network and list where the configuration wants it; else `undefined`. */
export function openDefaultNetwork(options: DefaultNetworkOptions): KeptDefaultNetwork | undefined {
  const { conf, nodeConf, runtime, isServing, changed, report } = options
  const { conflist } = conf
  if (conflist === undefined) return undefined
  const isNamed = DEFAULT_NETWORK_KEYS.some((key) => key in conf.netConf)
  // The shim's fallback attaches the default network alone, and may not see what the daemon's pod does.
  const { kubeconfig: _kubeconfig, manifests: _manifests, ...netConf } = conf.netConf
  const keeper = keepDefaultNetwork({
    ...(isNamed
      ? {}
      : { search: { confDir: nodeConf.autoConfDir, pinFile: join(nodeConf.stateDir, PIN_FILE), changed } }),
    conflist: {
      ...conflist,
      runtimeVersion: () => {
        const name = runtime()
        return name === undefined ? undefined : runtimeCniVersion(name)
      },
      netConf,
      isWanted: isServing,
      isUninstalled: () => existsSync(join(nodeConf.stateDir, UNINSTALLING_FILE)),
    },
    report,
  })
  return {
    // While the network is missing no other file stands in for it.
    keys: () => (keeper.path === undefined ? {} : { defaultNetwork: keeper.path }),
    knownFile: (path) => (keeper.network?.path === path ? keeper.network : undefined),
    get fault() {
      return keeper.fault
    },
    close: () => keeper.close(),
  }
}
