import type { Argv } from 'yargs'
import { namespaceFault, objectNameFault } from '../cni/object-name.ts'
import type { ClusterOptions } from './asked-cluster.ts'
import type { CommandContext } from './command-line.ts'
import { UsageError } from './failure.ts'
import { MAP_FORMATS, type MapSource } from './map-source.ts'
import { once, withCluster, withFolders, withOutput } from './option.ts'
import { printable } from './printable.ts'
import type { PodName } from './show.ts'

/** The commands about pods and their networks: before they run, and when they do. */
export function withPodCommands(cli: Argv, { ended, style, write }: CommandContext): Argv {
  return cli
    .command(
      'list',
      'What is attached on this node',
      (command) => withOutput(withCluster(withFolders(command))),
      async ({ stateDir, manifests, kubeconfig, context, output: format }) => {
        assertOneSource(manifests, { kubeconfig, context })
        const { list } = await import('./list.ts')
        ended(await list({ stateDir, manifests, kubeconfig, context, format, style, write }))
      },
    )
    .command(
      'show <pod>',
      'One pod: its interfaces, addresses, plugin calls and network-status',
      (command) =>
        withOutput(withCluster(withFolders(command)))
          .positional('pod', { type: 'string', demandOption: true, describe: 'NAMESPACE/POD' })
          .example('$0 show telco/upf-0', ''),
      async ({ pod: name, stateDir, manifests, kubeconfig, context, output: format }) => {
        assertOneSource(manifests, { kubeconfig, context })
        const { show } = await import('./show.ts')
        const pod = parsePodName(name)
        ended(await show({ pod, stateDir, manifests, kubeconfig, context, format, style, write }))
      },
    )
    .command(
      'map',
      'A picture of the networks and their pods, or of one pod and its plugins',
      (command) =>
        withCluster(withFolders(command))
          .option('pod', once('pod', { describe: 'Only this pod: NAMESPACE/POD' }))
          .option('out', once('out', { describe: 'File to write to, in place of stdout' }))
          .option('output', {
            alias: 'o',
            choices: MAP_FORMATS,
            default: 'svg' as const,
            requiresArg: true,
            describe: 'The picture, or what it is drawn from',
          })
          .example('$0 map --out node.svg', '')
          .example('$0 map --kubeconfig ~/.kube/config > cluster.svg', '')
          .example('$0 map --pod telco/upf-0 --out upf.svg', ''),
      async ({ pod, stateDir, manifests, kubeconfig, context, out, output: format }) => {
        const cluster = { kubeconfig, context }
        assertOneSource(manifests, cluster)
        const { map } = await import('./map.ts')
        ended(
          await map({
            pod: pod === undefined ? undefined : parsePodName(pod),
            source: mapSource(manifests, cluster),
            ...{ stateDir, manifests, ...cluster, out, format, write },
            warn: (message) => void process.stderr.write(`plexus map: ${printable(message)}\n`),
          }),
        )
      },
    )
    .command(
      'explain [files..]',
      'What pods would get and why, and what is wrong, without running anything',
      (command) =>
        withOutput(
          withCluster(withFolders(command, 'Of no effect here: a plan does not depend on what is attached')),
        )
          .positional('files', {
            type: 'string',
            array: true,
            default: [] as string[],
            defaultDescription: 'the pods of --manifests',
            describe: 'Manifests of pods and NetworkAttachmentDefinitions',
          })
          .option('pod', once('pod', { describe: 'Only this pod: NAMESPACE/POD' }))
          .option('conf', once('conf', { describe: "Plexus's net-conf, or the conflist with it" }))
          .option('bin-dir', {
            type: 'string',
            array: true,
            requiresArg: true,
            default: [] as string[],
            defaultDescription: 'plugins are not looked for',
            describe: 'Folder of plugins to look for; may be given several times',
          })
          .example('$0 explain pod.yaml nad.yaml --conf /etc/cni/net.d/00-plexus.conflist', '')
          .example('$0 explain --pod telco/upf-0 --kubeconfig /etc/kubernetes/admin.conf', ''),
      async ({ files, pod, conf, manifests, kubeconfig, context, binDir, output: format }) => {
        const { explain } = await import('./explain.ts')
        ended(
          await explain({
            files,
            manifests,
            pod: pod === undefined ? undefined : parsePodName(pod),
            confFile: conf,
            kubeconfig,
            context,
            binDirs: binDir,
            format,
            style,
            write,
          }),
        )
      },
    )
    .command(
      'validate <files..>',
      'What is wrong in manifests and CNI configurations, before anything runs',
      (command) =>
        withOutput(command)
          .positional('files', {
            type: 'string',
            array: true,
            demandOption: true,
            describe:
              'NADs, pods, workloads, net-confs: files, or folders of .yaml, .yml, .json, .conf, .conflist; - is stdin',
          })
          .example('$0 validate nads.yaml deployment.yaml', '')
          .example('helm template . | $0 validate -', ''),
      async ({ files, output: format }) => {
        const { validate } = await import('./validate.ts')
        ended(await validate({ paths: files, format, style, write }))
      },
    )
}

/** The manifests stand in for a cluster. */
function assertOneSource(manifests: readonly string[], { kubeconfig, context }: ClusterOptions): void {
  if (manifests.length > 0 && (kubeconfig !== undefined || context !== undefined))
    throw new UsageError('--manifests and --kubeconfig are two clusters: name one')
}

/** What was named; else the cluster of kubectl, when that has called us, or this node's own. */
function mapSource(manifests: readonly string[], { kubeconfig, context }: ClusterOptions): MapSource {
  if (manifests.length > 0) return 'manifests'
  const isKubectl = process.env.PLEXUS_PROGRAM !== undefined && process.env.KUBECONFIG !== undefined
  return kubeconfig !== undefined || context !== undefined || isKubectl ? 'cluster' : 'journal'
}

function parsePodName(text: string): PodName {
  const [namespace = '', name, ...rest] = text.split('/')
  if (name === undefined || rest.length > 0) {
    throw new UsageError(
      `"${text}" is no pod: write NAMESPACE/POD, for example default/${name ?? (text || 'web-0')}`,
    )
  }
  const fault = namespaceFault(namespace) ?? objectNameFault(name)
  if (fault !== undefined) {
    const part = namespaceFault(namespace) === undefined ? 'name' : 'namespace'
    throw new UsageError(`"${text}" is no pod: its ${part} ${fault}`)
  }
  return { namespace, name }
}
