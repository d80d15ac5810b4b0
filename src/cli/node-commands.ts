import type { Argv } from 'yargs'
import type { CommandContext } from './command-line.ts'
import {
  toInstallOptions,
  toUninstallOptions,
  withInstallOptions,
  withUninstallOptions,
} from './install-options.ts'
import { once, withCluster, withOutput } from './option.ts'

/** The commands about nodes and the cluster's services. */
export function withNodeCommands(cli: Argv, { ended, style, write }: CommandContext): Argv {
  return cli
    .command(
      'doctor',
      'What keeps this node from attaching pods, and the command that puts it right',
      (command) =>
        withOutput(withCluster(command))
          .option('bin-dir', {
            ...once('bin-dir', { describe: 'Folder of the shim and of CNI plugins' }),
            defaultDescription: '/opt/cni/bin',
          })
          .option('conf-dir', {
            ...once('conf-dir', { describe: "The runtime's folder of networks" }),
            defaultDescription: "the daemon's conflistDir, or /etc/cni/net.d",
          })
          .option('state-dir', {
            ...once('state-dir', { describe: 'Folder of the journal' }),
            defaultDescription: "the daemon's, the shim's, or the default",
          })
          .option('socket', {
            ...once('socket', { describe: "The daemon's socket" }),
            defaultDescription: "the daemon's, the shim's, or the default",
          })
          .option('config', {
            ...once('config', { describe: "The daemon's configuration" }),
            defaultDescription: '/etc/plexus/daemon.yaml if it is there',
          })
          .option('fix', {
            type: 'boolean',
            default: false,
            describe: 'Put right what can be without risk: modes, and files that nobody needs',
          })
          .example('$0 doctor', '')
          .example('kubectl -n kube-system exec daemonset/plexus -c daemon -- plexus doctor', ''),
      async ({ binDir, confDir, stateDir, socket, config, fix, kubeconfig, context, output: format }) => {
        const { doctor } = await import('./doctor.ts')
        ended(
          await doctor({
            ...{ binDir, confDir, stateDir, socket, config, kubeconfig, context, format, style, write },
            isRepairWanted: fix,
          }),
        )
      },
    )
    .command(
      'demo',
      'Shows all of it on real plugins, in network namespaces of its own',
      (command) =>
        command
          .option(
            'state-dir',
            once('state-dir', { describe: "Folder for the journal, in place of the demo's own" }),
          )
          .option(
            'manifests',
            once('manifests', { describe: 'Folder to write the manifests to and leave them in' }),
          )
          .option('pictures', once('pictures', { describe: 'Folder to leave pictures of the pods in' }))
          .option('bin-dir', {
            type: 'string',
            array: true,
            requiresArg: true,
            default: [] as string[],
            defaultDescription: '/opt/cni/bin, /usr/lib/cni',
            describe: 'Folder of the CNI plugins; may be given several times',
          }),
      async ({ binDir, stateDir, manifests, pictures }) => {
        const { runDemo } = await import('./demo.ts')
        ended(await runDemo({ binDirs: binDir, stateDir, manifests, pictures }))
      },
    )
    .command(
      'daemon',
      'Serves the shims of this node until it is told to stop',
      (command) =>
        command.option('config', {
          ...once('config', { describe: "The daemon's configuration, YAML or JSON" }),
          demandOption: true,
        }),
      async ({ config }) => {
        const { runDaemon } = await import('./daemon.ts')
        await runDaemon({ config })
      },
    )
    .command(
      'install',
      "Puts the shim, its configuration and its fallback into the node's folder of plugins",
      (command) => withOutput(withInstallOptions(command)),
      async ({ output: format, ...options }) => {
        const { install } = await import('./install.ts')
        ended(await install({ ...toInstallOptions(options), format, style, write }))
      },
    )
    .command(
      'uninstall',
      'Takes Plexus off this node: its list at once, the rest when the last of its pods is gone',
      (command) => withOutput(withUninstallOptions(command)),
      async ({ output: format, ...options }) => {
        const { uninstall } = await import('./uninstall.ts')
        ended(await uninstall({ ...toUninstallOptions(options), format, style, write }))
      },
    )
    .command(
      'webhook',
      'Serves the admission webhooks of a cluster until it is told to stop',
      (command) =>
        command
          .command(
            'cert',
            'Makes a certificate as a Secret for kubectl apply, and sets its authority in manifests',
            (cert) =>
              cert
                .option('namespace', {
                  ...once('namespace', { describe: 'Of the webhook' }),
                  default: 'kube-system',
                })
                .option('service', {
                  ...once('service', { describe: 'Name of its Service, and of the Secret' }),
                  default: 'plexus-webhook',
                })
                .option('host', {
                  ...{ type: 'string', array: true, requiresArg: true, default: [] as string[] },
                  defaultDescription: 'none',
                  describe: 'Further name or address of the webhook; may be given several times',
                })
                .option('days', {
                  type: 'number',
                  requiresArg: true,
                  default: 365,
                  describe: 'How long it is good',
                })
                .option('into', {
                  ...{ type: 'string', array: true, requiresArg: true, default: [] as string[] },
                  defaultDescription: 'none',
                  describe: 'Manifests whose webhooks get the authority; may be given several times',
                })
                .example(
                  '$0 webhook cert --into deploy/webhook/configurations/webhooks.yaml | kubectl apply -f -',
                  '',
                ),
            async ({ namespace, service, host, days, into }) => {
              const { printCertificate } = await import('./webhook-certificate.ts')
              printCertificate({ namespace, service, hosts: host, days, into, write })
            },
          )
          .option('listen', {
            ...once('listen', { describe: 'HOST:PORT to listen on; without a host on all addresses' }),
            default: ':8443',
            global: false,
          })
          .option('certificate-dir', {
            ...once('certificate-dir', {
              describe: 'Folder with tls.crt and tls.key, read anew when they change',
            }),
            default: '/etc/plexus/webhook-certificate',
            global: false,
          })
          .option('config', {
            ...once('config', { describe: "The daemons' configuration, of which the fences hold here" }),
            global: false,
          })
          .option('kubeconfig', {
            ...once('kubeconfig', { describe: 'Cluster to follow' }),
            defaultDescription: 'the cluster of the pod that this runs in',
            global: false,
          }),
      async ({ listen, certificateDir, config, kubeconfig }) => {
        const { runWebhook } = await import('./webhook.ts')
        await runWebhook({ listen, certificateFolder: certificateDir, config, kubeconfig })
      },
    )
}
