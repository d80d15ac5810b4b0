import { join } from 'node:path'
import type { Argv } from 'yargs'
import { DAEMON_CONF_DEFAULTS } from '../config/daemon-conf.ts'
import { NET_CONF_DEFAULTS } from '../config/net-conf.ts'
import { SHIM_CONF_DEFAULTS } from '../config/shim-conf.ts'
import { UsageError } from './failure.ts'
import type { InstallOptions } from './install.ts'
import { once, waitMs, wholeSeconds } from './option.ts'
import type { UninstallCommandOptions } from './uninstall.ts'

/** The node's folders: what install and uninstall share. */
function withNodeFolders<T>(command: Argv<T>) {
  return command
    .option('bin-dir', {
      ...once('bin-dir', { describe: "The runtime's folder of plugins, as this process sees it" }),
      default: SHIM_CONF_DEFAULTS.binDir as string,
    })
    .option('host-bin-dir', {
      ...once('host-bin-dir', { describe: 'The same folder as the host names it' }),
      defaultDescription: '--bin-dir',
    })
    .option('conf-dir', {
      ...once('conf-dir', { describe: "The runtime's folder of conf files" }),
      default: DAEMON_CONF_DEFAULTS.conflistDir as string,
    })
    .option('state-dir', {
      ...once('state-dir', { describe: 'Folder of the journal' }),
      default: NET_CONF_DEFAULTS.stateDir as string,
    })
    .option('socket', {
      ...once('socket', { describe: "The daemon's socket" }),
      default: DAEMON_CONF_DEFAULTS.socket as string,
    })
}

/** The options of `plexus install`. */
export function withInstallOptions<T>(command: Argv<T>) {
  return withNodeFolders(command)
    .option('plugin-dir', {
      type: 'string',
      array: true,
      requiresArg: true,
      default: [] as string[],
      defaultDescription: '--host-bin-dir',
      describe:
        "Host folder that the shim looks plugins up in besides the runtime's; may be given several times",
    })
    .option('add-wait', {
      ...once('add-wait', { describe: 'How long an ADD asks for a daemon that does not answer' }),
      default: `${SHIM_CONF_DEFAULTS.addWait}s`,
    })
    .option('del-wait', {
      ...once('del-wait', { describe: 'How long a DEL does so before it goes on alone' }),
      default: `${SHIM_CONF_DEFAULTS.delWait}s`,
    })
    .option('no-fallback', {
      type: 'boolean',
      default: false,
      describe: 'Leave out the executable for pods without network annotations while no daemon answers',
    })
    .option('watch', {
      type: 'boolean',
      default: false,
      describe: 'Stay and put back what is removed or changed',
    })
    .option('replace-multus', {
      type: 'boolean',
      default: false,
      describe: "Take Multus's place: its configuration and its running pods",
    })
    .option('multus-conf', {
      ...once('multus-conf', { describe: "Multus's configuration, or its daemon's (daemon-config.json)" }),
      defaultDescription: 'its file in --conf-dir',
    })
    .option('multus-cache-dir', {
      ...once('multus-cache-dir', { describe: 'Where Multus remembers its pods' }),
      defaultDescription: 'its cniDir, or /var/lib/cni/multus',
    })
    .option('cni-cache-dir', {
      ...once('cni-cache-dir', { describe: "Cache of the runtime's CNI library" }),
      default: '/var/lib/cni',
    })
    .option('config', {
      ...once('config', { describe: "File that gets the daemon's configuration, translated from Multus's" }),
      defaultDescription: 'it is printed',
    })
}

type Parsed = Awaited<ReturnType<typeof withInstallOptions>['argv']>

/** What was asked for, checked. */
export function toInstallOptions(
  args: Pick<
    Parsed,
    | 'binDir'
    | 'hostBinDir'
    | 'pluginDir'
    | 'stateDir'
    | 'socket'
    | 'addWait'
    | 'delWait'
    | 'noFallback'
    | 'watch'
    | 'confDir'
    | 'replaceMultus'
    | 'multusConf'
    | 'multusCacheDir'
    | 'cniCacheDir'
    | 'config'
  >,
): Omit<InstallOptions, 'format' | 'style' | 'write'> {
  return {
    binDir: args.binDir,
    hostBinDir: args.hostBinDir ?? args.binDir,
    pluginDirs: args.pluginDir,
    stateDir: args.stateDir,
    socket: args.socket,
    addWait: wholeSeconds('add-wait', args.addWait),
    delWait: wholeSeconds('del-wait', args.delWait),
    hasFallback: !args.noFallback,
    isWatching: args.watch,
    confDir: args.confDir,
    multus: toMultusOptions(args),
  }
}

function toMultusOptions({
  replaceMultus,
  multusConf: confFile,
  multusCacheDir: cacheDir,
  cniCacheDir,
  config: configFile,
}: Pick<
  Parsed,
  'replaceMultus' | 'multusConf' | 'multusCacheDir' | 'cniCacheDir' | 'config'
>): InstallOptions['multus'] {
  if (replaceMultus) return { confFile, cacheDir, cniCacheDir, configFile }
  if ([confFile, cacheDir, configFile].every((value) => value === undefined)) return undefined
  throw new UsageError('--multus-conf, --multus-cache-dir and --config belong to --replace-multus')
}

/** The options of `plexus uninstall`. */
export function withUninstallOptions<T>(command: Argv<T>) {
  return withNodeFolders(command)
    .option('dev-info-dir', {
      ...once('dev-info-dir', { describe: 'Folder of device-info files, removed when it is empty' }),
      default: NET_CONF_DEFAULTS.devInfoDir as string,
    })
    .option('root', {
      ...once('root', {
        describe: "In a container: where the node's root is mounted; all other paths are the node's own then",
      }),
      default: '/',
    })
    .option('wait', {
      ...once('wait', {
        describe: 'How long to wait for the last of its pods and for the daemon, for example 30m',
      }),
      defaultDescription: 'not at all',
    })
}

type UninstallArgs = Awaited<ReturnType<typeof withUninstallOptions>['argv']>

/** What was asked for, checked. */
export function toUninstallOptions(
  args: Pick<
    UninstallArgs,
    'binDir' | 'hostBinDir' | 'confDir' | 'stateDir' | 'socket' | 'devInfoDir' | 'root' | 'wait'
  >,
): Omit<UninstallCommandOptions, 'format' | 'style' | 'write'> {
  const { binDir, hostBinDir = binDir, root, wait } = args
  // Of a node that is looked at from outside /var/run leads into our own root.
  const seen = (path: string): string =>
    root === '/' ? path : join(root, path.replace(/^\/var\/run(?=\/)/, '/run'))
  return {
    ...{ root, hostBinDir, binDir: seen(binDir), confDir: seen(args.confDir), stateDir: seen(args.stateDir) },
    ...{ socket: seen(args.socket), devInfoDir: seen(args.devInfoDir) },
    waitMs: wait === undefined ? 0 : waitMs('wait', wait),
  }
}
